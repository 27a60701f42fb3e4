"""Short trainings beside long ones: one process over architectures and steps, so that cheap scores inform dear ones.

    t        how short a training was, 0 for the most steps T, 1 for the fewest: log(T / steps) / log(T / fewest)
    f(x, t)  = (1 + r t) f(x) + d(x, t): a factor, and what the steps left out change beside it
    d        of the law of f times q, Brownian in t: 0 at t = 0, and the further a training went, the less is unknown of it
    A(t, t') = (1 + r t) (1 + r t') + q min(t, t')
    C        = A * (K + s2 where both are of the same point) + v t on the diagonal: a training's luck stays with it from step to
               step, and in the middle of it a score wavers

r, q and v are learnt with the other hyperparameters. r = -1 or a large q: the shortest trainings tell nothing, and nothing is
taken from them. Kennedy and O'Hagan's autoregression (Biometrika 87, 2000) as a product of kernels (Swersky, Snoek, Adams,
Multi-task Bayesian optimization, NIPS 2013). Levels and spreads are made equal beforehand (`aligned`). Models of the longest
trainings alone compete with this one by evidence (surrogate.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Floats

BOTH = 5  # points trained short and long
RATIO, CHANGE, WAVER = -3, -2, -1  # places of r, log q and log v in the hyperparameters, if there are short trainings

Row = tuple[int, int]  # number of a point, and the steps of its trainings


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Of the lengths of trainings, in steps; both 0: nobody said how long they were.

    Attributes:
        longest: T.
        fewest: > 0 where T is.
    """

    longest: int
    fewest: int

    @classmethod
    def of(cls, steps: Collection[int]) -> "Span":
        """Of these trainings."""
        return cls(longest=max(steps, default=0), fewest=min(steps, default=0))

    @property
    def differ(self) -> bool:
        """Whether there are short trainings."""
        return self.longest > self.fewest

    def short(self, rows: Sequence[Row]) -> Floats:
        """The t of each row, (n,)."""
        if not self.differ:
            return np.zeros(len(rows))
        steps = np.array([steps for _, steps in rows], dtype=np.float64)
        away: Floats = np.log(self.longest / steps) / np.log(self.longest / self.fewest)
        return away


def aligned(rows: Sequence[Row], scores: Floats) -> Floats:
    """Scores moved and stretched, each length of training by itself, until they lie like those of the longest, (n,).

    That is, until the points trained both ways have the same mean both ways and, from BOTH of them on, the same standard
    deviation: not all points, as it may be the best that were trained longer. Only where no point was trained both ways, mean and
    deviation of all stand in. What is left to learn is how far the two agree.

    Args:
        rows: n different ones.
        scores: (n,), finite.
    """
    steps = np.array([each for _, each in rows])
    longest = {point: score for (point, each), score in zip(rows, scores, strict=True) if each == steps.max(initial=0)}
    moved = scores.copy()
    for level in np.unique(steps)[:-1]:
        places = np.flatnonzero(steps == level)
        both = [place for place in places if rows[place][0] in longest]
        here = scores[both or places]
        there = np.array([longest[rows[place][0]] for place in both] or list(longest.values()))
        stretch = _stretch(here, there, scores[places]) if len(both) >= BOTH or not both else 1.0
        moved[places] = there.mean() + stretch * (scores[places] - here.mean())
    return moved


def _stretch(here: Floats, there: Floats, level: Floats) -> float:
    """Ratio of the spreads; 1 where one of them is nothing but rounding, or small for the level: then it says little."""
    smallest = max(1e-9 * float(np.abs(level).max()), 0.1 * float(level.std()))
    is_known = here.std() > smallest and there.std() > 1e-9 * float(np.abs(there).max())
    return float(there.std() / here.std()) if is_known else 1.0


def coupling(theta: Floats, a: Floats, b: Floats) -> Floats:
    """A of trainings as short as a (m,) and b (n,), (m, n)."""
    coupled: Floats = np.multiply.outer(reach(theta, a), reach(theta, b))
    coupled += np.exp(theta[CHANGE]) * np.minimum.outer(a, b)
    return coupled


def coupling_slopes(theta: Floats, short: Floats) -> tuple[Floats, Floats]:
    """Derivatives of A by r and by log q, each (n, n)."""
    by_ratio = np.multiply.outer(short, reach(theta, short))
    return by_ratio + by_ratio.T, np.exp(theta[CHANGE]) * np.minimum.outer(short, short)


def reach(theta: Floats, short: Floats) -> Floats:
    """1 + r t: how much of f is in the scores, (n,)."""
    factor: Floats = 1.0 + theta[RATIO] * short
    return factor


def shared_luck(a: tuple[Codes, Floats], b: tuple[Codes, Floats]) -> Floats:
    """What the luck of two means of trainings has in common, as a share of s2, (m, n): both of the same point.

    Args:
        a: codes (m, c) and trainings behind each, (m,).
        b: codes (n, c) and trainings behind each, (n,).
    """
    (left, often), (right, oftener) = a, b
    same = (left[:, None, :] == right[None, :, :]).all(axis=2)
    shared: Floats = same / np.sqrt(np.multiply.outer(often, oftener))
    return shared
