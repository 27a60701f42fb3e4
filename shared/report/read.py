"""Finds runs and reads them: folders -> frozen values. What a folder is shows by what it holds; no framework is needed.

search    journal.jsonl or run.json; archive/, suite.json
training  train.json, or logs/*.jsonl, or members/; archive/, suite.json
ablation  ablation.json; images/<pair>/<name>.png
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import UsageError
from shared.files import read_json
from shared.records.weights import KEY
from shared.report.records import AblationFile, LogLine, RunFacts, Trial
from shared.spec import SpecFile, explain, read_spec_file

Model = TypeVar("Model", bound=BaseModel)

HEADER_SIZE = 8  # bytes of a safetensors file that give the length of the JSON behind them
JOURNAL_SCHEMA = "gpnas-sr/journal/1"
NEEDED = frozenset({"lr", "bicubic", "hr"})  # pictures of an example, besides the whole suite's
RUN_SCHEMAS = ("gpnas-sr/search-run/1", "gpnas-sr/train/1")


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchRun:
    """A search, finished or not.

    Attributes:
        folder: where it stands.
        label: short name, unique in the report.
        facts: its run.json; None: absent.
        trials: by number.
        members: ids of the suite it chose; empty before its end.
        specs: spec files of these members.
    """

    folder: Path
    label: str
    facts: RunFacts | None
    trials: tuple[Trial, ...]
    members: tuple[str, ...]
    specs: dict[str, SpecFile]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """A training, finished or not.

    Attributes:
        folder: where it stands.
        label: short name, unique in the report.
        facts: its train.json; None: absent.
        logs: member id -> log lines, by step.
        specs: member id -> spec file.
        provenance: member id -> what its finished weights file says of itself.
    """

    folder: Path
    label: str
    facts: RunFacts | None
    logs: dict[str, tuple[LogLine, ...]]
    specs: dict[str, SpecFile]
    provenance: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleFiles:
    """Pictures of one pair: their names (`lr`, `bicubic`, member ids, `ensemble`, `hr`) and files."""

    name: str
    pictures: dict[str, Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationRun:
    """An ablation: its tables, the examples whose pictures are there, the names of those whose pictures are not."""

    folder: Path
    label: str
    table: AblationFile
    examples: tuple[ExampleFiles, ...]
    incomplete: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """All runs of a report, in the order given."""

    searches: tuple[SearchRun, ...]
    trainings: tuple[TrainingRun, ...]
    ablations: tuple[AblationRun, ...]

    @property
    def specs(self) -> dict[str, SpecFile]:
        """Spec files of all members, by id."""
        found: dict[str, SpecFile] = {}
        for specs in (*(run.specs for run in self.searches), *(run.specs for run in self.trainings)):
            found |= specs
        return found


def read_runs(paths: Sequence[Path]) -> Runs:
    """The runs in folders, and in their direct sub-folders.

    Raises:
        UsageError: no such folder, one that holds no run, or a file in one that cannot be read as what it should be.
    """
    folders = _labelled(folder for path in paths for folder in _run_folders(path))
    return Runs(
        searches=tuple(_search(folder, label) for folder, label in folders.items() if _is_search(folder)),
        trainings=tuple(_training(folder, label) for folder, label in folders.items() if _is_training(folder)),
        ablations=tuple(_ablation(folder, label) for folder, label in folders.items() if _is_ablation(folder)),
    )


def _run_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise UsageError(
            f"{path}: no such folder; expected the folder of a run (gpnas-sr search, train, ablate or demo)"
        )
    candidates = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir())]
    found = [folder for folder in candidates if _is_search(folder) or _is_training(folder) or _is_ablation(folder)]
    if not found:
        listed = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise UsageError(
            f"{path}: got a folder with {listed}; expected journal.jsonl (a search), train.json or logs (a training), "
            "ablation.json (an ablation), or sub-folders with these; give the --out folder of such a command"
        )
    return found


def _is_search(folder: Path) -> bool:
    return (folder / "journal.jsonl").is_file() or (folder / "run.json").is_file()


def _is_training(folder: Path) -> bool:
    if _is_search(folder):
        return False
    return (folder / "train.json").is_file() or (folder / "members").is_dir() or any(folder.glob("logs/*.jsonl"))


def _is_ablation(folder: Path) -> bool:
    return (folder / "ablation.json").is_file()


def _labelled(folders: Iterable[Path]) -> dict[Path, str]:
    """Folder -> last parts of its path, as few as tell it from the others. A folder found twice counts once."""
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    most = max((len(folder.parts) for folder in unique), default=1)
    for count in range(1, most + 1):
        labels = ["/".join(folder.parts[-count:]).lstrip("/") for folder in unique]
        if len(set(labels)) == len(unique):
            break
    return dict(zip(unique, labels, strict=True))


def _search(folder: Path, label: str) -> SearchRun:
    members = _suite_members(folder)
    return SearchRun(
        folder=folder,
        label=label,
        facts=_facts(folder / "run.json"),
        trials=_trials(folder / "journal.jsonl"),
        members=members,
        specs=_specs(folder, members),
    )


def _training(folder: Path, label: str) -> TrainingRun:
    facts = _facts(folder / "train.json")
    logs = {path.stem: _log(path) for path in sorted(folder.glob("logs/*.jsonl"))}
    known = facts.members if facts else ()
    order = tuple(dict.fromkeys((*known, *_suite_members(folder), *logs)))
    weights = {spec_id: folder / "members" / f"{spec_id}.safetensors" for spec_id in order}
    return TrainingRun(
        folder=folder,
        label=label,
        facts=facts,
        logs={spec_id: logs[spec_id] for spec_id in order if logs.get(spec_id)},
        specs=_specs(folder, order),
        provenance={spec_id: _provenance(path) for spec_id, path in weights.items() if path.is_file()},
    )


def _ablation(folder: Path, label: str) -> AblationRun:
    path = folder / "ablation.json"
    table = _validated(AblationFile, path.read_bytes(), str(path))
    examples = tuple(_example(folder / "images", name) for name in table.examples)
    members = {member for row in table.rows for member in row.members}
    needed = NEEDED | (members if len(members) == 1 else {"ensemble"})  # a suite of one has no picture of its own
    complete = tuple(example for example in examples if example.pictures.keys() >= needed)
    incomplete = tuple(example.name for example in examples if example not in complete)
    return AblationRun(folder=folder, label=label, table=table, examples=complete, incomplete=incomplete)


def _example(images: Path, name: str) -> ExampleFiles:
    folder = images / name
    if not folder.resolve().is_relative_to(images.resolve()):
        raise UsageError(
            f"{images.parent}/ablation.json: got the example {name!r}, expected the name of a folder in images/"
        )
    return ExampleFiles(name=name, pictures={path.stem: path for path in sorted(folder.glob("*.png"))})


def _facts(path: Path) -> RunFacts | None:
    if not path.is_file():
        return None
    facts = _validated(RunFacts, path.read_bytes(), str(path))
    if facts.schema_ not in RUN_SCHEMAS:
        raise UsageError(f"{path}: got schema {facts.schema_!r}, expected one of {', '.join(RUN_SCHEMAS)}")
    return facts


def _trials(path: Path) -> tuple[Trial, ...]:
    """The trials of a journal, by number: behind its header line, without a last line that was never finished."""
    lines = _whole_lines(path)
    if not lines:
        return ()
    header = _validated(RunFacts, lines[0], f"{path}, line 1")
    if header.schema_ != JOURNAL_SCHEMA:
        raise UsageError(f"{path}: got schema {header.schema_!r}, expected {JOURNAL_SCHEMA!r} on line 1")
    found = [_validated(Trial, line, f"{path}, line {number}") for number, line in enumerate(lines[1:], start=2)]
    return tuple(sorted(found, key=lambda trial: trial.trial))


def _log(path: Path) -> tuple[LogLine, ...]:
    lines = _whole_lines(path)
    return tuple(_validated(LogLine, line, f"{path}, line {number}") for number, line in enumerate(lines, start=1))


def _whole_lines(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return lines


def _suite_members(folder: Path) -> tuple[str, ...]:
    """Ids of the folder's suite file, of which nothing else is needed: weights and specs may not be there any more."""
    path = folder / "suite.json"
    if not path.is_file():
        return ()
    value = read_json(path)
    members = value.get("members") if isinstance(value, dict) else None
    if not isinstance(members, list) or not all(isinstance(each, dict) and "id" in each for each in members):
        raise UsageError(
            f"{path}: got no list of members with ids, expected a suite file; write it again by gpnas-sr train"
        )
    return tuple(str(each["id"]) for each in members)


def _specs(folder: Path, ids: Iterable[str]) -> dict[str, SpecFile]:
    paths = {spec_id: folder / "archive" / f"{spec_id}.json" for spec_id in ids}
    return {spec_id: read_spec_file(path) for spec_id, path in paths.items() if path.is_file()}


def _provenance(path: Path) -> dict[str, Any]:
    """What a weights file says of itself; the weights are not read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(HEADER_SIZE), "little")
            header = file.read(min(length, path.stat().st_size))  # a broken file may claim any length
        metadata = json.loads(json.loads(header)["__metadata__"][KEY])
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected a weights file of gpnas-sr train") from None
    provenance = metadata.get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def _validated(model: type[Model], data: bytes, name: str) -> Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise UsageError(f"{name}: {explain(error, model)}; restore the file, or make it again") from None
