"""Which networks to train in full: the suite whose mean is expected to err least. NumPy only.

Ensembles gain most from unlike architectures (Pan et al., AIM 2020, Table 1), but the best networks of a search are similar. So
the suite is chosen by the error covariance E of the trials (error_covariance.py): of all suites within the limits of cost, the
one with the least error of the plain mean, 1ᵀE1 / k² for k members. It has `size` members, and fewer only if no other network
fits in. Proxies (short trainings) overstate how much networks differ after full training, and so what a smaller suite or
unequal ensemble weights would gain (docs/suite.md). If no errors were kept, the suite is the best of each family, then the best
of the rest. The paper's suite has three members of two families.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from search_paddle.suite.error_covariance import Floats
from shared.errors import UsageError, nearest

SIZE = 3  # members (paper)
MOST_SUITES = 60_000  # tried one by one: 70 trials in threes; more: greedily, with exchanges
GAIN = 1e-9  # relative; an exchange that gains less is not made


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredSpec:
    """A spec that a trial has scored: what may be in a suite.

    Attributes:
        id: spec id.
        family: of its architecture.
        score: mean PSNR, dB; NaN: the training failed.
        cost: figure -> value, as in a spec file ("parameters", "macs_per_pixel" …).
    """

    id: str
    family: str
    score: float
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """A suite.

    Attributes:
        members: by score, then by id; empty if no spec can be in a suite.
        score: mean PSNR to expect of the ensemble after trainings as short as the trials, dB; None: no errors were known.
    """

    members: tuple[ScoredSpec, ...]
    score: float | None

    @property
    def weights(self) -> tuple[float, ...]:
        """Ensemble weights of the members: equal, of sum 1."""
        return (1 / max(1, len(self.members)),) * len(self.members)


def select_suite(
    candidates: Iterable[ScoredSpec], limits: Mapping[str, float] | None = None, *, size: int = SIZE
) -> Selection:
    """The best spec of each family, then the best others up to `size` members, as far as the limits leave room.

    Args:
        candidates: of any families; failed ones are never taken.
        limits: figure of cost -> the most that all members together may have.
        size: number of members, if there are so many candidates. If there are more families, only the best have a member.

    Returns:
        Empty if no candidate fits the limits.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    ranked = _usable(candidates, limits or {})
    firsts = sorted({one.family: one for one in reversed(ranked)}.values(), key=_rank)
    members: list[ScoredSpec] = []
    left = dict(limits or {})
    for one in (*firsts, *(one for one in ranked if one not in firsts)):
        if len(members) < size and _within(one, left):
            members.append(one)
            left = {name: limit - one.cost[name] for name, limit in left.items()}
    members.sort(key=_rank)
    return Selection(members=tuple(members), score=None)


def select_complementary(
    candidates: Sequence[ScoredSpec],
    covariance: Floats,
    limits: Mapping[str, float] | None = None,
    *,
    size: int = SIZE,
) -> Selection:
    """The suite of least expected error.

    Args:
        candidates: n, none failed, ids unique.
        covariance: (n, n), their error covariance (`error_covariance`).
        limits: figure of cost -> the most that all members together may have.
        size: number of members, if there are so many candidates and the limits leave room.

    Returns:
        Fewer than `size` members only if no other candidate fits in. Empty if no candidate fits the limits.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    assert len(covariance) == len(candidates)
    places = {one.id: place for place, one in enumerate(candidates)}
    ranked = _usable(candidates, limits or {})
    if not ranked:
        return Selection(members=(), score=None)
    order = [places[one.id] for one in ranked]
    figures = np.array([[one.cost[name] for name in limits or {}] for one in ranked])
    suites = _Suites(
        matrix=covariance[np.ix_(order, order)],
        figures=figures,
        most=np.array(list((limits or {}).values()), dtype=np.float64),
        size=min(size, len(ranked)),
    )
    error, chosen = suites.best()
    return Selection(members=tuple(ranked[place] for place in chosen), score=-10 * float(np.log10(error)))


def suite_scores(covariance: Floats, chosen: Sequence[int], *, size: int = SIZE) -> Floats:
    """Suite score of each trial: the PSNR to expect of the suite of this trial and the best `size - 1` of the chosen ones.

    Args:
        covariance: (n, n); NaN in the rows and columns of failed trials.
        chosen: places of the members of the present suite, at least one.
        size: number of members of a suite.

    Returns:
        float64 (n,), dB; NaN for failed trials.
    """
    return np.array(
        [_suite_score(covariance, trial, chosen, size) for trial in range(len(covariance))], dtype=np.float64
    )


def _suite_score(covariance: Floats, trial: int, chosen: Sequence[int], size: int) -> float:
    others = [place for place in chosen if place != trial]
    suites = [[trial, *companions] for companions in combinations(others, min(size - 1, len(others)))]
    errors = [float(covariance[np.ix_(places, places)].mean()) for places in suites]
    return float("nan") if np.isnan(errors).any() else -10 * float(np.log10(min(errors)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Suites:
    """All suites of n candidates into which no other candidate fits; the candidates are sorted, best first.

    Attributes:
        matrix: their error covariance, (n, n).
        figures: (n, number of limits), costs.
        most: (number of limits,), the most that a suite may cost of each.
        size: members, at most n.
    """

    matrix: Floats
    figures: NDArray[np.float64]
    most: NDArray[np.float64]
    size: int

    def best(self) -> tuple[float, tuple[int, ...]]:
        """Error and members of the suite that errs least: exact if there are few suites, else by exchanges."""
        count = len(self.matrix)
        sizes = range(1, self.size + 1)
        if sum(comb(count, size) for size in sizes) > MOST_SUITES:
            return self._exchanged()
        each = (np.array(list(combinations(range(count), size)), dtype=np.intp) for size in sizes)
        return min((self._least(suites[self._full(suites)]) for suites in each), key=lambda found: found[0])

    def _exchanged(self) -> tuple[float, tuple[int, ...]]:
        """From the best greedy suite on: exchanges of one member, after which left room is filled, until none gains."""
        error, members = self._best_filled([(place,) for place in range(len(self.matrix))])
        while True:
            rests = [tuple(member for member in members if member != old) for old in members]
            found = self._best_filled([(*rest, new) for rest in rests for new in self._fitting(rest)])
            if not found[0] < error * (1 - GAIN):
                return error, members
            error, members = found

    def _best_filled(self, starts: Iterable[tuple[int, ...]]) -> tuple[float, tuple[int, ...]]:
        return min((self._least(np.array([self._filled(start)])) for start in starts), key=lambda found: found[0])

    def _filled(self, members: Collection[int]) -> tuple[int, ...]:
        """These members and the best others, one after another, as long as one fits in."""
        chosen = list(members)
        while len(chosen) < self.size and (fitting := self._fitting(chosen)):
            chosen = list(self._least(np.array([[*chosen, new] for new in fitting]))[1])
        return tuple(sorted(chosen))

    def _fitting(self, members: Collection[int]) -> list[int]:
        """The others that the limits leave room for, one at a time."""
        fits = (self.figures[list(members)].sum(axis=0) + self.figures <= self.most).all(axis=1)
        return [place for place in np.flatnonzero(fits).tolist() if place not in members]

    def _full(self, suites: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(m,): which of the suites (m, k) are within the limits and have `size` members or no room for another."""
        costs = self.figures[suites].sum(axis=1)
        full: NDArray[np.bool_] = (costs <= self.most).all(axis=1)
        if suites.shape[1] < self.size:
            for place, figures in enumerate(self.figures):
                full &= ~(costs + figures <= self.most).all(axis=1) | (suites == place).any(axis=1)
        return full

    def _least(self, suites: NDArray[np.intp]) -> tuple[float, tuple[int, ...]]:
        """Error and members of the best of suites (m, k), the first of equals; infinite if m is 0."""
        if not len(suites):
            return float("inf"), ()
        size = suites.shape[1]
        total = np.zeros(len(suites))
        for i, j in product(range(size), repeat=2):
            total += self.matrix[suites[:, i], suites[:, j]]
        place = int(np.argmin(total))
        return float(total[place]) / size**2, tuple(suites[place].tolist())


def _usable(candidates: Iterable[ScoredSpec], limits: Mapping[str, float]) -> list[ScoredSpec]:
    """Those that did not fail and are within the limits alone, best first."""
    return sorted((one for one in candidates if np.isfinite(one.score) and _within(one, limits)), key=_rank)


def _rank(candidate: ScoredSpec) -> tuple[float, str]:
    return -candidate.score, candidate.id


def _within(candidate: ScoredSpec, limits: Mapping[str, float]) -> bool:
    for name in limits:
        if name not in candidate.cost:
            known = sorted(candidate.cost)
            raise UsageError(
                f"limit {name}: {candidate.id} has no such figure, expected one of {known}{nearest(name, known)}"
            )
    return all(candidate.cost[name] <= limit for name, limit in limits.items())
