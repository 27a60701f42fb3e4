"""Output warping: strictly increasing maps of scores to values of mean 0 and variance 1, the scale of a Gaussian process.

    identity       (y - mean) / std
    normal_scores  rank r of n to the normal quantile of (r - 1/2) / n
    half_rank      normal scores below the median, linear above: a tail of broken networks is compressed, while the best keep
                   their distances (Song et al., The Vizier Gaussian Process Bandit Algorithm, 2024)

Which one is used is decided by evidence: log N(z | 0, C) + log |dz/dy|. Where a map follows ranks, its slope is p(y) / phi(z),
with p the density of the scores, estimated by spacings of several ranks (Vasicek, 1976, without its bias). Such a map has as many
free slopes as there are scores, so it has to win by PENALTY. On the tables of the benchmark this mostly keeps the identity where
it predicts better, and replaces it where broken networks dominate the likelihood.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, ndtri
from scipy.stats import rankdata

from search_paddle.gp_nas.encoding import Floats

PENALTY = 2.0  # nats
FEWEST = 8  # scores, 5 of them different, for a map by ranks


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OutputWarping:
    """An increasing map, linear between knots and beyond them.

    Attributes:
        name: one of the three above.
        values: z of each score, (n,).
        scores_at, values_at: the knots: different scores, ascending, and their z; at least two.
        log_jacobian: sum over the scores of log dz/dy.
    """

    name: str
    values: Floats
    scores_at: Floats
    values_at: Floats
    log_jacobian: float

    def scores(self, values: Floats) -> Floats:
        """The score of each z, any shape: strictly increasing; beyond the knots a line as steep as the outer quarter of them."""
        y, z, quarter = self.scores_at, self.values_at, max(len(self.values_at) // 4, 1)
        low, high = (y[quarter] - y[0]) / (z[quarter] - z[0]), self.rise
        below, above = np.minimum(values - z[0], 0.0), np.maximum(values - z[-1], 0.0)
        scores: Floats = np.interp(values, z, y) + low * below + high * above
        return scores

    @property
    def log_evidence(self) -> float:
        """What a map adds to the log density of the scores: its Jacobian, less PENALTY if it follows ranks."""
        return self.log_jacobian - (0.0 if self.name == "identity" else PENALTY)

    @property
    def rise(self) -> float:
        """dy/dz beyond the best score."""
        quarter = max(len(self.values_at) // 4, 1)
        return float(
            (self.scores_at[-1] - self.scores_at[-1 - quarter]) / (self.values_at[-1] - self.values_at[-1 - quarter])
        )


def warpings(scores: Floats) -> tuple[OutputWarping, ...]:
    """The maps to try on finite scores (n,), the identity first; only the identity if few of them are different."""
    is_enough = len(scores) >= FEWEST and len(np.unique(scores)) >= 5
    return tuple(make(scores) for make in (MAPS.values() if is_enough else [identity]))


def identity(scores: Floats) -> OutputWarping:
    """Mean 0, variance 1. Without scores nothing changes; equal scores keep their unit."""
    mean = scores.mean() if len(scores) else 0.0
    std = float(scores.std()) if len(scores) else 0.0
    std = std if std > 1e-12 * max(abs(mean), 1e-300) else 1.0
    knots = np.array([-1.0, 1.0])
    return OutputWarping(
        name="identity",
        values=(scores - mean) / std,
        scores_at=mean + std * knots,
        values_at=knots,
        log_jacobian=-len(scores) * float(np.log(std)),
    )


def normal_scores(scores: Floats) -> OutputWarping:
    """Normal quantiles of ranks; equal scores share their mean rank."""
    values = _quantiles(scores)
    return _standardised("normal_scores", scores, values, _log_slopes(scores, values))


def half_rank(scores: Floats) -> OutputWarping:
    """Normal quantiles below the median, a straight line above it, as steep as makes both halves equally wide."""
    ranked, median = _quantiles(scores), np.median(scores)
    upper = scores >= median
    width = float(np.sqrt(np.mean((scores[upper] - median) ** 2)))
    slope = float(np.sqrt(np.mean(ranked[upper] ** 2))) / width if width > 0 else 1.0
    values = np.where(upper, (scores - median) * slope, ranked)
    return _standardised("half_rank", scores, values, np.where(upper, np.log(slope), _log_slopes(scores, ranked)))


MAPS: dict[str, Callable[[Floats], OutputWarping]] = {
    "identity": identity,
    "normal_scores": normal_scores,
    "half_rank": half_rank,
}


def _standardised(name: str, scores: Floats, values: Floats, log_slopes: Floats) -> OutputWarping:
    std = values.std()
    values = (values - values.mean()) / std
    knots, first = np.unique(scores, return_index=True)
    log_jacobian = float(np.sum(log_slopes - np.log(std)))
    return OutputWarping(name=name, values=values, scores_at=knots, values_at=values[first], log_jacobian=log_jacobian)


def _quantiles(scores: Floats) -> Floats:
    return np.asarray(ndtri((rankdata(scores) - 0.5) / len(scores)))


def _log_slopes(scores: Floats, quantiles: Floats) -> Floats:
    """log(p(y) / phi(z)) at each score."""
    slopes: Floats = _log_density(scores) + 0.5 * quantiles**2 + 0.5 * np.log(2.0 * np.pi)
    return slopes


def _log_density(scores: Floats) -> Floats:
    """Log density at scores, from the gap between the scores m ranks below and above: k spacings hold k / (n + 1) of the mass.

    digamma(k) instead of log k removes the bias. No gap is below the smallest step between scores: ties mean that scores are
    rounded to it, not that their density is infinite.
    """
    count, order = len(scores), np.argsort(scores, kind="stable")
    ascending, place = scores[order], np.arange(count)
    spacing = max(round(np.sqrt(count) / 1.5), 1)
    low, high = np.maximum(place - spacing, 0), np.minimum(place + spacing, count - 1)
    steps = np.diff(ascending)
    gaps = np.maximum(ascending[high] - ascending[low], steps[steps > 0].min())
    density = np.empty(count)
    density[order] = digamma(high - low) - np.log(count + 1.0) - np.log(gaps)
    return density
