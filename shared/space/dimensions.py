"""Parts of a search space: a dimension is one named choice; a branch is the dimensions of one family."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import rfc8785

from shared.errors import SpecError, nearest

FAMILY = "family"
Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One named choice.

    Attributes:
        name: key in a point.
        choices: JSON values, at least one, each once. Ordinal: numbers, ascending; categorical: sorted by their JSON.
        ordered: whether the dimension is ordinal; else it is categorical.
    """

    name: str
    choices: tuple[Any, ...]
    ordered: bool
    _digits: dict[bytes, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_digits", {canonical(choice): digit for digit, choice in enumerate(self.choices)})

    def digit(self, value: Any) -> int:
        """The place of a value among the choices. 16.0 is the same as 16; True is not the same as 1.

        Raises:
            SpecError: it is not one of them.
        """
        try:
            return self._digits[canonical(value)]
        except (KeyError, SpecError):
            raise SpecError(f"{self.name}: got {value!r}, expected one of {list(self.choices)}") from None

    def choice(self, digit: int) -> Any:
        """The value at a place; lists and objects are copied."""
        return copy.deepcopy(self.choices[digit])


@dataclass(frozen=True, kw_only=True)
class Branch:
    """The dimensions that a point has together: those of one family, or (name None) of a flat space; sorted by name."""

    name: str | None
    dimensions: tuple[Dimension, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of choices of each dimension."""
        return tuple(len(dimension.choices) for dimension in self.dimensions)

    @cached_property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.sizes)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """By how much one step in each dimension changes the number of a point; the last dimension changes fastest."""
        return tuple(math.prod(self.sizes[place + 1 :]) for place in range(len(self.sizes)))

    def point(self, digits: Iterable[int]) -> Point:
        """The point with these digits, one for each dimension."""
        family = {} if self.name is None else {FAMILY: self.name}
        return family | {
            dimension.name: dimension.choice(digit) for dimension, digit in zip(self.dimensions, digits, strict=True)
        }

    def digits(self, point: Mapping[str, Any]) -> tuple[int, ...]:
        """The digits of a point of this branch.

        Raises:
            SpecError: unknown or missing dimension, or a value that is not one of the choices. The message gives the nearest
                name.
        """
        names = [dimension.name for dimension in self.dimensions]
        known = names if self.name is None else [FAMILY, *names]
        for name in point:
            if name not in known:
                raise SpecError(f"point {dict(point)}: got {name!r}, expected only {known}{nearest(name, known)}")
        for name in names:
            if name not in point:
                raise SpecError(f"point {dict(point)}: {name} is missing, expected all of {known}")
        return tuple(dimension.digit(point[dimension.name]) for dimension in self.dimensions)


def make_branch(name: str | None, tables: Mapping[str, Iterable[Any]], unordered: set[str]) -> Branch:
    """A checked branch.

    Args:
        name: of the family; None: a flat space.
        tables: dimension -> choices.
        unordered: names of the categorical dimensions.

    Raises:
        SpecError: a name is not text; no choice; a choice twice; numbers out of order; a value that JSON does not have.
    """
    for key in tables:
        check_name(key, "dimension")
    if name is not None:
        check_name(name, "family")
        if FAMILY in tables:
            raise SpecError(
                f"family {name}: got a dimension called {FAMILY!r}; points carry their family under it, use another name"
            )
    return Branch(name=name, dimensions=tuple(_dimension(key, tables[key], key in unordered) for key in sorted(tables)))


def _dimension(name: str, choices: Iterable[Any], unordered: bool) -> Dimension:
    if isinstance(choices, str | bytes | Mapping) or not isinstance(choices, Iterable):
        raise SpecError(
            f"{name}: got {choices!r}, expected a list of choices, as in [16, 32]; one choice is written [16]"
        )
    values = [plain(choice) for choice in choices]
    if not values:
        raise SpecError(f"{name}: got no choice, expected at least one")
    keys = [canonical(value) for value in values]
    if len(set(keys)) < len(keys):
        raise SpecError(f"{name}: got {values}, expected every choice once")
    if unordered:
        order = sorted(range(len(values)), key=keys.__getitem__)
        return Dimension(name=name, choices=tuple(values[place] for place in order), ordered=False)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise SpecError(
            f"{name}: got {values}, expected numbers; choices without an order need {name} among the categorical names"
        )
    if values != sorted(values):
        raise SpecError(f"{name}: got {values}, expected ascending numbers {sorted(values)}; or name it as categorical")
    return Dimension(name=name, choices=tuple(values), ordered=True)


def check_name(name: Any, what: str) -> None:
    """Refuse a name that is not text.

    Raises:
        SpecError: it is empty, or not a string.
    """
    if not isinstance(name, str) or not name:
        raise SpecError(f"{what}: got the name {name!r}, expected text")


def plain(value: Any) -> Any:
    """A copy of a JSON value; NumPy scalars become Python numbers.

    Raises:
        SpecError: it is not a JSON value.
    """
    value = copy.deepcopy(value.item() if isinstance(value, np.generic) else value)
    canonical(value)
    return value


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value: equal values (16 and 16.0) have equal bytes.

    Raises:
        SpecError: it is not a JSON value (NaN, an integer beyond 2^53, a set …).
    """
    try:
        return rfc8785.dumps(value.item() if isinstance(value, np.generic) else value)
    except rfc8785.CanonicalizationError as error:
        raise SpecError(f"got {value!r}, expected a JSON value: {error}") from None


def draw(rng: np.random.Generator, size: int, count: int) -> list[int]:
    """Uniform integers from 0 to size - 1, with repeats.

    Args:
        rng: random numbers.
        size: >= 1; it may need more than 64 bits.
        count: how many.
    """
    if size <= 2**62:
        return [int(number) for number in rng.integers(size, size=count)]
    width = size.bit_length() // 8 + 9  # 64 spare bits: the remainder is uniform to 2^-64
    return [int.from_bytes(rng.bytes(width), "little") % size for _ in range(count)]
