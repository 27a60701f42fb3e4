"""Finds the runs in folders and reads their records. The files in a folder show which kind of run it is.

search    journal.jsonl or run.json; archive/, suite.json
training  train.json, or logs/*.jsonl, or members/; archive/, suite.json
ablation  ablation.json; images/<pair>/<name>.png
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.records import ablation, journal, search_facts, suite, training_facts
from shared.records.ablation import AblationTable
from shared.records.record import read_record
from shared.records.search_facts import SearchFacts
from shared.records.training_facts import TrainingFacts
from shared.records.training_log import LogLine, read_log
from shared.records.trial import Trial
from shared.records.weights import read_provenance
from shared.spec import SpecFile, read_spec_file

NEEDED = frozenset({"lr", "bicubic", "hr"})  # pictures of an example, besides the whole suite's


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
    facts: SearchFacts | None
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
    facts: TrainingFacts | None
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
    table: AblationTable
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
    return (folder / journal.NAME).is_file() or (folder / search_facts.NAME).is_file()


def _is_training(folder: Path) -> bool:
    if _is_search(folder):
        return False
    facts = folder / training_facts.NAME
    return facts.is_file() or (folder / "members").is_dir() or any(folder.glob("logs/*.jsonl"))


def _is_ablation(folder: Path) -> bool:
    return (folder / ablation.NAME).is_file()


def _labelled(folders: Iterable[Path]) -> dict[Path, str]:
    """Folder -> the last parts of its path, as few as distinguish it from the others. A folder found twice counts once."""
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    most = max((len(folder.parts) for folder in unique), default=1)
    for count in range(1, most + 1):
        labels = ["/".join(folder.parts[-count:]).lstrip("/") for folder in unique]
        if len(set(labels)) == len(unique):
            break
    return dict(zip(unique, labels, strict=True))


def _search(folder: Path, label: str) -> SearchRun:
    members = _members(folder)
    facts, trials = folder / search_facts.NAME, folder / journal.NAME
    return SearchRun(
        folder=folder,
        label=label,
        facts=read_record(SearchFacts, facts) if facts.is_file() else None,
        trials=journal.read_journal(trials)[1] if trials.is_file() else (),
        members=members,
        specs=_specs(folder, members),
    )


def _training(folder: Path, label: str) -> TrainingRun:
    path = folder / training_facts.NAME
    facts = read_record(TrainingFacts, path) if path.is_file() else None
    logs = {path.stem: read_log(path) for path in sorted(folder.glob("logs/*.jsonl"))}
    order = tuple(dict.fromkeys((*(facts.members if facts else ()), *_members(folder), *logs)))
    weights = {spec_id: folder / "members" / f"{spec_id}.safetensors" for spec_id in order}
    return TrainingRun(
        folder=folder,
        label=label,
        facts=facts,
        logs={spec_id: logs[spec_id] for spec_id in order if logs.get(spec_id)},
        specs=_specs(folder, order),
        provenance={spec_id: read_provenance(path) for spec_id, path in weights.items() if path.is_file()},
    )


def _ablation(folder: Path, label: str) -> AblationRun:
    table = read_record(AblationTable, folder / ablation.NAME)
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
            f"{images.parent / ablation.NAME}: got the example {name!r}, expected the name of a folder in images/"
        )
    return ExampleFiles(name=name, pictures={path.stem: path for path in sorted(folder.glob("*.png"))})


def _members(folder: Path) -> tuple[str, ...]:
    path = folder / suite.NAME
    return suite.read_ids(path) if path.is_file() else ()


def _specs(folder: Path, ids: Iterable[str]) -> dict[str, SpecFile]:
    paths = {spec_id: folder / "archive" / f"{spec_id}.json" for spec_id in ids}
    return {spec_id: read_spec_file(path) for spec_id, path in paths.items() if path.is_file()}
