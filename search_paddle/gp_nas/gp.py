"""A Gaussian process on coded points: marginal likelihood with exact gradient, fit, posterior.

    notation     shape    meaning
    X            (n, c)   codes of the observed points (encoding.py)
    z            (n,)     their scores, warped to mean 0 and variance 1 (warp.py)
    theta        (h,)     logarithms of the hyperparameters (kernels.py), fitted by maximum a posteriori
    Phi          (n, p)   features of the linear trend; S0 its prior covariance (diagonal), w its weights
    D_t          (d, nn)  squared distances of a term by dimension, computed once
    C            (n, n)   k(X, X), trend included, + noise on the diagonal: s2 / repeats + what is known beforehand
    L            (n, n)   lower Cholesky factor of C
    alpha        (n,)     C^-1 z
    W            (n, n)   alpha alpha' - C^-1: twice the derivative of the log likelihood by the entries of C
    k*           (m, n)   k(X*, X)
    mean, var    (m,)     k* alpha;  k** - |L^-1 k*'|^2: of the latent score, without noise

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 2.1, equations 5.8, 5.9 and 5.12; GP-NAS
(Li et al., CVPR 2020) for the trend, here integrated out: hierarchical.py gives its posterior.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import Bounds, minimize

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.kernels import NOISE, TREND, Kernel, matern52
from search_paddle.gp_nas.priors import Priors
from shared.errors import NonFiniteError

JITTERS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
ITERATIONS = 60  # of L-BFGS; it usually ends after 25
DECIMALS = 3  # theta is rounded, so that the last bits of another BLAS build cannot decide a proposal
CHUNK = 4096  # candidates at once: bounds memory
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fit:
    """Hyperparameters and how well they explain the observations: log N(z | 0, C), without the prior."""

    theta: Floats
    log_likelihood: float


class Likelihood:
    """log N(z | 0, C) and its gradient as a function of theta; what does not depend on theta is computed once."""

    def __init__(self, kernel: Kernel, observations: Observations) -> None:
        codes, count = observations.codes, len(observations.codes)
        self._kernel, self._observations = kernel, observations
        self._phi = kernel.phi(codes)
        gates = [term.gate(codes, codes) for term in kernel.terms]
        self._gates = [np.ones((count, count)) if gate is None else gate.astype(np.float64) for gate in gates]
        self._distances = [
            term.distances(codes, codes).reshape(len(term.columns), count * count) for term in kernel.terms
        ]

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Log marginal likelihood and its gradient by theta, (h,)."""
        covariance, parts, slopes = self._covariance(theta)
        factor = factorise(covariance)
        values = self._observations.values
        alpha = cho_solve((factor, True), values, check_finite=False)
        log_determinant = 2.0 * np.log(np.diag(factor)).sum()
        value = -0.5 * (values @ alpha + log_determinant + len(values) * np.log(2.0 * np.pi))
        return float(value), self._gradient(theta, np.outer(alpha, alpha) - inverse(factor), parts, slopes)

    def _covariance(self, theta: Floats) -> tuple[Floats, list[Floats], list[Floats]]:
        """C; for each term its part of it; and the slope that gives the derivative by its log length-scales."""
        count = len(self._phi)
        covariance = (self._phi * self._kernel.trend_variances(theta)) @ self._phi.T
        parts, slopes = [], []
        for term, gate, distances in zip(self._kernel.terms, self._gates, self._distances, strict=True):
            correlation, slope = matern52((term.rates(theta) @ distances).reshape(count, count))
            scale = np.exp(theta[term.start]) * gate
            parts.append(scale * correlation)
            slopes.append(scale * slope)
            covariance += parts[-1]
        covariance[np.diag_indices(count)] += self._observations.noise(theta)
        return covariance, parts, slopes

    def _gradient(self, theta: Floats, weights: Floats, parts: list[Floats], slopes: list[Floats]) -> Floats:
        """0.5 tr(W dC/dtheta); `weights` is W."""
        gradient = np.empty(len(theta))
        gradient[NOISE] = 0.5 * np.diag(weights) @ (np.exp(theta[NOISE]) / self._observations.repeats)
        by_feature = np.sum(self._phi * (weights @ self._phi), axis=0)
        gradient[TREND] = 0.5 * self._kernel.trend_variances(theta)[1:] @ by_feature[1:]
        for term, part, slope, distances in zip(self._kernel.terms, parts, slopes, self._distances, strict=True):
            gradient[term.start] = 0.5 * np.vdot(weights, part)
            gradient[term.lengths] = 0.5 * term.rates(theta) * (distances @ (weights * slope).ravel())
        return gradient


def fit(kernel: Kernel, priors: Priors, observations: Observations) -> Fit:
    """The hyperparameters of largest posterior density, by L-BFGS from each of the priors' starts; the prior's mode without data.

    A pure function of its arguments: no start depends on an earlier fit, so a rebuilt sampler fits the same.
    """
    if not len(observations.values):
        return Fit(theta=priors.location, log_likelihood=0.0)
    likelihood = Likelihood(kernel, observations)

    def loss(theta: Floats) -> tuple[float, Floats]:
        (value, slope), (prior, prior_slope) = likelihood(theta), priors.log_density(theta)
        return -value - prior, -slope - prior_slope

    box = Bounds(priors.low, priors.high)
    ends = [
        minimize(loss, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": ITERATIONS})
        for start in priors.starts()
    ]
    best = min(ends, key=lambda end: round(float(end.fun), 6))
    theta = np.round(best.x, DECIMALS)
    return Fit(theta=theta, log_likelihood=likelihood(theta)[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Posterior:
    """The process given observations and hyperparameters.

    Attributes:
        kernel, theta, observations: what it is made of.
        factor: L.
        alpha: C^-1 z.
    """

    kernel: Kernel
    theta: Floats
    observations: Observations
    factor: Floats
    alpha: Floats

    @property
    def noise(self) -> float:
        """Variance of one training, s2."""
        return float(np.exp(self.theta[NOISE]))

    def mean(self, codes: Codes) -> Floats:
        """Mean of the latent score, (m,)."""
        return self.kernel.cross(self.theta, codes, self.observations.codes) @ self.alpha

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and variance of the latent score, each (m,); the variance is positive."""
        chunks = [self._predict(codes[start : start + CHUNK]) for start in range(0, len(codes), CHUNK)]
        if not chunks:
            return np.zeros(0), np.zeros(0)
        means, variances = zip(*chunks, strict=True)
        return np.concatenate(means), np.concatenate(variances)

    def _predict(self, codes: Codes) -> tuple[Floats, Floats]:
        cross = self.kernel.cross(self.theta, codes, self.observations.codes)
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = self.kernel.diagonal(self.theta, codes) - np.einsum("nm,nm->m", solved, solved)
        return cross @ self.alpha, np.maximum(variance, SMALLEST_VARIANCE)

    def believing(self, codes: Codes) -> "Posterior":
        """The posterior if each of these points were trained and scored its present mean (constant liar).

        No mean changes anywhere; variances shrink. The hyperparameters stay; the factor grows by rows.
        """
        if not len(codes):
            return self
        old, count = self.observations, len(codes)
        cross = solve_triangular(
            self.factor, self.kernel.cross(self.theta, old.codes, codes), lower=True, check_finite=False
        )
        corner = self.kernel.cross(self.theta, codes, codes) + self.noise * np.eye(count) - cross.T @ cross
        factor = np.block([[self.factor, np.zeros((len(old.codes), count))], [cross.T, factorise(corner)]])
        observations = Observations(
            codes=np.concatenate([old.codes, codes]),
            values=np.concatenate([old.values, self.mean(codes)]),
            repeats=np.concatenate([old.repeats, np.ones(count)]),
            extra=np.concatenate([old.extra, np.zeros(count)]),
        )
        alpha = np.concatenate([self.alpha, np.zeros(count)])
        return Posterior(kernel=self.kernel, theta=self.theta, observations=observations, factor=factor, alpha=alpha)

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Mean and variance, noise included, of each value predicted from all others: z - alpha / Q_ii and 1 / Q_ii, Q = C^-1."""
        precision = np.diag(inverse(self.factor))
        return self.observations.values - self.alpha / precision, 1.0 / precision


def make_posterior(kernel: Kernel, theta: Floats, observations: Observations) -> Posterior:
    """Condition on observations; with none of them this is the prior."""
    covariance = kernel.cross(theta, observations.codes, observations.codes) + np.diag(observations.noise(theta))
    factor = factorise(covariance)
    alpha = cho_solve((factor, True), observations.values, check_finite=False)
    return Posterior(kernel=kernel, theta=theta, observations=observations, factor=factor, alpha=alpha)


def factorise(covariance: Floats) -> Floats:
    """Lower Cholesky factor. Where rounding made the matrix indefinite, its diagonal is raised by 1e-8 to 1e-3 of itself.

    Raises:
        NonFiniteError: even that does not help.
    """
    diagonal = np.diag(covariance)
    for jitter in JITTERS:
        try:
            return np.asarray(cholesky(covariance + np.diag(jitter * diagonal), lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            continue
    raise NonFiniteError(
        f"covariance of {len(covariance)} points: got no positive definite matrix, even with its diagonal raised by "
        f"{JITTERS[-1]}; expected finite scores of a common size"
    )


def inverse(factor: Floats) -> Floats:
    """C^-1 from the lower Cholesky factor of C."""
    lower, _ = dpotri(factor, lower=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)
