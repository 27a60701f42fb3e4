"""Which networks to train in full, and their shares in the mean: those whose ensemble is expected to err least. NumPy only.

Ensembles gain most from unlike architectures (Pan et al., AIM 2020, Table 1), and the best of a search are close to each other.
So the suite follows from the error covariance E of the trials (errors.py): of all suites of at most `size` members within the
limits of cost, and all shares w >= 0 with Σ w = 1, the one of least wᵀEw. Where no errors were kept it is the best of each
family, then the best of the rest, with equal shares. The paper's suite has three members of two families.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.errors import Floats
from shared.dimensions import nearest
from shared.error_shares import least_error_shares
from shared.errors import UsageError

SIZE = 3  # members (paper)
MOST_SUITES = 60_000  # tried one by one: 70 trials in threes; more: greedily, with exchanges
RIDGE = 1e-9  # of E's mean diagonal: trials that err alike would make E singular
GAIN = 1e-9  # relative; an exchange that gains less is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One trained proposal.

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
        members: largest share first, equal shares by score and id; empty where no candidate will do.
        shares: of the members, > 0, their sum 1.
        score: mean PSNR to expect of the ensemble after trainings like the trials', dB; None: no errors were known.
    """

    members: tuple[Candidate, ...]
    shares: tuple[float, ...]
    score: float | None


def select_suite(
    candidates: Iterable[Candidate], limits: Mapping[str, float] | None = None, *, size: int = SIZE
) -> Selection:
    """The best candidate of each family, then the best others up to `size` members, as far as the limits leave room.

    Args:
        candidates: of any families; failed ones are never taken.
        limits: figure of cost -> the most that all members together may have.
        size: members, where there are as many candidates; more families than that: the best families.

    Returns:
        Equal shares. Empty if no candidate will do.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    ranked = _usable(candidates, limits or {})
    firsts = sorted({one.family: one for one in reversed(ranked)}.values(), key=_rank)
    members: list[Candidate] = []
    left = dict(limits or {})
    for one in (*firsts, *(one for one in ranked if one not in firsts)):
        if len(members) < size and _within(one, left):
            members.append(one)
            left = {name: limit - one.cost[name] for name, limit in left.items()}
    members.sort(key=_rank)
    return Selection(members=tuple(members), shares=(1 / max(1, len(members)),) * len(members), score=None)


def select_complementary(
    candidates: Sequence[Candidate],
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
        size: members at most.

    Returns:
        Fewer than `size` members only where more would not help or not fit. Empty if no candidate will do.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    assert len(covariance) == len(candidates)
    places = {one.id: place for place, one in enumerate(candidates)}
    ranked = _usable(candidates, limits or {})
    if not ranked:
        return Selection(members=(), shares=(), score=None)
    order = [places[one.id] for one in ranked]
    matrix = covariance[np.ix_(order, order)]
    figures = np.array([[one.cost[name] for name in limits or {}] for one in ranked])
    suites = _Suites(matrix=matrix, figures=figures, most=np.array(list((limits or {}).values()), dtype=np.float64))
    chosen = list(suites.best(size))
    shares = least_error_shares(matrix[np.ix_(chosen, chosen)])
    error = float(shares @ matrix[np.ix_(chosen, chosen)] @ shares)
    parts = sorted(
        ((float(share), ranked[place]) for share, place in zip(shares, chosen, strict=True) if share > 0),
        key=lambda part: (-round(part[0], 9), _rank(part[1])),
    )
    return Selection(
        members=tuple(one for _, one in parts),
        shares=tuple(share for share, _ in parts),
        score=-10 * float(np.log10(error)),
    )


def suite_scores(covariance: Floats, chosen: Sequence[int], *, size: int = SIZE) -> Floats:
    """What each trial would bring to a suite: the PSNR to expect of it with the best `size - 1` others chosen, at equal shares.

    Equal, not the best shares: with those, all trials that are no help would have the same value, and a model of it nothing to
    learn from.

    Args:
        covariance: (n, n); NaN in the rows and columns of failed trials.
        chosen: places of the suite's members, at least one.
        size: of the suite.

    Returns:
        float64 (n,), dB; NaN: failed.
    """
    return np.array([_brought(covariance, trial, chosen, size) for trial in range(len(covariance))], dtype=np.float64)


def _brought(covariance: Floats, trial: int, chosen: Sequence[int], size: int) -> float:
    others = [place for place in chosen if place != trial]
    suites = [[trial, *companions] for companions in combinations(others, min(size - 1, len(others)))]
    errors = [float(covariance[np.ix_(places, places)].mean()) for places in suites]
    return float("nan") if np.isnan(errors).any() else -10 * float(np.log10(min(errors)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Suites:
    """All suites of n candidates, which stand best first.

    Attributes:
        matrix: their error covariance (n, n).
        figures: (n, number of limits), costs.
        most: (number of limits,), what a suite may have of each.
    """

    matrix: Floats
    figures: NDArray[np.float64]
    most: NDArray[np.float64]

    def best(self, size: int) -> tuple[int, ...]:
        """Members of the suite of least error: exact if there are few suites, else by exchanges from a greedy start."""
        size = min(size, len(self.matrix))
        if sum(comb(len(self.matrix), count) for count in range(1, size + 1)) <= MOST_SUITES:
            return min((self._least(_subsets(len(self.matrix), count)) for count in range(1, size + 1)), key=_by_error)[
                1
            ]
        return self._exchange(size)

    def _exchange(self, size: int) -> tuple[int, ...]:
        """From the best single: the best of all single additions, replacements and removals, until none gains."""
        error, members = self._least(_subsets(len(self.matrix), 1))
        while True:
            steps = [self._least(np.array(list(part))) for part in self._neighbours(members, size) if part]
            found = min(steps, key=_by_error)
            if not found[0] < error * (1 - GAIN):
                return members
            error, members = found

    def _neighbours(self, members: tuple[int, ...], size: int) -> Iterator[list[tuple[int, ...]]]:
        """Suites one step away, those of one size together."""
        others = [place for place in range(len(self.matrix)) if place not in members]
        yield [tuple(sorted({*members, new})) for new in others if len(members) < size]
        yield [tuple(sorted({*members, new} - {old})) for old in members for new in others]
        yield [tuple(sorted({*members} - {old})) for old in members if len(members) > 1]

    def _least(self, suites: NDArray[np.intp]) -> tuple[float, tuple[int, ...]]:
        """Least error and members of suites (m, k); infinite where none is within the limits with positive shares of all.

        With E_S a suite's part of E the shares are E_S⁻¹1 / 1ᵀE_S⁻¹1, their error 1 / 1ᵀE_S⁻¹1. A suite in which one of them is
        negative is beaten by a smaller one.
        """
        ridge = RIDGE * np.trace(self.matrix) / len(self.matrix)
        parts = self.matrix[suites[:, :, None], suites[:, None, :]] + ridge * np.eye(suites.shape[1])
        inverse = np.linalg.solve(parts, np.ones((*suites.shape, 1)))[:, :, 0]
        fits = (self.figures[suites].sum(axis=1) <= self.most).all(axis=1)
        errors = np.where(fits & (inverse >= 0).all(axis=1), 1 / inverse.sum(axis=1), np.inf)
        place = int(np.argmin(errors))
        return float(errors[place]), tuple(int(member) for member in suites[place])


def _subsets(count: int, size: int) -> NDArray[np.intp]:
    return np.array(list(combinations(range(count), size)), dtype=np.intp)


def _by_error(found: tuple[float, tuple[int, ...]]) -> tuple[float, int]:
    return found[0], len(found[1])


def _usable(candidates: Iterable[Candidate], limits: Mapping[str, float]) -> list[Candidate]:
    """Those that did not fail and are within the limits by themselves, best first."""
    return sorted((one for one in candidates if np.isfinite(one.score) and _within(one, limits)), key=_rank)


def _rank(candidate: Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.id


def _within(candidate: Candidate, limits: Mapping[str, float]) -> bool:
    for name in limits:
        if name not in candidate.cost:
            known = sorted(candidate.cost)
            raise UsageError(
                f"limit {name}: {candidate.id} has no such figure, expected one of {known}{nearest(name, known)}"
            )
    return all(candidate.cost[name] <= limit for name, limit in limits.items())
