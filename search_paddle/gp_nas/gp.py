"""A Gaussian process on coded points: marginal likelihood with exact gradient, fit, posterior.

    notation     shape    meaning
    X            (n, c)   codes of the observed points (encoding.py)
    z            (n,)     their scores, warped to mean 0 and variance 1 (warp.py)
    theta        (h,)     logarithms of the hyperparameters (kernels.py)
    U, U'        (n, o)   bent positions of the ordinals and their slopes by the bend, embedded (kernels.py)
    C            (n, n)   k(X, X), trend included, + noise on the diagonal: s2 / repeats + what is known beforehand
    L            (n, n)   lower Cholesky factor of C (factor.py)
    alpha        (n,)     C^-1 z
    W            (n, n)   alpha alpha' - C^-1: twice the derivative of the log likelihood by the entries of C
    k*           (m, n)   k(X*, X)
    mean, var    (m,)     k* alpha;  k** - |L^-1 k*'|^2: of the latent score, without noise

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 2.1, equations 5.8, 5.9 and 5.12; GP-NAS
(Li et al., CVPR 2020) for the trend, here integrated out: hierarchical.py gives its posterior.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrs
from scipy.optimize import Bounds, minimize

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.factor import Factor, factorise, inverse, make_factor
from search_paddle.gp_nas.kernels import (
    BEND,
    CONSTANT_VARIANCE,
    MATERN,
    NOISE,
    TREND,
    Embedded,
    Kernel,
    Term,
    squared_distances,
)
from search_paddle.gp_nas.priors import Priors

ITERATIONS = 60  # of L-BFGS; it usually ends after 12
TOLERANCE = 1e-6  # of the log density, relative: less than a thousandth of a nat
DECIMALS = 3  # theta is rounded, so that the last bits of another BLAS build cannot decide a proposal
CHUNK = 512  # candidates at once: what is computed of them stays in the cache
SMALLEST_VARIANCE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Observations:
    """What the process is conditioned on; all arrays have n rows, n >= 0.

    Attributes:
        codes: X.
        values: z.
        repeats: trainings behind each value: the learnt noise s2 is divided by it.
        extra: variance known beforehand, added to the noise.
    """

    codes: Codes
    values: Floats
    repeats: Floats
    extra: Floats

    def noise(self, theta: Floats) -> Floats:
        """Noise variance of each value, (n,)."""
        noise: Floats = np.exp(theta[NOISE]) / self.repeats + self.extra
        return noise

    def joined(self, other: "Observations") -> "Observations":
        """These and, after them, others."""
        return Observations(
            codes=np.concatenate([self.codes, other.codes]),
            values=np.concatenate([self.values, other.values]),
            repeats=np.concatenate([self.repeats, other.repeats]),
            extra=np.concatenate([self.extra, other.extra]),
        )


class Likelihood:
    """log N(z | 0, C) and its gradient as a function of theta; what does not depend on theta is computed once."""

    def __init__(self, kernel: Kernel, observations: Observations) -> None:
        self._kernel, self._observations = kernel, observations
        self._points = [_Points.of(term, observations.codes) for term in kernel.terms]

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
        covariance[np.diag_indices(len(values))] += self._observations.noise(theta)
        factor = factorise(covariance)
        alpha = dpotrs(factor, values, lower=1)[0]
        log_determinant = 2.0 * np.log(np.diag(factor)).sum()
        value = -0.5 * (values @ alpha + log_determinant + len(values) * np.log(2.0 * np.pi))

        weights = np.outer(alpha, alpha) - inverse(factor)
        gradient = np.empty(kernel.size)
        gradient[NOISE] = 0.5 * np.diag(weights) @ (np.exp(theta[NOISE]) / self._observations.repeats)
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Posterior:
    """The process given observations and hyperparameters.

    Attributes:
        kernel, theta, observations: what it is made of.
        points: the observed points, embedded.
        factor: L.
        alpha: C^-1 z.
    """

    kernel: Kernel
    theta: Floats
    observations: Observations
    points: Embedded
    factor: Factor
    alpha: Floats

    @property
    def noise(self) -> float:
        """Variance of one training, s2."""
        return float(np.exp(self.theta[NOISE]))

    def mean(self, codes: Codes) -> Floats:
        """Mean of the latent score, (m,)."""
        means = [self._cross(part) @ self.alpha for part in self._chunks(codes)]
        return np.concatenate(means) if means else np.zeros(0)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and variance of the latent score, each (m,); the variance is positive."""
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for part in self._chunks(codes):
            cross = self._cross(part)
            solved = self.factor.whiten(np.asfortranarray(cross.T))
            means.append(cross @ self.alpha)
            variances.append(self.kernel.diagonal(self.theta, part) - np.einsum("nm,nm->m", solved, solved))
        return np.concatenate(means), np.maximum(np.concatenate(variances), SMALLEST_VARIANCE)

    def _chunks(self, codes: Codes) -> "list[Embedded]":
        return [self.kernel.embed(self.theta, codes[start : start + CHUNK]) for start in range(0, len(codes), CHUNK)]

    def _cross(self, points: Embedded) -> Floats:
        return self.kernel.cross(self.theta, points, self.points)

    def worth(self, own: float) -> Floats:
        """Mean of what each observed point would score if it were trained often, (n,): z - (1 - own) N C^-1 z.

        N is the noise's covariance, of which the share `own` stays with the point in every training and the rest does not.
        """
        noise = self.observations.noise(self.theta)
        worth: Floats = self.observations.values - (1.0 - own) * noise * self.alpha
        return worth

    def log_likelihood(self) -> float:
        """Log N(z | 0, C)."""
        values = self.observations.values
        square = float(values @ self.alpha)
        return -0.5 * (square + self.factor.log_determinant() + len(values) * float(np.log(2.0 * np.pi)))

    def appended(self, new: Observations, values: Floats | None = None) -> "Posterior":
        """The posterior with more observations: O(n^2) each instead of the O(n^3) of a new factor; equal to it to rounding.

        Args:
            new: points not among the observed ones.
            values: z of all observations, old and new, (n + m,): warped anew. None: the old ones stay.
        """
        kernel, theta, factor = self.kernel, self.theta, self.factor
        points, noise = self.points, new.noise(theta)
        for row in range(len(new.values)):
            point = kernel.embed(theta, new.codes[row : row + 1])
            cross = kernel.cross(theta, point, points)[0]
            factor = factor.appended(cross, float(kernel.diagonal(theta, point)[0] + noise[row]))
            points = points.joined(point)
        joined = self.observations.joined(new)
        if values is not None:
            joined = Observations(codes=joined.codes, values=values, repeats=joined.repeats, extra=joined.extra)
        return Posterior(
            kernel=kernel,
            theta=theta,
            observations=joined,
            points=points,
            factor=factor,
            alpha=factor.solve(joined.values),
        )

    def believing(self, codes: Codes) -> "Posterior":
        """The posterior if each of these points were trained and scored its present mean (constant liar).

        No mean changes anywhere; variances shrink. The hyperparameters stay; the factor grows by rows.
        """
        if not len(codes):
            return self
        count = len(codes)
        return self.appended(
            Observations(codes=codes, values=self.mean(codes), repeats=np.ones(count), extra=np.zeros(count))
        )

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Mean and variance, noise included, of each value predicted from all others: z - alpha / Q_ii and 1 / Q_ii, Q = C^-1."""
        precision = np.diag(self.factor.inverse())
        return self.observations.values - self.alpha / precision, 1.0 / precision


def make_posterior(kernel: Kernel, theta: Floats, observations: Observations) -> Posterior:
    """Condition on observations; with none of them this is the prior."""
    points = kernel.embed(theta, observations.codes)
    covariance = kernel.cross(theta, points, points)
    covariance[np.diag_indices(len(covariance))] += observations.noise(theta)
    factor = make_factor(covariance)
    return Posterior(
        kernel=kernel,
        theta=theta,
        observations=observations,
        points=points,
        factor=factor,
        alpha=factor.solve(observations.values),
    )
