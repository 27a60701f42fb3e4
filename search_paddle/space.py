"""The space a search explores: a file of the user's or the one shipped here, and which of its points may be proposed."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search_paddle.config import SearchConfig
from shared.data.pack import Pack
from shared.errors import SpecError
from shared.network.architecture import ArchSpec
from shared.network.cost import cost
from shared.space import SearchSpace
from shared.spec import parse

Feasible = Callable[[Mapping[str, Any]], bool]

DEFAULT = Path(__file__).parent / "spaces" / "default.toml"
POINTS_CHECKED = 1000  # of each family, before a space is called unusable


def read_space(path: Path | None, pack: Path) -> SearchSpace:
    """The space of a TOML file (None: the default), its scale that of the pack.

    Raises:
        UsageError: no such file, no search space, or a space of another scale.
    """
    with Pack(pack) as data:
        scale = data.scale
    return SearchSpace.from_toml(DEFAULT if path is None else path, scale=scale)


def within_limits(space: SearchSpace, config: SearchConfig) -> Feasible:
    """Which points may be proposed: those that are architectures, within the limits of cost for one network and for the suite."""
    limits = (
        ("parameters", _least(config.max_parameters, config.max_suite_parameters)),
        ("macs_per_pixel", _least(config.max_macs_per_pixel, config.max_suite_macs_per_pixel)),
    )
    known: dict[int, bool] = {}

    def fits(point: Mapping[str, Any]) -> bool:
        try:
            spec = architecture(space, point)
        except SpecError:  # fields that exclude each other, such as features < reduction
            return False
        needed = cost(spec).to_json()
        return all(needed[name] <= limit for name, limit in limits)

    def feasible(point: Mapping[str, Any]) -> bool:
        index = space.index(point)
        if index not in known:
            known[index] = fits(point)
        return known[index]

    return feasible


def _least(*limits: float | None) -> float:
    return min((limit for limit in limits if limit is not None), default=math.inf)


def architecture(space: SearchSpace, point: Mapping[str, Any]) -> ArchSpec:
    """The spec of a point.

    Raises:
        SpecError: there is no such architecture.
    """
    return parse({**space.constants, **point})


def one_of_each_family(space: SearchSpace) -> list[ArchSpec]:
    """An architecture of each family in the space.

    Raises:
        SpecError: none of a family's first thousand points is one; the last reason is given.
    """
    found = []
    for branch, offset in zip(space.branches, space.offsets, strict=True):
        for index in range(offset, offset + min(branch.size, POINTS_CHECKED)):
            try:
                found.append(architecture(space, space.point(index)))
                break
            except SpecError as error:
                reason = error
        else:
            raise SpecError(f"search space: no point of {branch.name or 'the space'} is an architecture: {reason}")
    return found
