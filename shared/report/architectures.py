"""Tables of architectures. Columns are sizes and the fields in which they differ; one line has what is the same in all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.records.trial import Trial
from shared.spec import SpecFile

SIZES = ("features", "groups", "blocks", "stages")  # columns, whether they differ or not
FAMILY = "family"  # has no column, because ids and names begin with it


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One line: spec id, all fields, cost block."""

    id: str
    fields: Mapping[str, Any]
    cost: Mapping[str, int | float]


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


def table_of_specs(specs: Mapping[str, SpecFile]) -> Architectures:
    """The table of spec files."""
    return _table([Architecture(id=each.id, fields=each.architecture, cost=each.cost) for each in specs.values()])


def table_of_trials(trials: Iterable[Trial]) -> Architectures:
    """The table of a search's trials, in their order."""
    return _table([Architecture(id=each.id, fields=each.architecture, cost=each.cost) for each in trials])


def _table(rows: Sequence[Architecture]) -> Architectures:
    names = dict.fromkeys(name for row in rows for name in row.fields)
    families: dict[str, list[Architecture]] = {}
    for row in rows:
        families.setdefault(str(row.fields.get(FAMILY)), []).append(row)
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
    values = [row.fields[name] for row in rows if name in row.fields]
    return all(value == values[0] for value in values)


def _values(names: Sequence[str], rows: Sequence[Architecture]) -> dict[str, Any]:
    return {name: row.fields[name] for name in names for row in rows if name in row.fields}
