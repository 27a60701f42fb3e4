"""Groups of dimensions that a kernel looks at together, and what points look like in a group.

A flat space has one group. A conditional space has a shared group, of the dimensions that every family has, and one group a
family, of all its own dimensions: so a dimension that a family lacks never counts as distance 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Column, Encoding, Floats
from search_paddle.gp_nas.process.hyperparameters import Hyperparameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """m points in a group, whatever the hyperparameters are.

    Attributes:
        positions: p of each ordinal, on [0, 1], (m, o).
        indicators: 1 for the categories that a point has, else 0, (m, c).
        inside: 1 for the points that the group covers, else 0, (m,).
    """

    positions: Floats
    indicators: Floats
    inside: Floats

    def warped(self, hyper: Hyperparameters) -> Floats:
        """U = p^w of the ordinals, then the indicators, (m, o + c)."""
        return np.concatenate([self.positions**hyper.warping, self.indicators], axis=1)

    def warped_slopes(self, hyper: Hyperparameters, warped: Floats) -> Floats:
        """U' = du / dlog w = u w log p, and 0 at p = 0; (m, o); warped: as `warped` gives it."""
        slopes: Floats = warped[:, : self.positions.shape[1]] * self.logs * hyper.warping
        return slopes

    @cached_property
    def logs(self) -> Floats:
        """Log p, and 0 at p = 0; (m, o)."""
        logs: Floats = np.log(np.where(self.positions > 0, self.positions, 1.0))
        return logs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Group:
    """Dimensions that belong together.

    Attributes:
        family: the family that a point must belong to; None: any.
        ordinals: their columns of the codes, (o,).
        positions: p of each code of each ordinal, (o, choices).
        columns, codes, owners: for each category its column, its code and the place of its dimension's length-scale, (c,).
        dimensions: number of length-scales.
        names: of the features of the linear trend: the family's offset if there is one, ordinals, categories.
    """

    family: int | None
    ordinals: Codes
    positions: Floats
    columns: Codes
    codes: Codes
    owners: Codes
    dimensions: int
    names: tuple[str, ...]

    def inputs(self, codes: Codes) -> Inputs:
        """What points (m, columns) look like in this group."""
        inside = np.ones(len(codes)) if self.family is None else (codes[:, 0] == self.family).astype(np.float64)
        return Inputs(
            positions=self.positions[np.arange(len(self.ordinals)), codes[:, self.ordinals]],
            indicators=(codes[:, self.columns] == self.codes).astype(np.float64),
            inside=inside,
        )

    def spread(self, by_dimension: Floats) -> Floats:
        """Values of the dimensions (d,) at the coordinates that they have, (o + c,); times sqrt(1/2) at categories.

        Two different categories differ in two coordinates, which makes their squared distance that of one dimension.
        """
        if not len(self.owners):
            return by_dimension
        return np.concatenate([by_dimension[: len(self.ordinals)], by_dimension[self.owners] * np.sqrt(0.5)])

    def gather(self, by_coordinate: Floats) -> Floats:
        """Sums of values at the coordinates (o + c,) over the coordinates of each dimension, (d,)."""
        if not len(self.owners):
            return by_coordinate
        count = len(self.ordinals)
        categories = np.bincount(self.owners, by_coordinate[count:], self.dimensions)[count:]
        return np.concatenate([by_coordinate[:count], categories])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedded:
    """m points as the kernels see them under certain hyperparameters.

    Attributes:
        phi: S0^(1/2) phi, (m, features).
        materns: for each Matern kernel e (m, o + c) and whether it covers the points (m,).
    """

    phi: Floats
    materns: tuple[tuple[Floats, Floats], ...]

    def rows(self, part: slice) -> "Embedded":
        """The points of a slice."""
        return Embedded(phi=self.phi[part], materns=tuple((x[part], inside[part]) for x, inside in self.materns))

    def joined(self, other: "Embedded") -> "Embedded":
        """These points and, after them, others."""
        pairs = zip(self.materns, other.materns, strict=True)
        materns = tuple(
            (np.concatenate([x, y]), np.concatenate([inside, covered])) for (x, inside), (y, covered) in pairs
        )
        return Embedded(phi=np.concatenate([self.phi, other.phi]), materns=materns)


def make_groups(encoding: Encoding) -> tuple[Group, ...]:
    """The groups of a space. Dimensions with a single choice take no part."""
    families = range(encoding.families)
    shared = [
        place for place, column in enumerate(encoding.columns) if all(family in column.codes for family in families)
    ]
    groups = [_make_group(encoding, None, shared)]
    if encoding.families > 1:
        for family in families:
            owned = [place for place, column in enumerate(encoding.columns) if family in column.codes]
            groups.append(_make_group(encoding, family, owned))
    return tuple(groups)


def _make_group(encoding: Encoding, family: int | None, places: Sequence[int]) -> Group:
    members = list(range(encoding.families)) if family is None else [family]
    label = "" if family is None else f"{encoding.space.branches[family].name}."
    varied = [(1 + place, encoding.columns[place]) for place in places]
    varied = [(at, column) for at, column in varied if len(_used(column, members)) > 1]
    ordinals = [(at, column) for at, column in varied if column.ordered]
    categories = [
        (at, column, code, len(ordinals) + owner)
        for owner, (at, column) in enumerate((at, column) for at, column in varied if not column.ordered)
        for code in _used(column, members)
    ]
    positions = np.zeros((len(ordinals), max((len(column.choices) for _, column in ordinals), default=0)))
    for row, (_, column) in zip(positions, ordinals, strict=True):
        row[: len(column.choices)] = column.positions(members)
    return Group(
        family=family,
        ordinals=np.array([at for at, _ in ordinals], dtype=np.int64),
        positions=positions,
        columns=np.array([at for at, _, _, _ in categories], dtype=np.int64),
        codes=np.array([code for _, _, code, _ in categories], dtype=np.int64),
        owners=np.array([owner for _, _, _, owner in categories], dtype=np.int64),
        dimensions=len(varied),
        names=(
            *([] if family is None else [f"{label}1"]),
            *(label + column.name for _, column in ordinals),
            *(f"{label}{column.name}={column.choices[code]!r}" for _, column, code, _ in categories),
        ),
    )


def _used(column: Column, families: Sequence[int]) -> list[int]:
    return sorted({int(code) for family in families for code in column.codes[family]})
