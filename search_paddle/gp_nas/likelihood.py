"""Learning the hyperparameters: the marginal likelihood with its exact gradient, the posterior density, and its maximum.

    notation     shape    meaning (more of it: gp.py)
    U, U'        (n, o)   bent positions of the ordinals and their slopes by the bend, embedded (kernels.py)
    A            (n, n)   1, or the coupling of short and long trainings (fidelity.py)
    W            (n, n)   (alpha alpha' - C^-1) * A: twice the derivative of the log likelihood by the entries of K

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, equations 5.8 and 5.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrs
from scipy.optimize import Bounds, minimize

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.factor import factorise, inverse
from search_paddle.gp_nas.fidelity import CHANGE, RATIO, WAVER, coupling, coupling_slopes, shared_luck
from search_paddle.gp_nas.gp import Observations
from search_paddle.gp_nas.kernels import BEND, CONSTANT_VARIANCE, MATERN, NOISE, TREND, Kernel, Term, squared_distances
from search_paddle.gp_nas.priors import Priors

ITERATIONS = 60  # of L-BFGS; it usually ends after 12
TOLERANCE = 1e-6  # of the log density, relative: less than a thousandth of a nat
DECIMALS = 3  # theta is rounded, so that the last bits of another BLAS build cannot decide a proposal


class Likelihood:
    """log N(z | 0, C) and its gradient as a function of theta; what does not depend on theta is computed once."""

    def __init__(self, kernel: Kernel, observations: Observations) -> None:
        self._kernel, self._observations = kernel, observations
        self._points = [_Points.of(term, observations.codes) for term in kernel.terms]
        trained = (observations.codes, observations.repeats)
        self._luck = shared_luck(trained, trained) if kernel.has_short else np.diag(1.0 / observations.repeats)

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Log marginal likelihood and its gradient by theta, (h,)."""
        kernel, values = self._kernel, self._observations.values
        parts = [
            _part(term, points, theta, kernel.smoothness)
            for term, points in zip(kernel.terms, self._points, strict=True)
        ]
        constant = np.full((len(values), 1), np.sqrt(CONSTANT_VARIANCE))
        phi = np.concatenate([constant, *(part.phi for part in parts)], axis=1)
        covariance = phi @ phi.T
        for part in parts:
            covariance += part.covariance
        covariance += np.exp(theta[NOISE]) * self._luck
        longest, short = covariance, self._observations.short
        if kernel.has_short:
            coupled = coupling(theta, short, short)
            covariance = longest * coupled
            waver = np.exp(theta[WAVER]) * short / self._observations.repeats
            covariance[np.diag_indices(len(values))] += waver
        factor = factorise(covariance)
        alpha = dpotrs(factor, values, lower=1)[0]
        log_determinant = 2.0 * np.log(np.diag(factor)).sum()
        value = -0.5 * (values @ alpha + log_determinant + len(values) * np.log(2.0 * np.pi))

        weights = np.outer(alpha, alpha) - inverse(factor)
        gradient = np.empty(kernel.size)
        if kernel.has_short:
            for place, slope in zip((RATIO, CHANGE), coupling_slopes(theta, short), strict=True):
                gradient[place] = 0.5 * np.vdot(weights * longest, slope)
            gradient[WAVER] = 0.5 * np.diag(weights) @ waver
            weights *= coupled
        gradient[NOISE] = 0.5 * np.exp(theta[NOISE]) * np.vdot(weights, self._luck)
        weighted = weights @ phi
        gradient[TREND] = 0.5 * np.vdot(phi[:, 1:], weighted[:, 1:])
        gradient[BEND], place = 0.0, 1
        for term, part in zip(kernel.terms, parts, strict=True):
            gradient[term.start] = 0.5 * np.vdot(weights, part.covariance)
            lengths, bend = part.gradient(weights)
            gradient[term.lengths] = term.by_dimension(lengths)
            last = place + part.phi.shape[1] - len(term.codes)
            gradient[BEND] += bend + np.vdot(part.phi_by_bend, weighted[:, last - len(term.ordinals) : last])
            place += part.phi.shape[1]
        return float(value), gradient


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Points:
    """What a term needs to know of the observed points, whatever theta is: p, log p (0 at p = 0), indicators and the gate."""

    places: Floats
    logs: Floats
    indicators: Floats
    inside: Floats | None

    @classmethod
    def of(cls, term: Term, codes: Codes) -> "_Points":
        places = term.places(codes)
        return cls(
            places=places,
            logs=np.log(np.where(places > 0, places, 1.0)),
            indicators=term.indicators(codes),
            inside=None if term.family is None else term.inside(codes)[:, None],
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """A term at one theta: its features and their slopes by the bend; s G M and -2 s G dM/d(a^2); U and U'."""

    phi: Floats
    phi_by_bend: Floats
    covariance: Floats
    slope: Floats
    x: Floats
    x_by_bend: Floats

    def gradient(self, weights: Floats) -> tuple[Floats, float]:
        """0.5 tr(W dC) by log l, for each embedded coordinate, and by the bend.

        With B = W * slope, symmetric: 0.5 sum_ab B_ab (x_a - x_b)^2 = x' (r * x) - x' B x, r the row sums of B.
        """
        products = weights * self.slope
        laplacian = products.sum(axis=1)[:, None] * self.x - products @ self.x
        bend = -float(np.vdot(laplacian[:, : self.x_by_bend.shape[1]], self.x_by_bend))
        lengths: Floats = np.einsum("nq,nq->q", laplacian, self.x)
        return lengths, bend


def _part(term: Term, points: _Points, theta: Floats, smoothness: float) -> _Part:
    power, spread, rates = np.exp(theta[BEND]), np.exp(0.5 * theta[TREND]), term.rates(theta, smoothness)
    straight = points.places**power
    by_bend = straight * points.logs * power  # of u = p^power; 0 at p = 0
    x = np.concatenate([straight, points.indicators], axis=1) * rates
    squares = squared_distances(x, x)
    np.fill_diagonal(squares, 0.0)
    value, slope = MATERN[smoothness](squares)
    scale: float | Floats = float(np.exp(theta[term.start]))
    phi = np.concatenate([straight - 0.5, points.indicators], axis=1) * spread
    if points.inside is not None:
        scale = scale * (points.inside @ points.inside.T)
        phi = np.concatenate([np.full_like(points.inside, spread), phi], axis=1) * points.inside
    return _Part(
        phi=phi,
        phi_by_bend=spread * by_bend * (1.0 if points.inside is None else points.inside),
        covariance=scale * value,
        slope=scale * slope,
        x=x,
        x_by_bend=by_bend * rates[: len(term.ordinals)],
    )


class Density:
    """Log posterior density of theta, but for a constant: the likelihood's logarithm plus the prior's; with its gradient."""

    def __init__(self, kernel: Kernel, priors: Priors, observations: Observations) -> None:
        self._likelihood, self._priors = Likelihood(kernel, observations), priors

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """The density and its gradient, (h,)."""
        (value, slope), (prior, prior_slope) = self._likelihood(theta), self._priors.log_density(theta)
        return value + prior, slope + prior_slope

    def precision(self, theta: Floats, step: float = 1e-3) -> Floats:
        """Minus the matrix of second derivatives, by differences of gradients; (h, h), symmetric."""
        here = self(theta)[1]
        rows: Floats = np.array([here - self(theta + step * axis)[1] for axis in np.eye(len(theta))]) / step
        symmetric: Floats = 0.5 * (rows + rows.T)
        return symmetric


def fit(density: Density, priors: Priors, starts: Sequence[Floats]) -> Floats:
    """The theta of largest posterior density that L-BFGS finds from the starts."""
    box = Bounds(priors.low, priors.high)

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, slope = density(theta)
        return -value, -slope

    ends = [
        minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": ITERATIONS, "ftol": TOLERANCE}
        )
        for start in starts
    ]
    best = min(ends, key=lambda end: round(float(end.fun), 6))
    return np.array([round(float(value), DECIMALS) for value in best.x])
