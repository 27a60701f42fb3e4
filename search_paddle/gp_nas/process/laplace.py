"""Hyperparameters are unknown, so predictions are averaged over their posterior and over several models.

The most probable hyperparameters alone are overconfident and, with few scores, often wrong. On tables of trained networks their
95 % intervals held .71 to .91 of the truth at 25 scores, where the average holds .93 to .97; they also ranked worse.

    model     an output warping of the scores and a smoothness of the kernel
    theta^    its most probable hyperparameters, a vector (h,); H: minus the second derivatives of log p(z, theta) there
    evidence  log p(z) ~ log p(z, theta^) + h/2 log(2 pi) - 1/2 log det H  (Laplace), plus the output warping's log |dz/dy|
              (the prior's -h/2 log(2 pi) is left out of log p(z, theta) here, so the two cancel)
    draws     theta ~ N(theta^, H^-1), in pairs theta^ +- L'^-1 e, H = L L'; each model gets draws in proportion to its evidence
    weights   p(z, theta) / N(theta; theta^, H^-1), none above the mean times the root of their number (Ionides, Truncated
              importance sampling, JCGS 2008); the weights of a model add up to its part of the evidence

All of this is a function of the scores: the normal numbers e are the same every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.hyperparameters import Hyperparameters
from search_paddle.gp_nas.process.kernels import Kernel
from search_paddle.gp_nas.process.likelihood import DECIMALS, Density, fit
from search_paddle.gp_nas.process.priors import Priors, make_priors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mode:
    """A model at its most probable hyperparameters.

    Attributes:
        kernel, priors: of the model.
        density: log p(z, theta).
        theta: theta^, (h,).
        height: log p(z, theta^).
    """

    kernel: Kernel
    priors: Priors
    density: Density
    theta: Floats
    height: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Laplace:
    """A model near its mode.

    Attributes:
        mode: theta^.
        root: lower Cholesky factor of H.
        evidence: log p(z), z on its own scale.
    """

    mode: Mode
    root: Floats
    evidence: float


def find_mode(kernel: Kernel, observations: Observations, near: Mode | None = None) -> Mode:
    """Fit a model.

    Args:
        kernel: of the model.
        observations: at least one.
        near: the mode of a similar model, where the fit starts; None: it starts where the priors say.
    """
    priors = make_priors(kernel)
    density = Density(kernel, priors, observations)
    theta = fit(density, priors, priors.starts() if near is None else [near.theta])
    return Mode(kernel=kernel, priors=priors, density=density, theta=theta, height=density(theta)[0])


def approximate(mode: Mode) -> Laplace:
    """What the curvature at the mode says."""
    root = _root(mode.density.precision(mode.theta), mode.priors)
    return Laplace(mode=mode, root=root, evidence=mode.height - float(np.log(np.diag(root)).sum()))


def _root(precision: Floats, priors: Priors) -> Floats:
    """Cholesky factor of H, with no direction wider than the widest prior: a fit may end on the bounds or on a plateau."""
    values, vectors = np.linalg.eigh(precision)
    narrowest = 1.0 / float(np.max(priors.spread)) ** 2
    return np.linalg.cholesky((vectors * np.maximum(values, narrowest)) @ vectors.T)


def draw(model: Laplace, count: int) -> tuple[list[Hyperparameters], Floats]:
    """Hyperparameters of a model, `count` of them, and their weights, (count,), of sum 1. One draw is the mode."""
    mode, form = model.mode, model.mode.priors.mode
    if count == 1:
        return [form.unpack(mode.theta)], np.ones(1)
    size = len(mode.theta)
    half = np.random.default_rng(0).standard_normal(((count + 1) // 2, size))
    normal = np.stack([half, -half], axis=1).reshape(-1, size)[:count]
    away = solve_triangular(model.root, normal.T, trans=1, lower=True).T
    thetas = np.clip(np.round(mode.theta + away, DECIMALS), mode.priors.low, mode.priors.high)
    logs = np.array([mode.density(theta)[0] for theta in thetas]) + 0.5 * np.sum(normal**2, axis=1)
    logs = np.minimum(logs, logsumexp(logs) - np.log(count) + 0.5 * np.log(count))
    return [form.unpack(theta) for theta in thetas], np.exp(logs - logsumexp(logs))


def apportion(evidences: Sequence[float], count: int) -> list[int]:
    """How many of `count` draws each model gets: in proportion to its evidence, by largest remainders; the first wins a tie."""
    logs = np.round(np.array(evidences), 6)
    exact = count * np.exp(logs - logsumexp(logs))
    whole = np.floor(exact).astype(int)
    order = np.argsort(-np.round(exact - whole, 6), kind="stable")
    whole[order[: count - int(whole.sum())]] += 1
    return [int(each) for each in whole]
