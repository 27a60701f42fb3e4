"""Which networks to train in full: the best of each family, under limits of cost.

Ensembles gain most from unlike architectures (Pan et al., AIM 2020, Table 1), and the best of a search are close to each other.
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


def select_suite(candidates: Iterable[Candidate], limits: Mapping[str, float] | None = None) -> tuple[Candidate, ...]:
    """The best candidate of each family whose costs are within the limits.

    Args:
        candidates: of any families; failed ones are never taken.
        limits: figure of cost -> the largest value that one member may have.

    Returns:
        At most one a family, best first; equal scores by id. Empty if no candidate will do.

    Raises:
        UsageError: a limit on a figure that a candidate does not have.
    """
    fitting = [one for one in candidates if np.isfinite(one.score) and _within(one, limits or {})]
    suite: dict[str, Candidate] = {}
    for one in sorted(fitting, key=lambda one: (-one.score, one.id)):
        suite.setdefault(one.family, one)
    return tuple(suite.values())


def _within(candidate: Candidate, limits: Mapping[str, float]) -> bool:
    for name in limits:
        if name not in candidate.cost:
            known = sorted(candidate.cost)
            raise UsageError(
                f"limit {name}: {candidate.id} has no such figure, expected one of {known}{nearest(name, known)}"
            )
    return all(candidate.cost[name] <= limit for name, limit in limits.items())
