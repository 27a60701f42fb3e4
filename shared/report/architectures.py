"""Tables of architectures: sizes, and the fields in which they differ, as columns; what they share in one line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.report.records import Trial
from shared.spec import SpecFile

SIZES = ("features", "groups", "blocks", "stages")  # columns, whether they differ or not
HIDDEN = ("family",)  # the name says it


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
        columns: fields shown for each, in the order of the spec files.
        shared: field -> value, of fields that are equal in all that have them.
        rows: the lines.
    """

    columns: tuple[str, ...]
    shared: Mapping[str, Any]
    rows: tuple[Architecture, ...]


def table_of_specs(specs: Mapping[str, SpecFile]) -> Architectures:
    """The table of spec files."""
    return _table([Architecture(id=each.id, fields=each.architecture, cost=each.cost) for each in specs.values()])


def table_of_trials(trials: Iterable[Trial]) -> Architectures:
    """The table of a search's trials, in their order."""
    return _table([Architecture(id=each.id, fields=each.architecture, cost=each.cost) for each in trials])


def _table(rows: Sequence[Architecture]) -> Architectures:
    names = [name for name in dict.fromkeys(name for row in rows for name in row.fields) if name not in HIDDEN]
    values = {name: [row.fields[name] for row in rows if name in row.fields] for name in names}
    sizes = [name for name in names if name in SIZES]
    columns = sizes + [
        name for name in names if name not in SIZES and any(value != values[name][0] for value in values[name])
    ]
    shared = {name: values[name][0] for name in names if name not in columns}
    return Architectures(columns=tuple(columns), shared=shared, rows=tuple(rows))
