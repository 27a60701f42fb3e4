"""Suite files: the members of an ensemble, each with its spec, its weights file and its ensemble weight.

    {"schema": "gpnas-sr/suite/1", "scale": 4, "members": [{"id": …, "spec": "archive/….json", "weights": "members/….safetensors",
     "weight": 0.5}, …]}

Paths are relative to the file. A searched suite that is not trained yet has null for weights.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import SpecError, UsageError
from shared.files import read_json, write_json
from shared.network.architecture import ArchSpec
from shared.records.weights import load_weights
from shared.spec import explain, parse

SCHEMA = "gpnas-sr/suite/1"
NAME = "suite.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One network of a suite.

    Attributes:
        spec: its architecture.
        spec_path: its spec file; None where the suite is a single weights file, which carries its spec.
        weights_path: its weights file; None before training.
        weight: its ensemble weight, >= 0, in the weighted mean of the members' images; the weights need not sum to one.
    """

    spec: ArchSpec
    spec_path: Path | None
    weights_path: Path | None
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """The members of an ensemble, all of one scale."""

    scale: int
    members: tuple[Member, ...]


class _MemberFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    id: str
    spec: str
    weights: str | None
    weight: float = Field(ge=0, allow_inf_nan=False)


class _SuiteFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    schema_: str = Field(alias="schema")
    scale: int
    members: list[_MemberFile] = Field(min_length=1)


def read_suite(path: Path) -> Suite:
    """A suite from its file, from a folder that holds `suite.json`, or from one weights file.

    Raises:
        UsageError: no such file, or no member has a positive weight.
        SpecError: no suite file, or members of different scales, or a spec that is not the one named.
    """
    if path.is_dir():
        return read_suite(path / NAME)
    if path.suffix == ".safetensors":
        spec = load_weights(path).spec
        return Suite(scale=spec.scale, members=(Member(spec=spec, spec_path=None, weights_path=path, weight=1.0),))
    file = _parse(path, read_json(path))
    members = tuple(_member(path.parent, entry) for entry in file.members)
    _check(path, file, members)
    return Suite(scale=file.scale, members=members)


def read_ids(path: Path) -> tuple[str, ...]:
    """Spec ids of the members of a suite file; their specs and weights files need not be there.

    Raises:
        UsageError: no such file, or no suite file.
    """
    return tuple(entry.id for entry in _parse(path, read_json(path)).members)


def write_suite(path: Path, suite: Suite) -> None:
    """Write a suite file; member paths are made relative to its folder."""
    assert all(member.spec_path is not None for member in suite.members), "every member of a suite file has a spec file"
    write_json(
        path, {"schema": SCHEMA, "scale": suite.scale, "members": [_entry(path.parent, m) for m in suite.members]}
    )


def _parse(path: Path, value: Any) -> _SuiteFile:
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise SpecError(f"{path}: got schema {schema!r}, expected {SCHEMA!r}; is this a suite file, of this version?")
    try:
        return _SuiteFile.model_validate(value)
    except ValidationError as error:
        raise SpecError(f"{path}: {explain(error, _MemberFile)}") from None


def _member(folder: Path, entry: _MemberFile) -> Member:
    spec_path = folder / entry.spec
    spec = parse(spec_path)
    if spec.id != entry.id:
        raise SpecError(f"{spec_path}: holds {spec.id}, the suite names {entry.id}; one of them was replaced")
    weights_path = None if entry.weights is None else folder / entry.weights
    return Member(spec=spec, spec_path=spec_path, weights_path=weights_path, weight=entry.weight)


def _check(path: Path, file: _SuiteFile, members: tuple[Member, ...]) -> None:
    scales = {member.spec.id: member.spec.scale for member in members}
    if set(scales.values()) != {file.scale}:
        raise SpecError(f"{path}: members have scales {scales}, expected {file.scale} in all; a suite has one scale")
    if math.fsum(member.weight for member in members) <= 0:
        raise UsageError(f"{path}: all ensemble weights are 0; expected at least one positive weight")


def _entry(folder: Path, member: Member) -> dict[str, Any]:
    assert member.spec_path is not None
    weights = None if member.weights_path is None else _relative(member.weights_path, folder)
    spec = _relative(member.spec_path, folder)
    return {"id": member.spec.id, "spec": spec, "weights": weights, "weight": member.weight}


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
