"""Which points are compared: all of a small space; in a large one random points, and local searches over neighbours.

Points are numbers (`shared.space`). A point is only ever proposed after `feasible` has allowed it; `feasible` may be slow, so it
is asked only about points that are next to be proposed or stepped on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from search_paddle.gp_nas.acquisition import DECIMALS
from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from shared.space import Point, SearchSpace

ENUMERATED = 50_000  # points: a space up to this size is compared whole
SCREENED = 300  # of them are compared by the whole model
RANDOM_POINTS = 1_500
PAIRS = 100  # of changes tried at the end of a climb
STARTS = 3  # of local searches, from the best trained points and from the best random ones
SCANNED = 200_000  # points: when the search finds nothing, a space up to this size is gone through point by point
DRAWS = 20_000  # in a larger space so many points are drawn instead

Values = Callable[[Codes], Floats]  # of points by their codes; the larger the better


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feasibility:
    """The caller's constraint. It is asked once for each point."""

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
        """The unseen feasible point of largest value; None: there is none. Rounding and the order of `indices` decide no tie.

        Args:
            indices: numbers of m points.
            values: theirs, (m,).
        """
        return next((index for index in self._descending(indices, values) if self.feasible(index)), None)

    def _descending(self, indices: Sequence[int], values: Floats) -> Iterator[int]:
        """Unseen points, feasible or not, by value."""
        canonical = np.argsort(np.array(indices, dtype=object), kind="stable")
        ties = self.rng.permutation(len(indices))
        order = canonical[np.lexsort((ties, -np.round(values[canonical], DECIMALS)))]
        return (indices[at] for at in order if indices[at] not in self.seen)

    def maximise(self, acquisition: Values, screen: Values, trained: Iterable[int]) -> int | None:
        """The unseen feasible point of largest acquisition; None: none was found.

        Args:
            acquisition: what decides.
            screen: about the same, but cheap: it chooses the points that the acquisition is computed for.
            trained: points to start from in a large space, best first.
        """
        space = self.encoding.space
        is_small = space.size <= ENUMERATED
        drawn = range(space.size) if is_small else sorted(set(space.sample_indices(self.rng, RANDOM_POINTS)))
        values = screen(self.encoding.codes(drawn))
        if is_small:
            return self._screened(acquisition, drawn, values)
        heights = dict(zip(drawn, values.tolist(), strict=True))
        starts = islice(filter(self.feasible, self._descending(drawn, values)), STARTS)
        self._climb(screen, [*starts, *islice(trained, STARTS)], heights)
        found = self._screened(acquisition, list(heights), np.array(list(heights.values())))
        return self.any() if found is None else found

    def _screened(self, acquisition: Values, indices: Sequence[int], values: Floats) -> int | None:
        """The best by the acquisition among the SCREENED best by these values; if none of those is feasible, the next best."""
        order = self._descending(indices, values)
        promising = list(islice(order, SCREENED))
        found = self.best(promising, acquisition(self.encoding.codes(promising)))
        return next(filter(self.feasible, order), None) if found is None else found

    def _climb(self, acquisition: Values, starts: Iterable[int], heights: dict[int, float]) -> None:
        """From each start, go to the best unseen feasible neighbour as long as that is better; keep the values of all points met.

        Where no single change is better, pairs of changes are tried: at a limit of cost one choice must shrink before another can
        grow. A climb ends at a point where an earlier one has been: from there it would go the same way. A trained start has no
        value: any neighbour is better.
        """
        left: set[int] = set()
        for start in starts:
            current: int | None = start
            while current is not None and current not in left:
                left.add(current)
                floor = -np.inf if current in self.seen else heights[current]
                indices, codes = self.encoding.neighbours(current)
                following = self._higher(acquisition, indices, codes, floor, heights)
                if following is None:
                    pairs = self._pairs(current, indices, codes)
                    following = self._higher(acquisition, pairs, self.encoding.codes(pairs), floor, heights)
                current = following

    def _higher(
        self, acquisition: Values, indices: Sequence[int], codes: Codes, floor: float, heights: dict[int, float]
    ) -> int | None:
        values = acquisition(codes)
        heights.update(zip(indices, values.tolist(), strict=True))
        better = np.flatnonzero(np.round(values - floor, DECIMALS) > 0)
        return self.best([indices[at] for at in better], values[better])

    def _pairs(self, current: int, indices: Sequence[int], codes: Codes) -> list[int]:
        """PAIRS random points that differ from one in two choices. Numbers of points add up like their digits do."""
        if len(indices) < 2:
            return []
        changed = np.argmax(codes != self.encoding.codes([current]), axis=1)
        drawn = self.rng.integers(len(indices), size=(PAIRS, 2))
        return sorted({indices[a] + indices[b] - current for a, b in drawn if changed[a] != changed[b]})

    def any(self) -> int | None:
        """Any unseen feasible point; None: there is none, or, in a space over SCANNED points, DRAWS draws met none."""
        space = self.encoding.space
        if space.size <= SCANNED:
            order: Iterable[int] = map(int, self.rng.permutation(space.size))
        else:
            order = space.sample_indices(self.rng, DRAWS)
        return next((index for index in order if index not in self.seen and self.feasible(index)), None)
