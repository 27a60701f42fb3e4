"""A Gaussian process on coded points, given hyperparameters: what it says of other points. likelihood.py learns them.

    notation     shape    meaning
    x, X         (n, c)   codes of the observed points (encoding.py): the family, then one column a dimension
    z            (n,)     their scores, warped to mean 0 and variance 1 (output_warping.py)
    t            (n,)     fidelity gap of their trainings: 0 after the most steps, 1 after the fewest
    phi, S0      (n, p)   features of the linear trend; prior covariance of its weights (kernels.py)
    K            (n, n)   k(X, X), the kernels' covariance, trend included (kernels.py)
    A            (n, n)   covariance over fidelity, 1 without low fidelity (kernels.py)
    C            (n, n)   covariance of z: A * K and the noise (covariance.py)
    s2, v        ()       replicate noise and checkpoint noise (covariance.py)
    L            (n, n)   lower Cholesky factor of C (factor.py)
    alpha        (n,)     C^-1 z
    k*           (m, n)   k(X*, X); times 1 + r t of the observed ones, where some are of low fidelity
    mean, var    (m,)     k* alpha;  k** - |L^-1 k*'|^2: of the latent score at the highest fidelity, without noise
    hyper                 the hyperparameters by name (hyperparameters.py); a vector (h,) only for the optimiser

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 2.1 and equation 5.12; GP-NAS (Li et al.,
CVPR 2020) for the trend, here integrated out: trend.py gives its posterior.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.process.covariance import Observations, append_row, assemble, cross, noise
from search_paddle.gp_nas.process.factor import Factor, make_factor
from search_paddle.gp_nas.process.groups import Embedded
from search_paddle.gp_nas.process.hyperparameters import Hyperparameters
from search_paddle.gp_nas.process.kernels import Kernel
from search_paddle.gp_nas.process.matern import block_rows

SMALLEST_VARIANCE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Posterior:
    """The process given observations and hyperparameters.

    Attributes:
        kernel, hyper, observations: what it is made of.
        points: the observed points, embedded.
        factor: L.
        alpha: C^-1 z.
    """

    kernel: Kernel
    hyper: Hyperparameters
    observations: Observations
    points: Embedded
    factor: Factor
    alpha: Floats

    @property
    def noise(self) -> float:
        """Variance of one training, s2."""
        return self.hyper.noise

    def mean(self, codes: Codes) -> Floats:
        """Mean of the latent score of points (m, columns), (m,)."""
        means = [covariance @ self.alpha for _, covariance in self._blocks(codes)]
        return np.concatenate(means) if means else np.zeros(0)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and variance of the latent score of points (m, columns), each (m,); the variance is positive."""
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for points, covariance in self._blocks(codes):
            solved = self.factor.whiten(covariance.T)
            means.append(covariance @ self.alpha)
            variances.append(self.kernel.diagonal(self.hyper, points) - np.einsum("nm,nm->m", solved, solved))
        return np.concatenate(means), np.maximum(np.concatenate(variances), SMALLEST_VARIANCE)

    def _blocks(self, codes: Codes) -> Iterator[tuple[Embedded, Floats]]:
        """Points, embedded, and their k*, as many at once as the cache holds."""
        rows, observed = block_rows(len(self.alpha)), (self.points, self.observations)
        for start in range(0, len(codes), rows):
            points = self.kernel.embed(self.hyper, codes[start : start + rows])
            yield points, cross(self.kernel, self.hyper, points, observed)

    def denoised_mean(self, own: float) -> Floats:
        """Mean of what each observed point would score if it were trained often, (n,): z - (1 - own) N C^-1 z.

        Args:
            own: in [0, 1], the part of the noise N that stays with the point in every training. The rest is removed.
        """
        noise_covariance = noise(self.hyper, self.observations)
        mean: Floats = self.observations.values - (1.0 - own) * (noise_covariance @ self.alpha)
        return mean

    def appended(self, new: Observations, values: Floats | None = None) -> "Posterior":
        """The posterior with more observations: O(n^2) each instead of the O(n^3) of a new factor; equal to it to rounding.

        Args:
            new: none of a point and of a fidelity that are observed already.
            values: z of all observations, old and new, (n + m,), where they were warped again. None: the old ones stay.
        """
        kernel, hyper, factor = self.kernel, self.hyper, self.factor
        points, joined = self.points, self.observations.joined(new)
        for row in range(len(self.alpha), len(joined.values)):
            point = kernel.embed(hyper, joined.codes[row : row + 1])
            points = points.joined(point)
            covariance = append_row(kernel, hyper, joined, (point, points), row)
            factor = factor.appended(covariance[:-1], float(covariance[-1]))
        if values is not None:
            joined = replace(joined, values=values)
        alpha = factor.solve(joined.values)
        return replace(self, observations=joined, points=points, factor=factor, alpha=alpha)

    def fantasized(self, codes: Codes) -> "Posterior":
        """The posterior with a fantasy for each of these points: as if each were trained and scored its present mean.

        (Also called constant liar or kriging believer.) No mean changes anywhere, but for points that were only trained at low
        fidelity; variances shrink. The hyperparameters stay; the factor grows by rows.
        """
        if not len(codes):
            return self
        count = len(codes)
        fantasies = Observations(codes=codes, values=self.mean(codes), repeats=np.ones(count), gap=np.zeros(count))
        return self.appended(fantasies)

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Mean and variance, noise included, of each value predicted from all others: z - alpha / Q_ii and 1 / Q_ii, Q = C^-1."""
        precision = np.diag(self.factor.inverse())
        return self.observations.values - self.alpha / precision, 1.0 / precision


def make_posterior(kernel: Kernel, hyper: Hyperparameters, observations: Observations) -> Posterior:
    """Condition on observations.

    Args:
        kernel: of the process.
        hyper: of the process.
        observations: n >= 0; without any this is the prior.
    """
    points = kernel.embed(hyper, observations.codes)
    factor = make_factor(assemble(kernel, hyper, observations, points))
    return Posterior(
        kernel=kernel,
        hyper=hyper,
        observations=observations,
        points=points,
        factor=factor,
        alpha=factor.solve(observations.values),
    )
