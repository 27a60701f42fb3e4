"""Which points to compare: all of a small space, else local searches over neighbours and random points.

Points are numbers (shared/space.py). A point is only ever proposed after `feasible` has allowed it; `feasible` may be slow, so it
is asked only about points that are about to be proposed or walked on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from search_paddle.gp_nas.acquisition import DECIMALS
from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from shared.space import Point, SearchSpace

ENUMERATED = 20_000  # points: a space up to this size is compared whole
RANDOM_POINTS = 1_500
STARTS = 5  # of local searches, from the best trained points and from the best random ones
SCANNED = 200_000  # points: when the search finds nothing, a space up to this size is gone through point by point
DRAWS = 20_000  # in a larger space so many points are drawn instead

Acquisition = Callable[[Codes], Floats]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feasibility:
    """The caller's constraint, asked once a point."""

    space: SearchSpace
    feasible: Callable[[Point], bool] | None
    _known: dict[int, bool] = field(default_factory=dict)

    def __call__(self, index: int) -> bool:
        """Whether the point of this number may be proposed."""
        if self.feasible is None:
            return True
        if index not in self._known:
            self._known[index] = bool(self.feasible(self.space.point(index)))
        return self._known[index]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choice:
    """What may be chosen.

    Attributes:
        encoding: of the search space.
        seen: numbers of points that are trained or proposed already.
        feasible: the constraint.
        rng: breaks ties and draws.
    """

    encoding: Encoding
    seen: Collection[int]
    feasible: Feasibility
    rng: np.random.Generator

    def best(self, indices: Sequence[int], values: Floats) -> int | None:
        """The unseen feasible point of largest value; None: there is none. Neither rounding nor the order given decides a tie."""
        return next(self._descending(indices, values), None)

    def _descending(self, indices: Sequence[int], values: Floats) -> Iterator[int]:
        canonical = np.argsort(np.array(indices, dtype=object), kind="stable")
        ties = self.rng.permutation(len(indices))
        order = canonical[np.lexsort((ties, -np.round(values[canonical], DECIMALS)))]
        return (indices[at] for at in order if indices[at] not in self.seen and self.feasible(indices[at]))

    def maximise(self, acquisition: Acquisition, trained: Iterable[int]) -> int | None:
        """The unseen feasible point of largest acquisition; None: none was found.

        Args:
            acquisition: values of points by their codes; the larger the better.
            trained: points to start from in a large space, best first.
        """
        space = self.encoding.space
        if space.size <= ENUMERATED:
            everything = range(space.size)
            return self.best(everything, acquisition(self.encoding.codes(everything)))
        drawn = sorted(set(space.sample_indices(self.rng, RANDOM_POINTS)))
        values = acquisition(self.encoding.codes(drawn))
        starts = [*islice(self._descending(drawn, values), STARTS), *islice(trained, STARTS)]
        heights = dict(zip(drawn, values.tolist(), strict=True))
        self._climb(acquisition, starts, heights)
        found = self.best(list(heights), np.array(list(heights.values())))
        return self.any() if found is None else found

    def _climb(self, acquisition: Acquisition, starts: Iterable[int], heights: dict[int, float]) -> None:
        """From each start, go to the best unseen feasible neighbour as long as that is better; note all heights met.

        A climb ends where an earlier one has been: from there it would go the same way. A trained start has no height: any
        neighbour is better.
        """
        left: set[int] = set()
        for start in starts:
            current: int | None = start
            while current is not None and current not in left:
                left.add(current)
                indices, codes = self.encoding.neighbours(current)
                values = acquisition(codes)
                heights.update(zip(indices, values.tolist(), strict=True))
                floor = -np.inf if current in self.seen else heights[current]
                better = np.flatnonzero(np.round(values - floor, DECIMALS) > 0)
                current = self.best([indices[at] for at in better], values[better])

    def any(self) -> int | None:
        """Any unseen feasible point; None: there is none, or, in a space over SCANNED points, DRAWS draws met none."""
        space = self.encoding.space
        if space.size <= SCANNED:
            order: Iterable[int] = map(int, self.rng.permutation(space.size))
        else:
            order = space.sample_indices(self.rng, DRAWS)
        return next((index for index in order if index not in self.seen and self.feasible(index)), None)
