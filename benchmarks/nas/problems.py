"""What the methods search: a complete table, what a training of each point reports, and what it is worth.

plain        every training reports the truth
constrained  30 % of the points forbidden, 10 % of the trainings fail (the same points each time); by the seed
noisy        the first of three trainings is reported, their mean is the truth
noisy again  the second (even seeds) or the third is reported: columns on which no rule of ours was chosen
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.nas.tables import Table
from shared.space import SearchSpace

FORBIDDEN = 0.3
FAILING = 0.1
STARTS = 10  # trainings of the random design that methods without a design of their own begin with
NOISY = ("noisy", "noisy again")
TRUTH = {"nats_sss": "C100", "nas_bench_macro": "acc", "channel_bench_resnet": "acc"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Problem:
    """A complete table to search; points by number.

    Attributes:
        space: of all points.
        codes: place of each choice, (n, d).
        told: the score that a training reports, (n,); NaN: it fails.
        truth: what is judged, (n,).
        allowed: whether a point may be trained, (n,).
        design: numbers of STARTS allowed points: the random design of this seed.
        seed: of the method.
    """

    space: SearchSpace
    codes: np.ndarray
    told: np.ndarray
    truth: np.ndarray
    allowed: np.ndarray
    design: tuple[int, ...]
    seed: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of choices of each dimension."""
        return self.space.branches[0].sizes

    def index(self, code: np.ndarray) -> int:
        """Number of the point of a row of codes."""
        return int(np.dot(code, self.space.branches[0].strides))

    def report(self, index: int) -> float:
        """What training this point reports; a forbidden one fails."""
        return float(self.told[index]) if self.allowed[index] else float("nan")

    def reachable(self) -> np.ndarray:
        """Truth of the points that are allowed and do not fail, best first."""
        return np.sort(self.truth[self.allowed & np.isfinite(self.told)])[::-1]


def make_problem(table: Table, variant: str, seed: int) -> Problem:
    """A variant of a complete table; the design and the forbidden points depend on the seed alone, not on the method."""
    assert table.complete, f"{table.name} is a sample: it cannot be searched"
    rng = np.random.default_rng([seed, 2020])
    truth = table.columns[TRUTH[table.name]]
    told, allowed = truth, np.ones(len(truth), dtype=bool)
    if variant in NOISY:
        number = 1 if variant == "noisy" else 2 + seed % 2
        told = table.columns[f"{TRUTH[table.name]}_{number}"]
    if variant == "constrained":
        allowed = rng.random(len(truth)) >= FORBIDDEN
        told = np.where(rng.random(len(truth)) < FAILING, np.nan, truth)
    design = rng.permutation(np.flatnonzero(allowed))[:STARTS]
    return Problem(
        space=table.space,
        codes=table.codes,
        told=told,
        truth=truth,
        allowed=allowed,
        design=tuple(design.tolist()),
        seed=seed,
    )
