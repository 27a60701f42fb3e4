"""Where the runs come from: data, settings and versions, as the runs recorded them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from shared.report.read import AblationRun, Runs, SearchRun, TrainingRun

ABSENT = ("facts", "not recorded: run.json or train.json is absent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """One run: its kind and label, (term, text) of what it recorded, and its settings by dotted name."""

    kind: str
    label: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]


def provenance(runs: Runs) -> tuple[Provenance, ...]:
    """Of every run, in the order of the page."""
    return (*map(_of_search, runs.searches), *map(_of_training, runs.trainings), *map(_of_ablation, runs.ablations))


def _of_search(run: SearchRun) -> Provenance:
    facts = run.facts
    if facts is None:
        return Provenance(kind="search", label=run.label, facts=(ABSENT,), settings=())
    recorded = (
        ("data", PurePath(facts.pack).name),  # no more of the path: the page may be published
        ("SHA-256 of the data", facts.data_sha256),
        ("SHA-256 of the search space", facts.space_sha256),
        ("versions", _versions(facts.software)),
    )
    return Provenance(kind="search", label=run.label, facts=recorded, settings=tuple(_flat(facts.config)))


def _of_training(run: TrainingRun) -> Provenance:
    facts = run.facts
    if facts is None:
        return Provenance(kind="training", label=run.label, facts=(ABSENT,), settings=())
    recorded = [("SHA-256 of the data", facts.data_sha256)]
    versions = [each["software"] for each in run.provenance.values() if isinstance(each.get("software"), Mapping)]
    recorded += [("versions", _versions(each)) for each in versions[:1]]
    return Provenance(kind="training", label=run.label, facts=tuple(recorded), settings=tuple(_flat(facts.config)))


def _of_ablation(run: AblationRun) -> Provenance:
    table = run.table
    versions = (("versions", _versions(table.software)),) if table.software else ()
    return Provenance(kind="ablation", label=run.label, facts=(("schema", table.schema_), *versions), settings=())


def _versions(software: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in software.items())


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if item is None else str(item)
