"""Which networks to train in full: the best of each family, then the best of the rest, under limits of cost.

Ensembles gain most from unlike architectures (Pan et al., AIM 2020, Table 1), and the best of a search are close to each
other. The paper's suite has three members of two families.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from shared.dimensions import nearest
from shared.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One trained proposal.

    Attributes:
        id: spec id.
        family: of its architecture.
        score: the larger the better; NaN: the training failed.
        cost: figure -> value, as in a spec file ("parameters", "macs_per_pixel" …).
    """

    id: str
    family: str
    score: float
    cost: Mapping[str, float] = field(default_factory=dict)


SIZE = 3  # members (paper)


def select_suite(
    candidates: Iterable[Candidate], limits: Mapping[str, float] | None = None, *, size: int = SIZE
) -> tuple[Candidate, ...]:
    """The best candidate of each family whose costs are within the limits, then the best others up to `size` members.

    Args:
        candidates: of any families; failed ones are never taken.
        limits: figure of cost -> the largest value that one member may have.
        size: members, where there are as many candidates; more families than that: the best families.

    Returns:
        Best first; equal scores by id. Empty if no candidate will do.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    fitting = [one for one in candidates if np.isfinite(one.score) and _within(one, limits or {})]
    ranked = sorted(fitting, key=_rank)
    firsts = list({one.family: one for one in reversed(ranked)}.values())
    others = [one for one in ranked if one not in firsts]
    return tuple(sorted([*sorted(firsts, key=_rank), *others][:size], key=_rank))


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
