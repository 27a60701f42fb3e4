"""What a search leaves behind besides its journal: spec files in the archive, and the suite."""

from collections.abc import Sequence
from pathlib import Path

from search_paddle.gp_nas.suite import Candidate, select_suite
from search_paddle.journal import Trial
from shared.archive import Archive
from shared.errors import WorkError
from shared.spec import make_spec_file, parse
from shared.suite import NAME, Member, Suite, write_suite

ARCHIVE = "archive"


def archive_trial(out: Path, trial: Trial, *, space_sha256: str, data_sha256: str) -> None:
    """Put the architecture of a trial that succeeded into the archive, with how it was found; one that is there stays."""
    archive = Archive(out / ARCHIVE)
    if trial.status == "failed" or archive.path(trial.id).exists():
        return
    search = {
        "run": out.resolve().name,
        "trial": trial.trial,
        "space_sha256": space_sha256,
        "data_sha256": data_sha256,
        "proxy": {"psnr_rgb": trial.score, "steps": trial.steps, "seed": trial.seed},
        "predicted": trial.predicted,
    }
    archive.add(make_spec_file(parse(trial.architecture), search))


def write_selected(out: Path, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Write the suite: the best of each family and the best others, with equal shares and no weights yet.

    Returns:
        The trials chosen, best first.

    Raises:
        WorkError: no trial succeeded.
    """
    done = {trial.id: trial for trial in trials if trial.score is not None}
    chosen = tuple(done[candidate.id] for candidate in select_suite(_candidate(trial) for trial in done.values()))
    if not chosen:
        reasons = "; ".join(sorted({str(trial.reason) for trial in trials})) or "there was none"
        raise WorkError(f"no training of {len(trials)} succeeded: {reasons}; see the logs in {out / 'logs'}")
    archive = Archive(out / ARCHIVE)
    members = tuple(
        Member(
            spec=parse(trial.architecture), spec_path=archive.path(trial.id), weights_path=None, weight=1 / len(chosen)
        )
        for trial in chosen
    )
    write_suite(out / NAME, Suite(scale=members[0].spec.scale, members=members))
    return chosen


def _candidate(trial: Trial) -> Candidate:
    assert trial.score is not None, "failed trials are left out"
    return Candidate(id=trial.id, family=trial.architecture["family"], score=trial.score, cost=trial.cost)
