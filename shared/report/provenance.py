"""Where the runs come from: data, settings, versions, commands, as the runs recorded them."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from shared.report.read import Runs, SearchRun, TrainingRun
from shared.report.records import AblationFile, RunFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """One run: its kind and label, (term, text) of what it recorded, and its settings by dotted name."""

    kind: str
    label: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]


def provenance(runs: Runs) -> tuple[Provenance, ...]:
    """Of every run, in the order of the page."""
    return (
        *(_of_run("search", run) for run in runs.searches),
        *(_of_run("training", run) for run in runs.trainings),
        *(
            Provenance(kind="ablation", label=run.label, facts=tuple(_ablation_facts(run.table)), settings=())
            for run in runs.ablations
        ),
    )


def _of_run(kind: str, run: SearchRun | TrainingRun) -> Provenance:
    config = run.facts.config if run.facts else {}
    return Provenance(kind=kind, label=run.label, facts=tuple(_run_facts(run)), settings=tuple(_flat(config)))


def _run_facts(run: SearchRun | TrainingRun) -> Iterator[tuple[str, str]]:
    facts = run.facts
    if facts is None:
        yield "facts", "not recorded: run.json or train.json is absent"
        return
    yield from _command(facts)
    if facts.pack:
        yield "data", PurePath(facts.pack).name  # no more of the path: the page may be published
    if facts.data_sha256:
        yield "SHA-256 of the data", facts.data_sha256
    if facts.space_sha256:
        yield "SHA-256 of the search space", facts.space_sha256
    versions = facts.software
    if isinstance(run, TrainingRun):
        recorded = [each["software"] for each in run.provenance.values() if isinstance(each.get("software"), Mapping)]
        versions = recorded[0] if recorded and not versions else versions
    if versions:
        yield "versions", _versions(versions)


def _ablation_facts(table: AblationFile) -> Iterator[tuple[str, str]]:
    yield from _command(table)
    yield "schema", table.schema_
    if table.data_sha256:
        yield "SHA-256 of the data", table.data_sha256
    if table.software:
        yield "versions", _versions(table.software)


def _command(facts: RunFacts | AblationFile) -> Iterator[tuple[str, str]]:
    if facts.command:
        yield "command", facts.command if isinstance(facts.command, str) else shlex.join(facts.command)


def _versions(software: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in software.items())


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if item is None else str(item)
