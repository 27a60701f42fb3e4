"""Tables of architectures. Columns are sizes and the fields in which they differ; one line has what is the same in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.records.trial import Trial
from shared.spec import SpecFile

SIZES = ("features", "groups", "blocks", "stages")  # columns, whether they differ or not
FAMILY = "family"  # has no column, because ids and names begin with it
Architecture: TypeAlias = SpecFile | Trial  # one line: id, architecture, cost


@dataclass(frozen=True, kw_only=True, slots=True)
class Architectures:
    """A table.

    Attributes:
        columns: fields shown for each: sizes, then those in which architectures of one family differ.
        shared: field -> value, of fields that are equal in all that have them.
        by_family: family -> field -> value, of fields that are equal within each family, and differ between them.
        rows: the lines.
    """

    columns: tuple[str, ...]
    shared: Mapping[str, Any]
    by_family: Mapping[str, Mapping[str, Any]]
    rows: tuple[Architecture, ...]


def table_of(rows: Sequence[Architecture]) -> Architectures:
    """The table of spec files or of a search's trials, in their order."""
    names = dict.fromkeys(name for row in rows for name in row.architecture)
    families: dict[str, list[Architecture]] = {}
    for row in rows:
        families.setdefault(str(row.architecture.get(FAMILY)), []).append(row)
    others = [name for name in names if name not in SIZES and name != FAMILY]
    shared = [name for name in others if _is_equal(name, rows)]
    by_family = [
        name for name in others if name not in shared and all(_is_equal(name, each) for each in families.values())
    ]
    return Architectures(
        columns=(
            *(name for name in names if name in SIZES),
            *(name for name in others if name not in shared and name not in by_family),
        ),
        shared=_values(shared, rows),
        by_family={family: found for family, each in families.items() if (found := _values(by_family, each))},
        rows=tuple(rows),
    )


def _is_equal(name: str, rows: Sequence[Architecture]) -> bool:
    """Whether all that have the field have the same value in it."""
    values = [row.architecture[name] for row in rows if name in row.architecture]
    return all(value == values[0] for value in values)


def _values(names: Sequence[str], rows: Sequence[Architecture]) -> dict[str, Any]:
    return {name: row.architecture[name] for name in names for row in rows if name in row.architecture}
