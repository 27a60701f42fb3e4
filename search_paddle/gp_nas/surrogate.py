"""The model of a search: scores warped by the map that explains them best, and a Gaussian process on the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas import warp
from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from search_paddle.gp_nas.gp import Observations, Posterior, fit, make_posterior
from search_paddle.gp_nas.kernels import Kernel
from search_paddle.gp_nas.priors import Priors
from search_paddle.gp_nas.warp import Warp

Mask = NDArray[np.bool_]

# A failed training counts as a poor score, known badly: one changes little, several in a region keep the search away from it.
FAILED_VALUE, FAILED_VARIANCE = -2.0, 4.0
PRIOR_WEIGHT = 10.0  # scores that the assumption "the process's own std is right" is worth


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surrogate:
    """A fitted model.

    Attributes:
        warp: between scores and the process's values.
        posterior: the process given all trainings.
        indices: numbers of the trained points, ascending: the rows of the process's observations.
        failed: which of them have no finite score, (n,).
        widening: factor on the std of predictions, from leave-one-out residuals.
    """

    warp: Warp
    posterior: Posterior
    indices: tuple[int, ...]
    failed: Mask
    widening: float

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and std of the score of one new training, noise included, in the score's unit; each (m,)."""
        mean, variance = self.posterior.predict(codes)
        return self.warp.moments(mean, self.widening * np.sqrt(variance + self.posterior.noise))


def make_surrogate(
    encoding: Encoding, kernel: Kernel, priors: Priors, trainings: Mapping[int, Sequence[float]]
) -> Surrogate:
    """Fit the model to all trainings; the order in which they came does not matter.

    Args:
        encoding: of the space.
        kernel: of the space.
        priors: of the kernel.
        trainings: number of a point -> its scores; NaN or infinity: that training failed. May be empty.
    """
    indices = sorted(trainings)
    finite = [[score for score in sorted(trainings[index]) if np.isfinite(score)] for index in indices]
    failed = np.array([not scores for scores in finite], dtype=bool)
    means = np.array([np.mean(scores) for scores in finite if scores])
    repeats = np.array([max(len(scores), 1) for scores in finite], dtype=np.float64)
    codes = encoding.codes(indices)
    models = []
    for candidate in warp.candidates(means):
        values = np.full(len(indices), FAILED_VALUE)
        values[~failed] = candidate.values
        observed = Observations(
            codes=codes, values=values, repeats=repeats, extra=np.where(failed, FAILED_VARIANCE, 0.0)
        )
        fitted = fit(kernel, priors, observed)
        penalty = warp.PENALTY if candidate.name != "identity" else 0.0
        models.append((round(fitted.log_likelihood + candidate.log_jacobian - penalty, 6), candidate, fitted, observed))
    _, best, fitted, observed = max(models, key=lambda model: model[0])
    posterior = make_posterior(kernel, fitted.theta, observed)
    return Surrogate(
        warp=best,
        posterior=posterior,
        indices=tuple(indices),
        failed=failed,
        widening=_widening(posterior, ~failed),
    )


def _widening(posterior: Posterior, finite: Mask) -> float:
    """Root mean square of the standardised leave-one-out residuals, drawn towards 1 while they are few.

    Hyperparameters of largest posterior density are overconfident: 95 % intervals held .86 to .93 without this.
    """
    count = int(finite.sum())
    if count < 2:
        return 1.0
    mean, variance = posterior.leave_one_out()
    squares = (posterior.observations.values - mean)[finite] ** 2 / variance[finite]
    return 1.0 + (float(np.sqrt(squares.mean())) - 1.0) * count / (count + PRIOR_WEIGHT)
