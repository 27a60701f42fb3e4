"""What was told of trainings: scores, failures, and after how many steps each training was scored.

The score of a training of few steps is a low fidelity of the score after many. Cheap scores of low fidelity inform about the
expensive ones of high fidelity (kernels.py, `Fidelity`). Before that, their levels and spreads are made equal here (`aligned`).

    t  fidelity gap: 0 after the most steps T, 1 after the fewest, log(T / steps) / log(T / fewest) between them
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from search_paddle.gp_nas.encoding import Encoding, Floats
from search_paddle.gp_nas.process.covariance import Observations

BOTH = 5  # points trained at low and high fidelity

PointAtSteps = tuple[int, int]  # number of a point, and the steps of its trainings


class Evaluation(NamedTuple):
    """What was told of one training.

    Attributes:
        point: its number.
        score: NaN or infinity: it failed.
        steps: how long it was; 0: not said, as of all others.
    """

    point: int
    score: float
    steps: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FidelityRange:
    """Of the lengths of trainings, in steps; both 0: nobody said how long they were.

    Attributes:
        highest: T.
        lowest: the fewest steps; > 0 where T is.
    """

    highest: int
    lowest: int

    @classmethod
    def of(cls, steps: Collection[int]) -> "FidelityRange":
        """The range of these lengths."""
        return cls(highest=max(steps, default=0), lowest=min(steps, default=0))

    @property
    def has_low(self) -> bool:
        """Whether there are trainings of low fidelity."""
        return self.highest > self.lowest

    def gaps(self, rows: Sequence[PointAtSteps]) -> Floats:
        """The t of each row, (n,)."""
        if not self.has_low:
            return np.zeros(len(rows))
        steps = np.array([steps for _, steps in rows], dtype=np.float64)
        gaps: Floats = np.log(self.highest / steps) / np.log(self.highest / self.lowest)
        return gaps


def by_row(evaluations: Sequence[Evaluation]) -> dict[PointAtSteps, list[float]]:
    """Scores of each point and number of steps, ascending."""
    scores: dict[PointAtSteps, list[float]] = {}
    for point, score, steps in evaluations:
        scores.setdefault((point, steps), []).append(score)
    return {row: sorted(each) for row, each in scores.items()}


def succeeded(evaluations: Sequence[Evaluation]) -> dict[int, bool]:
    """For each point whether one of its longest trainings gave a score; the order of telling does not matter."""
    longest: dict[int, tuple[int, bool]] = {}
    for point, score, steps in evaluations:
        longest[point] = max(longest.get(point, (steps, False)), (steps, bool(np.isfinite(score))))
    return {point: success for point, (_, success) in longest.items()}


def observations(
    encoding: Encoding,
    rows: Sequence[PointAtSteps],
    scores: Mapping[PointAtSteps, Sequence[float]],
    fidelities: FidelityRange,
) -> Observations:
    """Mean scores of rows, on the level of the highest fidelity; not warped.

    Args:
        encoding: of the space.
        rows: n different ones.
        scores: finite scores of each row, at least one.
        fidelities: of all trainings.
    """
    return Observations(
        codes=encoding.codes([point for point, _ in rows]),
        values=aligned(rows, np.array([np.mean(scores[row]) for row in rows], dtype=np.float64)),
        repeats=np.array([len(scores[row]) for row in rows], dtype=np.float64),
        gap=fidelities.gaps(rows),
    )


def aligned(rows: Sequence[PointAtSteps], scores: Floats) -> Floats:
    """Scores moved and stretched, each number of steps by itself, until they lie like those of the highest fidelity, (n,).

    That is, until the points trained both ways have the same mean both ways and, if there are at least BOTH of them, the same
    standard deviation. Not all points: often only the best were trained longer. Only where no point was trained both ways, the
    mean and deviation of all points are used. What is left to learn is how far the two fidelities agree.

    Args:
        rows: n different ones.
        scores: (n,), finite.
    """
    steps = np.array([each for _, each in rows])
    highest = {point: score for (point, each), score in zip(rows, scores, strict=True) if each == steps.max(initial=0)}
    moved = scores.copy()
    for level in np.unique(steps)[:-1]:
        places = np.flatnonzero(steps == level)
        both = [place for place in places if rows[place][0] in highest]
        here = scores[both or places]
        there = np.array([highest[rows[place][0]] for place in both] or list(highest.values()))
        stretch = _stretch(here, there, scores[places]) if len(both) >= BOTH or not both else 1.0
        moved[places] = there.mean() + stretch * (scores[places] - here.mean())
    return moved


def _stretch(here: Floats, there: Floats, level: Floats) -> float:
    """Ratio of the spreads; 1 where one of them is nothing but rounding, or small for the level: then it says little."""
    smallest = max(1e-9 * float(np.abs(level).max()), 0.1 * float(level.std()))
    is_known = here.std() > smallest and there.std() > 1e-9 * float(np.abs(there).max())
    return float(there.std() / here.std()) if is_known else 1.0
