"""Where two descriptions of a long work differ: what a resumed command compares before it continues in a folder."""

from collections.abc import Mapping
from typing import Any


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """The fields in which two JSON objects differ, objects inside them compared field by field.

    Args:
        there: what a file records.
        here: what this run would record.
        defaults: values of fields that `there` may lack because they were added later, by dotted name.

    Example:
        >>> differences({"id": "a", "config": {"steps": 2}}, {"id": "a", "config": {"steps": 3, "clip": 0}}, {"config.clip": 0})
        ['config.steps: 2 there, 3 here']
    """
    recorded, current = _flat(there), _flat(here)
    recorded = {name: value for name, value in (defaults or {}).items() if name in current} | recorded
    names = [name for name in {**current, **recorded} if recorded.get(name) != current.get(name)]
    return [f"{name}: {recorded.get(name)!r} there, {current.get(name)!r} here" for name in names]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= _flat(part, f"{prefix}{name}.") if isinstance(part, Mapping) else {f"{prefix}{name}": part}
    return flat
