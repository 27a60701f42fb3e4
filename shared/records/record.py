"""What all records have in common: frozen values, checked against their schema when a file is read."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import UsageError
from shared.files import read_bytes
from shared.spec import explain

Model = TypeVar("Model", bound="Record")

REMEDY = "restore the file, or make it again"


class Record(BaseModel):
    """The content of a file, or a part of it. Fields that are not known are ignored; a later version may have added them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON value, its fields in the order of the file."""
        return self.model_dump(mode="json", by_alias=True)


def read_record(model: type[Model], path: Path) -> Model:
    """The record in a JSON file.

    Raises:
        UsageError: no such file, another schema, or a field is missing or wrong.
    """
    return parse_record(model, read_bytes(path, expected="a JSON file"), str(path))


def parse_record(model: type[Model], data: bytes, name: str, *, remedy: str = REMEDY) -> Model:
    """A record from the bytes of one JSON object, UTF-8; arguments and errors as `parse_value`."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; expected a JSON object; {remedy}") from None
    return parse_value(model, value, name, remedy=remedy)


def parse_value(model: type[Model], value: Any, name: str, *, remedy: str = REMEDY) -> Model:
    """A record from a JSON value.

    Args:
        model: which record; its field `schema`, if it has one, must be equal in the value.
        value: as `json.loads` gives it.
        name: of the file, and of the line, for messages.
        remedy: what the user can do about a broken file, for messages.

    Raises:
        UsageError: no JSON object, another schema, or a field is missing or wrong.
    """
    if not isinstance(value, dict):
        raise UsageError(f"{name}: got {type(value).__name__}, expected a JSON object; {remedy}")
    field = model.model_fields.get("schema_")
    if field is not None and value.get("schema") != field.default:
        raise UsageError(
            f"{name}: got schema {value.get('schema')!r}, expected {field.default!r}; "
            "a file of a newer version needs a newer gpnas-sr, any other file does not belong here"
        )
    try:
        return model.model_validate_json(
            json.dumps(value)
        )  # JSON has no tuples: a strict model takes lists only from JSON
    except ValidationError as error:
        raise UsageError(f"{name}: {explain(error, model)}; {remedy}") from None


def whole_lines(data: bytes) -> tuple[list[bytes], int]:
    """The lines that end with a newline, and their size in bytes. A process that was killed may leave half a line behind them."""
    *lines, torn = data.split(b"\n")
    return lines, len(data) - len(torn)
