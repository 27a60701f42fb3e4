"""Predict: averages of conditioned processes, in the unit of the score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.process.posterior import Posterior
from search_paddle.gp_nas.surrogate.evaluations import FidelityRange, PointAtSteps
from search_paddle.gp_nas.surrogate.output_warping import OutputWarping
from search_paddle.gp_nas.surrogate.success import Success

NODES = ndtri((np.arange(32) + 0.5) / 32)  # normal quantiles
WIDER = 1.06  # of the std: the average knows no other errors than those of its own models
OWN = 0.5  # of the noise: the part that is the architecture's own, not the training's; one training cannot tell


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Component:
    """One process of the average.

    Attributes:
        warping: between scores and the process's values.
        posterior: the process given all scores.
        weight: of its predictions; positive, of sum 1.
    """

    warping: OutputWarping
    posterior: Posterior
    weight: float

    def quantiles(self, mean: Floats, variance: Floats) -> Floats:
        """Equally probable scores, ascending, (m, NODES), for a mean and a variance of the process, noise included, (m,)."""
        return self.warping.scores(mean[:, None] + np.sqrt(variance)[:, None] * NODES)

    def new(self, codes: Codes) -> Floats:
        """Quantiles of one new training of each point, (m, NODES)."""
        mean, variance = self.posterior.predict(codes)
        return self.quantiles(mean, variance + self.posterior.noise)

    def left_out(self) -> Floats:
        """Quantiles of each known training of the highest fidelity, predicted from all others."""
        highest = self.posterior.observations.is_highest
        mean, variance = self.posterior.leave_one_out()
        return self.quantiles(mean[highest], variance[highest])

    def known(self) -> Floats:
        """Scores of the highest fidelity."""
        observed = self.posterior.observations
        return self.warping.scores(observed.values[observed.is_highest])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surrogate:
    """A fitted and conditioned model.

    Attributes:
        components: the average, heaviest first; at least one.
        success: the model of which trainings fail.
        rows: the processes' observations: points with a score, and after how many steps.
        fidelities: of the trainings that have a score.
        scored: number of scores that it knows.
        fitted: hyperparameters were fitted to the first so many of them.
    """

    components: tuple[Component, ...]
    success: Success
    rows: tuple[PointAtSteps, ...]
    fidelities: FidelityRange
    scored: int
    fitted: int

    def denoised_means(self) -> dict[int, float]:
        """Point's number -> denoised mean, in the score's unit; points of the highest fidelity.

        Half of the noise (OWN) counts as the architecture's own: it stays in every training. The rest is removed.
        """
        points = [point for point, steps in self.rows if steps == self.fidelities.highest]
        total = np.zeros(len(points))
        for component in self.components:
            posterior = component.posterior
            means = posterior.denoised_mean(OWN)[posterior.observations.is_highest]
            total += component.weight * component.warping.scores(means)
        return dict(zip(points, total.tolist(), strict=True))

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and std of the score of one new training of the highest fidelity that succeeds, noise included; each (m,).

        The std is that of the normal distribution whose central 80 % are as wide, times WIDER. A predicted score is often skewed,
        since networks fail badly and excel by little, and the second moment would say more of rare failures than of uncertainty.
        Where known scores are further from what the others predict than that, it is wider still (`variance_inflation`).

        Args:
            codes: m points, (m, columns).
        """
        if not len(codes):
            return np.zeros(0), np.zeros(0)
        mean, std = self._average([component.new(codes) for component in self.components])
        return mean, self.variance_inflation() * std

    def variance_inflation(self) -> float:
        """Factor of all predicted stds, at least 1, so that outliers that no model explains widen all intervals.

        It is the root mean square of (score - mean) / std with each score left out, shrunk to 1 by n / (n + 10).
        """
        known = self.components[0].known()
        if not len(known):
            return 1.0
        mean, std = self._average([component.left_out() for component in self.components])
        excess = float(np.sqrt(np.mean(((known - mean) / std) ** 2))) - 1.0
        return 1.0 + max(excess, 0.0) * len(known) / (len(known) + 10.0)

    def _average(self, quantiles: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Mean and std of the components' quantiles, each (m,)."""
        chances = np.repeat([component.weight / len(NODES) for component in self.components], len(NODES))
        values = np.concatenate(quantiles, axis=1)
        low, high = (weighted_quantile(values, chances, level) for level in (0.1, 0.9))
        return values @ chances, WIDER * (high - low) / (2.0 * ndtri(0.9))


def weighted_quantile(values: Floats, chances: Floats, level: float) -> Floats:
    """Quantile of each row, linear between the middles of the values' chances, (m,).

    Args:
        values: (m, k).
        chances: of the columns, (k,), of sum 1.
        level: in (0, 1).
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered, middles = (
        np.take_along_axis(values, order, axis=1),
        np.cumsum(chances[order], axis=1) - 0.5 * chances[order],
    )
    above = np.clip(np.sum(middles < level, axis=1), 1, values.shape[1] - 1)[:, None]
    (low, high), (left, right) = (
        [np.take_along_axis(parts, above - side, axis=1)[:, 0] for side in (1, 0)] for parts in (ordered, middles)
    )
    quantile: Floats = low + (high - low) * np.clip((level - left) / (right - left), 0.0, 1.0)
    return quantile
