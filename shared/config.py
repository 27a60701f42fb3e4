"""Settings from TOML files: frozen pydantic models, in which an unknown key is refused with the nearest name."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import UsageError
from shared.spec import explain

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, *, expected: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: of the file.
        expected: what it should hold, for messages: `TOML: training settings (steps = 20000, …)`.

    Raises:
        UsageError: no such file, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError | IsADirectoryError) else str(error.strerror)
        raise UsageError(f"{path}: {problem}; expected {expected}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected {expected}") from None


def validated(model: type[Model], fields: Mapping[str, Any], *, name: str) -> Model:
    """Fields as a checked value.

    Raises:
        UsageError: unknown field (with the nearest name), wrong type, or out of range; `name` leads the message.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise UsageError(f"{name}: {explain(error, model)}") from None
