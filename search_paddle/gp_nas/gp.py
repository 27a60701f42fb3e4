"""A Gaussian process on coded points, given hyperparameters: what it says of other points. likelihood.py learns them.

    notation     shape    meaning
    X            (n, c)   codes of the observed points (encoding.py)
    z            (n,)     their scores, warped to mean 0 and variance 1 (warp.py)
    theta        (h,)     hyperparameters, most of them logarithms (kernels.py)
    C            (n, n)   k(X, X), trend included, + s2 / repeats on the diagonal; with short trainings as in fidelity.py
    L            (n, n)   lower Cholesky factor of C (factor.py)
    alpha        (n,)     C^-1 z
    k*           (m, n)   k(X*, X); times 1 + r t of the observed ones, where some are short
    mean, var    (m,)     k* alpha;  k** - |L^-1 k*'|^2: of the latent score after the most steps, without noise

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 2.1 and equation 5.12; GP-NAS (Li et al.,
CVPR 2020) for the trend, here integrated out: hierarchical.py gives its posterior.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.factor import Factor, make_factor
from search_paddle.gp_nas.fidelity import WAVER, coupling, reach, shared_luck
from search_paddle.gp_nas.kernels import NOISE, Embedded, Kernel, chunk

SMALLEST_VARIANCE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Observations:
    """What the process is conditioned on; all arrays have n rows, n >= 0.

    Attributes:
        codes: X.
        values: z.
        repeats: trainings behind each value: the learnt noise s2 is divided by it.
        short: t of these trainings (fidelity.py); 0 without short ones.
    """

    codes: Codes
    values: Floats
    repeats: Floats
    short: Floats

    def rows(self, places: slice | NDArray[np.bool_]) -> "Observations":
        """Some of them."""
        return Observations(
            codes=self.codes[places],
            values=self.values[places],
            repeats=self.repeats[places],
            short=self.short[places],
        )

    def joined(self, other: "Observations") -> "Observations":
        """These and, after them, others."""
        return Observations(
            codes=np.concatenate([self.codes, other.codes]),
            values=np.concatenate([self.values, other.values]),
            repeats=np.concatenate([self.repeats, other.repeats]),
            short=np.concatenate([self.short, other.short]),
        )

    def noise(self, kernel: Kernel, theta: Floats) -> Floats:
        """Covariance of the noise, (n, n)."""
        variance = float(np.exp(theta[NOISE]))
        if not kernel.has_short:
            return np.diag(variance / self.repeats)
        trained = (self.codes, self.repeats)
        noise: Floats = variance * shared_luck(trained, trained) * coupling(theta, self.short, self.short)
        noise[np.diag_indices(len(noise))] += np.exp(theta[WAVER]) * self.short / self.repeats
        return noise


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
            solved = self.factor.whiten(cross.T)
            means.append(cross @ self.alpha)
            variances.append(self.kernel.diagonal(self.theta, part) - np.einsum("nm,nm->m", solved, solved))
        return np.concatenate(means), np.maximum(np.concatenate(variances), SMALLEST_VARIANCE)

    def _chunks(self, codes: Codes) -> "list[Embedded]":
        rows = chunk(len(self.alpha))
        return [self.kernel.embed(self.theta, codes[start : start + rows]) for start in range(0, len(codes), rows)]

    def _cross(self, points: Embedded) -> Floats:
        cross = self.kernel.cross(self.theta, points, self.points)
        if self.kernel.has_short:
            cross *= reach(self.theta, self.observations.short)
        return cross

    def worth(self, own: float) -> Floats:
        """Mean of what each observed point would score if it were trained often, (n,): z - (1 - own) N C^-1 z.

        N is the noise's covariance, of which the share `own` stays with the point in every training and the rest does not.
        """
        noise = self.observations.noise(self.kernel, self.theta)
        worth: Floats = self.observations.values - (1.0 - own) * (noise @ self.alpha)
        return worth

    def log_likelihood(self) -> float:
        """Log N(z | 0, C)."""
        values = self.observations.values
        square = float(values @ self.alpha)
        return -0.5 * (square + self.factor.log_determinant() + len(values) * float(np.log(2.0 * np.pi)))

    def appended(self, new: Observations, values: Floats | None = None) -> "Posterior":
        """The posterior with more observations: O(n^2) each instead of the O(n^3) of a new factor; equal to it to rounding.

        Args:
            new: none of a point and as short as an observed one.
            values: z of all observations, old and new, (n + m,): warped anew. None: the old ones stay.
        """
        kernel, theta, factor = self.kernel, self.theta, self.factor
        points, joined = self.points, self.observations.joined(new)
        for row in range(len(self.alpha), len(joined.values)):
            point = kernel.embed(theta, joined.codes[row : row + 1])
            points = points.joined(point)
            covariance = _covariance(kernel, theta, joined, (point, points), row)
            factor = factor.appended(covariance[:-1], float(covariance[-1]))
        if values is not None:
            joined = replace(joined, values=values)
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

        But for points that were trained short, no mean changes anywhere; variances shrink. The hyperparameters stay; the factor
        grows by rows.
        """
        if not len(codes):
            return self
        count = len(codes)
        return self.appended(
            Observations(codes=codes, values=self.mean(codes), repeats=np.ones(count), short=np.zeros(count))
        )

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Mean and variance, noise included, of each value predicted from all others: z - alpha / Q_ii and 1 / Q_ii, Q = C^-1."""
        precision = np.diag(self.factor.inverse())
        return self.observations.values - self.alpha / precision, 1.0 / precision


def make_posterior(kernel: Kernel, theta: Floats, observations: Observations) -> Posterior:
    """Condition on observations; with none of them this is the prior."""
    points = kernel.embed(theta, observations.codes)
    covariance = kernel.cross(theta, points, points)
    if kernel.has_short:
        covariance *= coupling(theta, observations.short, observations.short)
        covariance += observations.noise(kernel, theta)
    else:
        covariance[np.diag_indices(len(covariance))] += np.exp(theta[NOISE]) / observations.repeats
    factor = make_factor(covariance)
    return Posterior(
        kernel=kernel,
        theta=theta,
        observations=observations,
        points=points,
        factor=factor,
        alpha=factor.solve(observations.values),
    )


def _covariance(
    kernel: Kernel, theta: Floats, observations: Observations, points: tuple[Embedded, Embedded], row: int
) -> Floats:
    """A row of C up to its diagonal, (row + 1,); points: that of the row, and all up to it."""
    upto = slice(0, row + 1)
    covariance: Floats = kernel.cross(theta, *points)[0]
    covariance[-1] = kernel.diagonal(theta, points[0])[0]
    if not kernel.has_short:
        covariance[-1] += np.exp(theta[NOISE]) / observations.repeats[row]
        return covariance
    codes, repeats, short = observations.codes, observations.repeats, observations.short
    luck = shared_luck((codes[row : row + 1], repeats[row : row + 1]), (codes[upto], repeats[upto]))[0]
    covariance += np.exp(theta[NOISE]) * luck
    covariance *= coupling(theta, short[row : row + 1], short[upto])[0]
    covariance[-1] += np.exp(theta[WAVER]) * short[row] / repeats[row]
    return covariance
