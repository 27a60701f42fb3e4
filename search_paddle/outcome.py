"""What a search leaves behind besides its journal: spec files in the archive, and the suite."""

from collections.abc import Sequence
from pathlib import Path

from search_paddle.suite.selection import Selection
from search_paddle.task import Task
from shared.errors import WorkError
from shared.records.archive import Archive
from shared.records.suite import NAME, Member, Suite, write_suite
from shared.records.trial import Trial
from shared.spec import make_spec_file, parse

ARCHIVE = "archive"


def archive_trial(task: Task, trial: Trial) -> None:
    """Put the architecture of a trial that is done into the archive, with how it was found. A file that is there stays."""
    archive = Archive(task.out / ARCHIVE)
    if trial.status != "done" or archive.path(trial.id).exists():
        return
    search = {
        "run": task.out.resolve().name,
        "trial": trial.trial,
        "space_sha256": task.space.sha256,
        "data_sha256": task.data_sha256,
        "proxy": {"psnr_rgb": trial.score, "steps": trial.steps, "seed": trial.seed},
        "predicted": trial.predicted,
    }
    archive.add(make_spec_file(parse(trial.architecture), search))


def write_selected(out: Path, trials: Sequence[Trial], selection: Selection) -> tuple[Trial, ...]:
    """Write the suite file; its members have no weights files yet.

    Args:
        out: run folder.
        trials: all of the search.
        selection: the suite.

    Returns:
        The trials chosen, in the suite's order.

    Raises:
        WorkError: there is no member.
    """
    by_id = {trial.id: trial for trial in trials}
    chosen = tuple(by_id[candidate.id] for candidate in selection.members)
    if not chosen:
        raise WorkError(_why_none(out, trials))
    archive = Archive(out / ARCHIVE)
    members = tuple(
        Member(spec=parse(trial.architecture), spec_path=archive.path(trial.id), weights_path=None, weight=weight)
        for trial, weight in zip(chosen, selection.weights, strict=True)
    )
    write_suite(out / NAME, Suite(scale=members[0].spec.scale, members=members))
    return chosen


def _why_none(out: Path, trials: Sequence[Trial]) -> str:
    if any(trial.status == "done" for trial in trials):
        return f"no suite of {len(trials)} trainings fits the limits of max_suite_…; expected room for one member: raise them"
    reasons = "; ".join(sorted({str(trial.reason) for trial in trials})) or "there was none"
    return f"no training of {len(trials)} succeeded: {reasons}; see the logs in {out / 'logs'}"
