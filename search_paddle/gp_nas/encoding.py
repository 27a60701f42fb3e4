"""Points of a search space as integer codes: one row a point, the family first, then one column a dimension name.

A name that several families use has one column. Its codes count the union of their choices, so that equal values have equal codes
in every family. If a family lacks a dimension, its points have the code -1 there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.space import SearchSpace
from shared.space.dimensions import Dimension, canonical

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

ABSENT = -1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Column:
    """One column of codes.

    Attributes:
        name: of the dimension.
        choices: the union of the families' choices; a code counts them.
        ordered: ordinal or categorical.
        codes: family -> code of each of its digits, shape (its choices,); only families that have the dimension.
    """

    name: str
    choices: tuple[Any, ...]
    ordered: bool
    codes: dict[int, Codes]

    def positions(self, families: Sequence[int]) -> Floats:
        """Position of each code on [0, 1], among the choices that one of these families has; shape (choices,).

        Choices are evenly spaced in their order. Choices of other families have position 0, which is never used.
        """
        used = sorted({int(code) for family in families for code in self.codes[family]})
        positions = np.zeros(len(self.choices))
        positions[used] = np.arange(len(used)) / max(len(used) - 1, 1)
        return positions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encoding:
    """Turns numbers of points into codes.

    Attributes:
        space: the search space.
        columns: one for each dimension name, sorted; columns[i] is column 1 + i of the codes.
    """

    space: SearchSpace
    columns: tuple[Column, ...]

    @property
    def families(self) -> int:
        """Number of families; 1 in a flat space."""
        return len(self.space.branches)

    def codes(self, indices: Sequence[int]) -> Codes:
        """Codes of points by their numbers.

        Args:
            indices: m numbers of points.

        Returns:
            int64 (m, 1 + columns).
        """
        big = self.space.size > 2**62
        numbers = np.array(indices, dtype=object if big else np.int64)
        codes = np.full((len(indices), 1 + len(self.columns)), ABSENT, dtype=np.int64)
        for family, (branch, offset) in enumerate(zip(self.space.branches, self.space.offsets, strict=True)):
            rows = np.flatnonzero((numbers >= offset) & (numbers < offset + branch.size))
            codes[rows, 0] = family
            digits = dict(
                zip((d.name for d in branch.dimensions), zip(branch.strides, branch.sizes, strict=True), strict=True)
            )
            for place, column in enumerate(self.columns, start=1):
                if column.name in digits:
                    stride, size = digits[column.name]
                    digit = ((numbers[rows] - offset) // stride % size).astype(np.int64)
                    codes[rows, place] = column.codes[family][digit]
        return codes

    def neighbours(self, index: int) -> tuple[list[int], Codes]:
        """Numbers of the points that differ from one in a single choice, and their codes, (m, 1 + columns)."""
        family, digits = self.space.digits(index)
        own, rows = self.codes([index]), [np.empty((0, 1 + len(self.columns)), dtype=np.int64)]
        for dimension, digit in zip(self.space.branches[family].dimensions, digits, strict=True):
            place = next(at for at, column in enumerate(self.columns, start=1) if column.name == dimension.name)
            others = np.delete(self.columns[place - 1].codes[family], digit)
            rows.append(np.repeat(own, len(others), axis=0))
            rows[-1][:, place] = others
        return self.space.neighbour_indices(index), np.concatenate(rows)


def make_encoding(space: SearchSpace) -> Encoding:
    """The encoding of a space."""
    names = sorted({dimension.name for branch in space.branches for dimension in branch.dimensions})
    return Encoding(space=space, columns=tuple(_column(space, name) for name in names))


def _column(space: SearchSpace, name: str) -> Column:
    owners: dict[int, Dimension] = {
        family: dimension
        for family, branch in enumerate(space.branches)
        for dimension in branch.dimensions
        if dimension.name == name
    }
    ordered = next(iter(owners.values())).ordered
    union = {canonical(choice): choice for dimension in owners.values() for choice in dimension.choices}
    keys = sorted(union, key=union.__getitem__) if ordered else sorted(union)
    place = {key: code for code, key in enumerate(keys)}
    codes = {
        family: np.array([place[canonical(choice)] for choice in dimension.choices], dtype=np.int64)
        for family, dimension in owners.items()
    }
    return Column(name=name, choices=tuple(union[key] for key in keys), ordered=ordered, codes=codes)
