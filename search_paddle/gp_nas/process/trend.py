"""GP-NAS's own question: what do the trainings say about the weights w of the linear trend? Li et al., CVPR 2020.

    f | w ~ GP(phi' w, k)     w ~ N(w0, S0)     z = f + noise

    C_k = k(X, X) + noise, the trend left out; Phi: features of X
    S1 = (S0^-1 + Phi' C_k^-1 Phi)^-1                                w1 = S1 (S0^-1 w0 + Phi' C_k^-1 z)               (1)
    w1 = w0 + S0 Phi' (C_k + Phi S0 Phi')^-1 (z - Phi w0)            S1 = S0 - S0 Phi' (C_k + Phi S0 Phi')^-1 Phi S0   (2)

The sampler integrates w out (posterior.py), which is the same model and better conditioned. Here w1 and S1 are recovered, to be
reported or to be the prior of other data. With the same data as before, these would count twice.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.process.covariance import noise
from search_paddle.gp_nas.process.kernels import Fidelity
from search_paddle.gp_nas.process.posterior import Posterior


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trend:
    """Normal distribution of the trend's weights, in units of warped scores.

    Attributes:
        names: of the features, (p).
        mean: w1, (p,).
        covariance: S1, (p, p).
    """

    names: tuple[str, ...]
    mean: Floats
    covariance: Floats


def posterior_of_weights(
    phi: Floats, covariance: Floats, values: Floats, mean: Floats, prior: Floats
) -> tuple[Floats, Floats]:
    """Posterior mean w1 and covariance S1 by equation (2), which also holds for fewer values than weights, or none.

    Args:
        phi: Phi, (n, p).
        covariance: C_k, (n, n), positive definite.
        values: z, (n,).
        mean: w0, (p,).
        prior: S0, (p, p).

    Returns:
        w1, (p,) and S1, (p, p), symmetric.
    """
    spread = prior @ phi.T
    root = cholesky(covariance + phi @ spread, lower=True)
    whitened = solve_triangular(root, np.column_stack([spread.T, values - phi @ mean]), lower=True)
    gain, residual = whitened[:, :-1], whitened[:, -1]
    return mean + gain.T @ residual, prior - gain.T @ gain


def trend_of(posterior: Posterior) -> Trend:
    """The posterior of w under a fitted process."""
    kernel, hyper, points = posterior.kernel, posterior.hyper, posterior.points
    observed, prior = posterior.observations, np.diag(kernel.linear.variances(hyper))
    phi, values = kernel.phi(hyper, observed.codes), observed.values
    covariance = kernel.without_trend(hyper, points, points)
    if hyper.fidelity is not None:
        # a score of low fidelity is 1 + r t times f, whose trend has these weights, plus a discrepancy with weights of its own
        fidelity = Fidelity(scales=hyper.fidelity)
        coupling = fidelity.cross(observed.gap, observed.gap)
        covariance = (covariance + phi @ prior @ phi.T) * coupling
        phi = phi * fidelity.loading(observed.gap)[:, None]
        covariance -= phi @ prior @ phi.T
    covariance += noise(hyper, observed)
    mean, spread = posterior_of_weights(phi, covariance, values, np.zeros(len(prior)), prior)
    return Trend(names=kernel.linear.names, mean=mean, covariance=spread)
