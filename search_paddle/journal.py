"""The journal of a search: a header line, then one JSON line a trial, each durable before the search goes on.

    {"schema": "gpnas-sr/journal/1", "config": {…}, "space_sha256": …, "data_sha256": …}
    {"trial": 0, "round": 0, "id": "drn-x4-…", "status": "done", "score": 29.83, …}

A process killed while writing leaves half a line at the end: reading drops it, and the next line takes its place. Lines stand in
the order in which trainings ended; `trial` numbers the proposals.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import UsageError
from shared.files import read_bytes, sync_folder
from shared.spec import explain

SCHEMA = "gpnas-sr/journal/1"


class Trial(BaseModel):
    """One proxy training; also the form of its journal line."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trial: int = Field(ge=0, description="number of the proposal, from 0")
    round: int = Field(ge=0, description="round in which it was proposed, from 0")
    id: str = Field(description="spec id")
    point: dict[str, Any] = Field(description="what the sampler proposed; the search space's constants complete it")
    architecture: dict[str, Any] = Field(description="all fields of the spec")
    status: Literal["done", "stopped", "failed"] = Field(description="stopped: a validation score was below its floor")
    reason: str | None = Field(description="why it stopped or failed; None: done")
    score: float | None = Field(
        allow_inf_nan=False, description="mean validation PSNR-RGB at the end, dB; None: not done"
    )
    bicubic: float = Field(allow_inf_nan=False, description="bicubic enlargement on the same pairs, dB")
    psnr_rgb: dict[str, float] = Field(description="validation pair -> dB")
    predicted: dict[str, float] | None = Field(
        description="mean and std before the training, dB; None: nothing was known yet"
    )
    validation: tuple[tuple[int, float], ...] = Field(
        default=(),
        description="(steps done, mean PSNR-RGB in dB) at each validation; empty in journals of earlier versions",
    )
    residuals: str | None = Field(default=None, description="SHA-256 of residuals/<trial>.npy; None: none were kept")
    curve: tuple[tuple[int, float], ...] = Field(description="(step, loss) at about twenty steps")
    steps: int = Field(ge=0, description="steps done")
    seed: int = Field(ge=0)
    seconds: float = Field(ge=0, description="wall time of the training and scoring, s")
    elapsed: float = Field(
        ge=0, description="wall time of the whole search when this trial ended, earlier runs included, s"
    )
    cost: dict[str, int | float]

    @model_validator(mode="after")
    def _score_fits_status(self) -> Self:
        is_done = self.status == "done"
        if is_done != (self.score is not None) or is_done != (self.reason is None):
            raise ValueError(
                f"status {self.status} with score {self.score} and reason {self.reason!r}: only one of the two can be"
            )
        return self


class Journal:
    """An open journal, locked against a second search in the same folder.

    Attributes:
        trials: what it holds, by `trial`.
    """

    def __init__(self, file: IO[bytes], trials: dict[int, Trial]) -> None:
        self._file = file
        self.trials = trials

    @classmethod
    def open(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Open a journal to go on with, or begin one.

        Args:
            path: the file; missing folders are made.
            header: what must be equal for trials to belong together; JSON values.

        Raises:
            UsageError: it is another search's (the differing fields are named), is broken, or another process writes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
        try:
            _lock(file, path)
            file.seek(0)
            lines, size = _whole_lines(file.read())
            if lines:
                _check_header(_parse(lines[0], path, 1), header, path)
            trials = _trials(lines[1:], path)
            file.truncate(size)
            if not lines:
                _write(file, {"schema": SCHEMA, **header})
                sync_folder(path.parent)
        except BaseException:
            file.close()
            raise
        return cls(file, trials)

    def append(self, trial: Trial) -> None:
        """Add a trial; it is on the disk when this returns."""
        assert trial.trial not in self.trials, f"trial {trial.trial} is in the journal already"
        _write(self._file, trial.model_dump())
        self.trials[trial.trial] = trial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()  # frees the lock, too


def read_journal(path: Path) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """Header and trials, by their number; nothing is locked or changed.

    Raises:
        UsageError: no such file, or broken.
    """
    lines, _ = _whole_lines(read_bytes(path, expected="the journal of a search"))
    header = _parse(lines[0], path, 1) if lines else {}
    if header.get("schema") != SCHEMA:
        raise UsageError(f"{path}: got schema {header.get('schema')!r}, expected {SCHEMA!r} on line 1")
    trials = _trials(lines[1:], path)
    return header, tuple(trials[number] for number in sorted(trials))


def _whole_lines(data: bytes) -> tuple[list[bytes], int]:
    """The lines that end, and their size in bytes; what follows the last newline was never finished."""
    *lines, torn = data.split(b"\n")
    return lines, len(data) - len(torn)


def _trials(lines: list[bytes], path: Path) -> dict[int, Trial]:
    trials: dict[int, Trial] = {}
    for number, line in enumerate(lines, start=2):
        _parse(line, path, number)
        try:
            trial = Trial.model_validate_json(line)
        except ValidationError as error:
            raise UsageError(f"{path}, line {number}: {explain(error, Trial)}; {_REMEDY}") from None
        if trial.trial in trials:
            raise UsageError(f"{path}, line {number}: got trial {trial.trial} a second time; {_REMEDY}")
        trials[trial.trial] = trial
    return trials


_REMEDY = "the file was changed by hand or by the disk: restore it, or cut it before this line to do the rest again"


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: {error}; expected a JSON object; {_REMEDY}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}, line {number}: got {type(value).__name__}, expected a JSON object; {_REMEDY}")
    return value


def _check_header(found: Mapping[str, Any], expected: Mapping[str, Any], path: Path) -> None:
    there, here = _flat(found), _flat({"schema": SCHEMA, **expected})
    differing = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if differing:
        listed = "; ".join(f"{name}: {there.get(name)!r} there, {here.get(name)!r} here" for name in differing)
        raise UsageError(
            f"{path}: belongs to another search; got differences in {listed}; "
            "repeat the settings it was begun with, or give another --out (trials, minutes and jobs may change)"
        )


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, with dotted names."""
    fields: dict[str, Any] = {}
    for name, item in value.items():
        fields |= _flat(item, f"{prefix}{name}.") if isinstance(item, Mapping) else {f"{prefix}{name}": item}
    return fields


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path}: another search writes it now; wait for that one, or give another --out") from None


def _write(file: IO[bytes], value: Mapping[str, Any]) -> None:
    left = json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())
