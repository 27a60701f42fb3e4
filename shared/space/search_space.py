"""The search space: ordinal and categorical dimensions, flat or conditional on the family. Every point has a number.

A model may use the order of an ordinal dimension, not its values: the choices [16, 32, 64, 128] are four equal steps. Names are
sorted, and so are categorical choices (by their JSON). So two descriptions of one space are equal, in whatever order they were
written: the same points in the same order, the same `sha256`.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from shared.config import read_toml
from shared.errors import SpecError, UsageError, nearest
from shared.space.dimensions import FAMILY, Branch, Point, canonical, check_name, draw, make_branch, plain

__all__ = ["Point", "SearchSpace"]

SCHEMA = "gpnas-sr/space/1"
SECTIONS = ("categorical", "choices", "constants", "families")


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """All architectures that a search may propose. Make one by `from_choices`, `from_families`, `from_toml` or `from_dict`.

    A point is a dict with one choice for each dimension. In a conditional space it also has "family", and only the dimensions of
    that family.
    An architecture is `{**space.constants, **point}`.

    Attributes:
        branches: the families, sorted by name; a flat space has one branch without a name.

    Example:
        >>> space = SearchSpace.from_families({"drn": {"features": [16, 32]}, "rcan": {"groups": [1, 2, 3]}}, {"scale": 4})
        >>> space.size, space.point(3)
        (5, {'family': 'rcan', 'groups': 2})
    """

    branches: tuple[Branch, ...]
    _constants: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def from_choices(
        cls,
        choices: Mapping[str, Iterable[Any]],
        categorical: Iterable[str] = (),
        constants: Mapping[str, Any] | None = None,
    ) -> Self:
        """A flat space.

        Args:
            choices: dimension -> its choices: numbers in ascending order; for a dimension in `categorical` any JSON values.
            categorical: names of dimensions without an order.
            constants: fields that all architectures have in common.

        Raises:
            SpecError: no dimension; no choice; a choice twice; numbers out of order; an unknown name in `categorical`.
        """
        if not choices:
            raise SpecError("search space: got no dimension, expected at least one, as in {'features': [16, 32]}")
        return cls._make({None: choices}, constants or {}, categorical)

    @classmethod
    def from_families(
        cls,
        families: Mapping[str, Mapping[str, Iterable[Any]]],
        constants: Mapping[str, Any] | None = None,
        categorical: Iterable[str] = (),
    ) -> Self:
        """A space whose dimensions depend on the family. A name in two families means the same in both.

        Args:
            families: family -> dimension -> choices, as in `from_choices`.
            constants: fields that all architectures have in common.
            categorical: names of dimensions without an order, in any family.

        Raises:
            SpecError: no family, or what `from_choices` refuses.
        """
        if not families:
            raise SpecError("search space: got no family, expected at least one, as in {'drn': {'features': [16, 32]}}")
        return cls._make(_table(families, "families"), constants or {}, categorical)

    @classmethod
    def from_toml(cls, path: Path | str, **constants: Any) -> Self:
        """The space of a TOML file: `categorical = [names]`, [constants], and [families.NAME] (flat: [choices]) tables.

        Args:
            path: the file.
            constants: added to those of the file; they must not contradict each other.

        Raises:
            UsageError: no such file, or not TOML.
            SpecError: not a search space.
        """
        value = read_toml(Path(path), expected="TOML: tables [families.NAME] of `dimension = [choices]`")
        try:
            return cls._from_sections(value, constants)
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The space of a `to_dict` value.

        Raises:
            SpecError: unknown key, another schema, or not a search space.
        """
        schema = value.get("schema")
        if schema != SCHEMA:
            raise SpecError(
                f"search space: got schema {schema!r}, expected {SCHEMA!r}; newer ones need a newer gpnas-sr"
            )
        return cls._from_sections({name: item for name, item in value.items() if name != "schema"}, {})

    @classmethod
    def _from_sections(cls, value: Mapping[str, Any], constants: Mapping[str, Any]) -> Self:
        for name in value:
            if name not in SECTIONS:
                raise SpecError(f"search space: got {name!r}, expected {', '.join(SECTIONS)}{nearest(name, SECTIONS)}")
        if ("families" in value) == ("choices" in value):
            raise SpecError("search space: got both or neither of [choices] and [families.NAME], expected one of them")
        categorical, own = value.get("categorical", []), _table(value.get("constants", {}), "constants")
        if not isinstance(categorical, list):
            raise SpecError(f"categorical: got {categorical!r}, expected a list of dimension names")
        for name in constants.keys() & own.keys():
            if canonical(own[name]) != canonical(constants[name]):
                both = f"{own[name]!r} in the space and {constants[name]!r} from the caller"
                raise SpecError(f"constant {name}: got {both}, expected one value; drop one")
        if "choices" in value:
            return cls.from_choices(_table(value["choices"], "choices"), categorical, {**own, **constants})
        return cls.from_families(_table(value["families"], "families"), {**own, **constants}, categorical)

    @classmethod
    def _make(
        cls,
        families: Mapping[Any, Mapping[str, Iterable[Any]]],
        constants: Mapping[str, Any],
        categorical: Iterable[str],
    ) -> Self:
        unordered = {categorical} if isinstance(categorical, str) else set(categorical)
        tables = {
            name: _table(choices, "choices" if name is None else f"family {name}") for name, choices in families.items()
        }
        names = {name for table in tables.values() for name in table}
        for name in sorted(unordered - names, key=str):
            raise SpecError(f"categorical: got {name!r}, expected a dimension of the space{nearest(name, names)}")
        taken = names if None in tables else names | {FAMILY}
        for name in constants:
            check_name(name, "constant")
            if name in taken:
                raise SpecError(f"constant {name}: points carry a choice of that name already; drop one of the two")
        branches = (make_branch(name, tables[name], unordered) for name in sorted(tables))
        return cls(tuple(branches), tuple((name, plain(constants[name])) for name in sorted(constants)))

    @property
    def constants(self) -> dict[str, Any]:
        """The fields that all architectures have in common; a copy."""
        return {name: plain(value) for name, value in self._constants}

    @cached_property
    def size(self) -> int:
        """Number of points, feasible or not; it may need more than 64 bits."""
        return sum(branch.size for branch in self.branches)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Number of the first point of each branch."""
        return tuple(itertools.accumulate((branch.size for branch in self.branches[:-1]), initial=0))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the RFC 8785 form of `to_dict()`, 64 hex digits."""
        return hashlib.sha256(canonical(self.to_dict())).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def to_dict(self) -> dict[str, Any]:
        """The JSON value of the space; `from_dict` reads it back."""
        dimensions = [dimension for branch in self.branches for dimension in branch.dimensions]
        tables = {
            branch.name: {dimension.name: plain(list(dimension.choices)) for dimension in branch.dimensions}
            for branch in self.branches
        }
        return {
            "schema": SCHEMA,
            "constants": self.constants,
            "categorical": sorted({dimension.name for dimension in dimensions if not dimension.ordered}),
            **({"choices": tables[None]} if None in tables else {"families": tables}),
        }

    def index(self, point: Mapping[str, Any]) -> int:
        """The number of a point, 0 <= index < size: branches in order; in a branch the digits in mixed radix.

        Raises:
            SpecError: unknown family; unknown or missing dimension; a value that is not one of the choices. The message gives the
                nearest name.
        """
        number = self._branch_number(point)
        branch = self.branches[number]
        pairs = zip(branch.digits(point), branch.strides, strict=True)
        return self.offsets[number] + sum(digit * stride for digit, stride in pairs)

    def point(self, index: int) -> Point:
        """The point of a number.

        Raises:
            UsageError: out of range.
        """
        number, digits = self.digits(index)
        return self.branches[number].point(digits)

    def digits(self, index: int) -> tuple[int, tuple[int, ...]]:
        """Branch number, and the place of each choice, of a point's number.

        Raises:
            UsageError: out of range.
        """
        if not 0 <= index < self.size:
            raise UsageError(f"point number: got {index}, expected 0 to {self.size - 1}")
        number = max(place for place, offset in enumerate(self.offsets) if offset <= index)
        branch, rest = self.branches[number], index - self.offsets[number]
        return number, tuple(rest // stride % size for size, stride in zip(branch.sizes, branch.strides, strict=True))

    def contains(self, point: Mapping[str, Any]) -> bool:
        """Whether this is a point of the space."""
        try:
            self.index(point)
        except SpecError:
            return False
        return True

    def points(self) -> Iterator[Point]:
        """All points in the order of their numbers, made one at a time."""
        for branch in self.branches:
            for digits in itertools.product(*map(range, branch.sizes)):
                yield branch.point(digits)

    def sample_indices(self, rng: np.random.Generator, count: int) -> list[int]:
        """Numbers of `count` points, uniform over the space, with repeats."""
        return draw(rng, self.size, count)

    def sample(self, rng: np.random.Generator) -> Point:
        """One point, uniform over the space."""
        return self.point(self.sample_indices(rng, 1)[0])

    def neighbour_indices(self, index: int) -> list[int]:
        """Numbers of the points of the same family that differ in one choice: by dimension, then in the order of choices."""
        number, digits = self.digits(index)
        branch = self.branches[number]
        return [
            index + (other - digit) * stride
            for size, stride, digit in zip(branch.sizes, branch.strides, digits, strict=True)
            for other in range(size)
            if other != digit
        ]

    def neighbours(self, point: Mapping[str, Any]) -> list[Point]:
        """The points that differ from this one in one dimension; they have the same family.

        Raises:
            SpecError: not a point of the space.
        """
        return [self.point(index) for index in self.neighbour_indices(self.index(point))]

    def _branch_number(self, point: Mapping[str, Any]) -> int:
        names = [branch.name for branch in self.branches]
        if names == [None]:
            return 0
        if FAMILY not in point:
            raise SpecError(f"point {dict(point)}: family is missing, expected one of {names}")
        if point[FAMILY] not in names:
            raise SpecError(
                f"point: got family {point[FAMILY]!r}, expected one of {names}{nearest(point[FAMILY], names)}"
            )
        return names.index(point[FAMILY])


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{what}: got {value!r}, expected a table")
    return value
