"""What the templates show, section by section. Everything is computed here; the templates only format numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.records.ablation import AblationTable
from shared.records.training_log import LogLine
from shared.records.trial import Trial
from shared.report.architectures import Architectures, table_of
from shared.report.charts import Chart, calibration_chart, search_chart, training_chart
from shared.report.crops import Example
from shared.report.pictures import Picture, are_lossless, make_picture, read_examples
from shared.report.provenance import Provenance, provenance
from shared.report.read import AblationRun, Runs, SearchRun, TrainingRun
from shared.report.summary import FAMILY_NAMES, Calibration, Gain, Tables, calibration, member_names, tables

SEARCH = "gpnas-sr search PACK.h5 --out RUN"
TRAIN = "gpnas-sr train RUN --data PACK.h5 --out TRAINED"
ABLATE = "gpnas-sr ablate TRAINED --data PACK.h5 --out FOLDER"
REPORT = "gpnas-sr report RUN --out FILE --examples 4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """What a section lacks, and the command that would make it."""

    section: str
    text: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchView:
    """A search: chart of scores (None: no trial succeeded yet), predictions (None: none yet), every trial."""

    label: str
    trials: tuple[Trial, ...]
    best: Trial | None
    bicubic: float | None
    members: tuple[str, ...]
    chart: Chart | None
    fit: Calibration | None
    fit_chart: Chart | None
    table: Architectures


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedMember:
    """A member's training: last line of its log, and the last and the best validation."""

    id: str
    end: LogLine
    last: LogLine | None
    best: LogLine | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingView:
    """A training: chart of curves, one line a member."""

    label: str
    bicubic: float | None
    members: tuple[TrainedMember, ...]
    chart: Chart


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationView:
    """An ablation: its tables, number of images, gains with intervals, pictures, and how many examples are not shown."""

    label: str
    file: AblationTable
    tables: Tables
    images: int
    gains: tuple[Gain, ...]
    over_bicubic: Gain
    over_best: Gain | None
    pictures: tuple[Picture, ...]
    hidden: int
    is_lossless: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The whole page; `names` are the members' short names by id."""

    title: str
    names: Mapping[str, str]
    searches: tuple[SearchView, ...]
    trainings: tuple[TrainingView, ...]
    ablations: tuple[AblationView, ...]
    architectures: Architectures | None
    provenance: tuple[Provenance, ...]
    missing: tuple[Missing, ...]

    @property
    def sections(self) -> tuple[str, ...]:
        """Ids of the sections that show something, in the order of the page."""
        has_pictures = any(ablation.pictures for ablation in self.ablations)
        filled = {
            "results": self.ablations,
            "pictures": has_pictures,
            "crops": has_pictures,
            "table": self.ablations,
            "search": any(search.trials for search in self.searches),
            "predictions": any(search.fit for search in self.searches),
            "training": self.trainings,
            "architectures": self.architectures,
            "provenance": self.provenance,
        }
        return tuple(section for section, content in filled.items() if content)

    def lacks(self, section: str) -> list[Missing]:
        """What a section lacks."""
        return [each for each in self.missing if each.section == section]


def make_view(runs: Runs, *, most_examples: int) -> View:
    """Everything the page shows of the runs, at most `most_examples` pairs of pictures of each ablation."""
    names = member_names(_member_ids(runs))
    tabled = [(run, sorted_rows) for run in runs.ablations if (sorted_rows := tables(run.table)) is not None]
    ablations = _ablations(tabled, most_examples)
    return View(
        title=_title(runs),
        names=names,
        searches=tuple(_search(run, f"search-{index}") for index, run in enumerate(runs.searches, 1)),
        trainings=tuple(
            _training(run, f"training-{index}", names) for index, run in enumerate(runs.trainings, 1) if run.logs
        ),
        ablations=ablations,
        architectures=table_of(tuple(runs.specs.values())) if runs.specs else None,
        provenance=provenance(runs),
        missing=tuple(_missing(runs, ablations)),
    )


def _member_ids(runs: Runs) -> Iterator[str]:
    for training in runs.trainings:
        yield from training.logs
    yield from runs.specs
    for ablation in runs.ablations:
        for row in ablation.table.rows:
            yield from row.members


def _title(runs: Runs) -> str:
    scales = {run.table.scale for run in runs.ablations} or {spec.architecture["scale"] for spec in runs.specs.values()}
    return "Real-image super-resolution" + (f" ×{scales.pop()}" if len(scales) == 1 else "")


def _search(run: SearchRun, name: str) -> SearchView:
    done = [trial for trial in run.trials if trial.score is not None]
    recorded = [trial.bicubic for trial in run.trials if trial.bicubic is not None]
    bicubic = recorded[0] if recorded else run.facts.bicubic if run.facts else None
    found = sorted({str(trial.architecture.get("family")) for trial in run.trials})
    families = {family: FAMILY_NAMES.get(family, family) for family in found}
    fit = calibration(run.trials)
    return SearchView(
        label=run.label,
        trials=run.trials,
        best=max(done, key=lambda trial: (trial.score or 0.0, -trial.trial), default=None),
        bicubic=bicubic,
        members=run.members,
        chart=search_chart(run.trials, bicubic, name=name, families=families) if done else None,
        fit=fit,
        fit_chart=calibration_chart(fit, name=f"{name}-fit") if fit else None,
        table=table_of(run.trials),
    )


def _training(run: TrainingRun, name: str, names: Mapping[str, str]) -> TrainingView:
    bicubic = run.facts.bicubic_psnr_rgb if run.facts else None
    return TrainingView(
        label=run.label,
        bicubic=bicubic,
        members=tuple(_trained(spec_id, lines) for spec_id, lines in run.logs.items()),
        chart=training_chart(run.logs, bicubic, name=name, names=names),
    )


def _trained(spec_id: str, lines: tuple[LogLine, ...]) -> TrainedMember:
    scored = [(line.psnr_rgb, line) for line in lines if line.psnr_rgb is not None]
    return TrainedMember(
        id=spec_id,
        end=lines[-1],
        last=scored[-1][1] if scored else None,
        best=max(scored, key=lambda entry: entry[0])[1] if scored else None,
    )


def _ablations(tabled: list[tuple[AblationRun, Tables]], most: int) -> tuple[AblationView, ...]:
    members = [[row.members[0] for row in each.singles] for _, each in tabled]
    examples = [read_examples(run, ids, most) for (run, _), ids in zip(tabled, members, strict=True)]
    lossless = are_lossless([example for group in examples for example in group])
    return tuple(_ablation(run, each, group, lossless) for (run, each), group in zip(tabled, examples, strict=True))


def _ablation(run: AblationRun, sorted_rows: Tables, examples: list[Example], lossless: bool) -> AblationView:
    whole, best, gains = sorted_rows.ensemble, sorted_rows.best, sorted_rows.gains(run.table.comparisons)
    return AblationView(
        label=run.label,
        file=run.table,
        tables=sorted_rows,
        images=len(whole.images),
        gains=gains,
        over_bicubic=sorted_rows.gain_over((), run.table.bicubic, gains),
        over_best=None if whole == best else sorted_rows.gain_over(best.members, best, gains),
        pictures=tuple(make_picture(one, run.table, whole.images, lossless=lossless) for one in examples),
        hidden=len(run.examples) - len(examples),
        is_lossless=lossless,
    )


def _missing(runs: Runs, ablations: tuple[AblationView, ...]) -> Iterator[Missing]:
    if not runs.ablations:
        for section, what in (
            ("results", "No ablation is here, so there is nothing measured to show."),
            ("pictures", "No ablation is here: it saves the pictures to compare."),
            ("crops", "No ablation is here: it saves the pictures to cut."),
            ("table", "No ablation is here: Table 1 was not made."),
        ):
            yield Missing(section=section, text=what, command=ABLATE)
    for run in runs.ablations:
        if tables(run.table) is None:
            text = f"{run.label} has no row of a single member, or none of all members at its levels."
            for section in ("results", "table"):
                yield Missing(section=section, text=text, command=ABLATE)
        for text in _missing_pictures(run):
            for section in ("pictures", "crops"):
                yield Missing(section=section, text=text, command=ABLATE)
    if any(ablation.hidden and not ablation.pictures for ablation in ablations):
        for section in ("pictures", "crops"):
            yield Missing(section=section, text="No pictures were asked for (--examples 0).", command=REPORT)
    yield from _missing_runs(runs)


def _missing_pictures(run: AblationRun) -> Iterator[str]:
    if not run.table.examples:
        yield f"{run.label} holds no pictures."
    elif run.incomplete:
        yield f"{run.label}: pictures of {', '.join(run.incomplete)} are not all there."


def _missing_runs(runs: Runs) -> Iterator[Missing]:
    if not runs.searches:
        yield Missing(section="search", text="No search run is here: no journal was found.", command=SEARCH)
    for search in runs.searches:
        if not search.trials:
            yield Missing(section="search", text=f"{search.label}: no trial has ended yet.", command=SEARCH)
    if not any(trial.predicted and trial.score is not None for search in runs.searches for trial in search.trials):
        text = "No trial was predicted before its training: predictions begin after the first round."
        yield Missing(section="predictions", text=text, command=f"{SEARCH} --trials 32")
    if not any(training.logs for training in runs.trainings):
        yield Missing(section="training", text="No training run is here: no logs were found.", command=TRAIN)
    for training in runs.trainings:
        unlogged = [
            spec_id for spec_id in (training.facts.members if training.facts else ()) if spec_id not in training.logs
        ]
        if unlogged and training.logs:
            text = f"{training.label}: {', '.join(unlogged)} has no log yet."
            yield Missing(section="training", text=text, command=TRAIN)
    if not runs.specs:
        yield Missing(section="architectures", text="No spec file of a suite is here.", command=SEARCH)
