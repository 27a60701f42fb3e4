"""Spec files: an architecture, what it costs, which search found it. Strict JSON with a content id.

{"schema": "gpnas-sr/spec/1", "id": …, "architecture": {…}, "cost": {…}, "search": {…} or null, "software": {…}, "created": …}
"""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import SpecError, nearest
from shared.files import read_json
from shared.network.architecture import ArchSpec
from shared.network.cost import cost
from shared.network.families import FAMILIES

__all__ = ["PRESETS", "ArchSpec", "SpecFile", "make_spec_file", "parse", "read_spec_file"]

EXACT = 2**53  # integers of RFC 8785 are smaller
SCHEMA: Literal["gpnas-sr/spec/1"] = "gpnas-sr/spec/1"

# Published sizes, without the scale
PRESETS: Mapping[str, Mapping[str, Any]] = {
    name: {"family": family.name, **fields} for family in FAMILIES for name, fields in family.presets.items()
}


class SpecFile(BaseModel):
    """The content of one spec file; `id` and `cost` are checked against the architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: Literal["gpnas-sr/spec/1"] = Field(default=SCHEMA, alias="schema")
    id: str
    architecture: dict[str, Any]
    cost: dict[str, int | float]
    search: dict[str, Any] | None = None
    software: dict[str, str]
    created: str

    @property
    def spec(self) -> ArchSpec:
        """The architecture as a value."""
        return _from_fields(self.architecture)

    @model_validator(mode="after")
    def _id_and_cost_fit(self) -> Self:
        spec = _from_fields(self.architecture)
        if spec.id != self.id:
            raise ValueError(f"the file says id {self.id}, its architecture has {spec.id}; one of them was edited")
        if (expected := cost(spec).to_json()) != self.cost:
            raise ValueError(f"the file says cost {self.cost}, the architecture costs {expected}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The JSON value of the file."""
        return self.model_dump(by_alias=True)


def parse(source: Mapping[str, Any] | str | Path, *, scale: int | None = None) -> ArchSpec:
    """An architecture from a dict (bare, or a whole spec file's), the path of a spec file, or the name of a preset.

    Raises:
        SpecError: unknown family or field, missing field, value out of range, newer schema, id that does not fit.

    Example:
        >>> parse("drn-star", scale=2).id
        'drn-x2-7db0d1b3d894'
    """
    if isinstance(source, str) and source in PRESETS:
        if scale is None:
            raise SpecError(f"preset {source} has no scale of its own; got none, expected scale=2, 3 or 4")
        return _from_fields({**PRESETS[source], "scale": scale})
    if isinstance(source, Mapping):
        return _read(source, "spec").spec if "architecture" in source or "schema" in source else _from_fields(source)
    return read_spec_file(Path(source)).spec


def read_spec_file(path: Path) -> SpecFile:
    """Read and check a spec file.

    Raises:
        SpecError: it is none, or does not fit itself.
        UsageError: no such file, or no JSON.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise SpecError(f"{path}: got a JSON {type(value).__name__}, expected the object of a spec file")
    return _read(value, str(path))


def make_spec_file(spec: ArchSpec, search: dict[str, Any] | None = None) -> SpecFile:
    """The file of an architecture, with its cost and the versions in use."""
    return SpecFile(
        schema=SCHEMA,
        id=spec.id,
        architecture=spec.architecture(),
        cost=cost(spec).to_json(),
        search=search,
        software=software(),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def software() -> dict[str, str]:
    """Versions of what is installed and decides numbers."""
    versions = {"python": platform.python_version()}
    for package in ("gpnas-sr", "numpy", "paddlepaddle", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _read(value: Mapping[str, Any], name: str) -> SpecFile:
    schema = value.get("schema")
    if schema != SCHEMA:
        raise SpecError(
            f"{name}: got schema {schema!r}, expected {SCHEMA!r}; "
            "a file of a newer version needs a newer gpnas-sr, anything else is no spec file"
        )
    try:
        return SpecFile.model_validate(dict(value))
    except ValidationError as error:
        raise SpecError(f"{name}: {explain(error, SpecFile)}") from None


def _from_fields(fields: Mapping[str, Any]) -> ArchSpec:
    names = [family.name for family in FAMILIES]
    for name, value in fields.items():
        if isinstance(value, int) and abs(value) >= EXACT:
            raise SpecError(f"{name}: got {value}, expected a number below 2^53, which every JSON reader holds exactly")
    if "family" not in fields:
        raise SpecError(
            f"architecture without a family; got fields {sorted(fields)}, expected family to be one of {names}"
        )
    for family in FAMILIES:
        if family.name == fields["family"]:
            try:
                return family.spec.model_validate(dict(fields))
            except ValidationError as error:
                raise SpecError(f"{family.name} architecture: {explain(error, family.spec)}") from None
    raise SpecError(
        f"unknown family; got {fields['family']!r}, expected one of {names}{nearest(fields['family'], names)}"
    )


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation error as one line a person can act on: field, what was got, what was expected, nearest name."""
    return "; ".join(_explain_one(problem, model) for problem in error.errors(include_url=False))


def _explain_one(problem: Any, model: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            known = list(model.model_fields)
            return f"unknown field {field!r}{nearest(field, known)}; expected fields {', '.join(known)}"
        case "missing":
            return f"field {field!r} is missing"
        case "value_error":
            return str(problem["ctx"]["error"])
        case _:
            return f"{field}: got {problem['input']!r}, expected: {problem['msg']}"
