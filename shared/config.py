"""Settings from TOML files: frozen pydantic models. An unknown key is refused, and the message names the nearest known one."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import UsageError
from shared.files import read_bytes
from shared.spec import explain

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, *, expected: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: of the file.
        expected: what the file should hold, for messages: `TOML: training settings (steps = 20000, …)`.

    Raises:
        UsageError: no such file, or not TOML.
    """
    data = read_bytes(path, expected=expected)
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected {expected}") from None


def with_overrides(path: Path | None, overrides: Mapping[str, Any], *, expected: str) -> dict[str, Any]:
    """The fields of a TOML file (None: no field), replaced by the overrides that are not None.

    Args:
        path: of the file.
        overrides: field -> value, such as the options of a command.
        expected: as in `read_toml`, and so are the errors.
    """
    fields = {} if path is None else read_toml(path, expected=expected)
    return fields | {name: value for name, value in overrides.items() if value is not None}


def validated(model: type[Model], fields: Mapping[str, Any], *, name: str) -> Model:
    """Fields as a checked value.

    Args:
        model: the class of the value.
        fields: field -> value, as read from a file.
        name: of the file or table; it leads the message of an error.

    Raises:
        UsageError: unknown field (with the nearest name), wrong type, or out of range.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise UsageError(f"{name}: {explain(error, model)}") from None
