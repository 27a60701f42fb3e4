"""The search: rounds of proposals, each trained briefly in a worker process; the Gaussian process is told their scores.

The state of a search is its run folder: `journal.jsonl`, and the residuals that it names, say how far the search is. When the
same command runs again, the trials of whole rounds are told to a new sampler. It then proposes the same points for the round that
was broken off, and the trainings that are missing are done. So a search that was killed ends like one that was not, with any
number of jobs. NumPy only.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search_paddle.config import SearchConfig
from search_paddle.early_stop import scores_by_steps
from search_paddle.executors import PROXY_COMMAND, Executor, ProcessExecutor
from search_paddle.gp_nas import GPNAS
from search_paddle.journal import Journal
from search_paddle.outcome import archive_trial, write_selected
from search_paddle.proposals import Proposal, propose
from search_paddle.proxy.validation import bicubic_score
from search_paddle.space import within_limits
from search_paddle.standing import Standing, stand
from search_paddle.task import Task, check
from search_paddle.trainings import train
from shared.files import write_json
from shared.progress import Progress, track
from shared.records.journal import NAME as JOURNAL
from shared.records.search_facts import NAME as FACTS
from shared.records.suite import NAME as SUITE
from shared.records.trial import Trial
from shared.space import SearchSpace

Stop = Literal["trials", "minutes", "space"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """How a search ended.

    Attributes:
        trials: all of them, by number.
        stopped: what ended it: enough trials, the time, or no feasible point left.
        bicubic: score of bicubic upscaling, dB.
        suite: path of suite.json.
        members: the trials in it.
    """

    trials: tuple[Trial, ...]
    stopped: Stop
    bicubic: float
    suite: Path
    members: tuple[Trial, ...]


def run_search(
    pack: Path, out: Path, *, space: SearchSpace, config: SearchConfig, command: Sequence[str] = PROXY_COMMAND
) -> SearchResult:
    """Search, or continue the search in `out`.

    Args:
        pack: HDF5 pack of the scale that the space's constants name.
        out: run folder; gets run.json, journal.jsonl, archive/, logs/ and at the end suite.json.
        space: what to search.
        config: how far, under which limits, and how proposals are trained.
        command: what starts a worker (search_paddle/proxy/worker.py).

    Raises:
        UsageError: the pack, the space or the settings do not fit each other, or `out` holds another search.
        WorkError: no training succeeded, workers do not start, or the journal is of a version that proposes otherwise.
    """
    began = time.monotonic()
    header = check(pack, space, config)
    with Journal.open(out / JOURNAL, header) as journal:
        task = Task(
            pack=pack,
            out=out,
            space=space,
            data_sha256=header.data_sha256,
            config=config,
            bicubic=bicubic_score(pack, config.proxy),
            started=began - max((trial.elapsed for trial in journal.trials.values()), default=0.0),
        )
        write_json(out / FACTS, task.facts().to_json())
        stopped = _explore(task, journal, command)
        trials = tuple(journal.trials[number] for number in sorted(journal.trials))
        members = write_selected(out, trials, stand(out, trials, config).selection)
    return SearchResult(trials=trials, stopped=stopped, bicubic=task.bicubic, suite=out / SUITE, members=members)


def _explore(task: Task, journal: Journal, command: Sequence[str]) -> Stop:
    """Rounds, until one of the three ends is reached."""
    config = task.config
    feasible = within_limits(task.space, config)
    sampler = GPNAS(task.space, seed=config.seed, feasible=feasible)
    for trial in journal.trials.values():
        archive_trial(task, trial)  # again: the process may have been killed between journal and archive
    done = len(journal.trials)
    with (
        ProcessExecutor(config.processes, logs=task.out / "logs", command=command) as executor,
        track(max(config.trials, done), "search", initial=done, unit="trial") as progress,
    ):
        for first in range(0, config.trials, config.round_size):
            numbers = range(first, first + config.round_size)
            if not journal.trials.keys() >= set(numbers):
                if not _may_begin(task, journal, numbers):
                    return "minutes"
                standing = stand(task.out, [journal.trials[number] for number in range(first)], config)
                recorded = {number: trial.id for number, trial in journal.trials.items()}
                proposals = propose(task, sampler, standing, numbers, recorded=recorded, feasible=feasible)
                _train_missing(task, journal, executor, proposals, standing, progress)
                if len(proposals) < config.round_size:
                    return "space"
            if numbers[-1] < config.trials:
                _tell(sampler, journal, numbers, config)
    return "trials"


def _may_begin(task: Task, journal: Journal, numbers: range) -> bool:
    """Whether there is time for a round: always for the first, and for one that was broken off."""
    limit = task.config.minutes
    begun = numbers.start == 0 or journal.trials.keys() & set(numbers)
    return limit is None or bool(begun) or task.elapsed < limit * 60


def _train_missing(
    task: Task,
    journal: Journal,
    executor: Executor,
    proposals: Sequence[Proposal],
    standing: Standing,
    progress: Progress,
) -> None:
    """Train what the journal lacks; each trial is on the disk before the next is waited for."""
    missing = [each for each in proposals if each.number not in journal.trials and each.number < task.config.trials]
    for trial in train(task, executor, missing, standing):
        journal.append(trial)
        archive_trial(task, trial)
        progress.advance(note=_note(journal.trials.values()))


def _tell(sampler: GPNAS, journal: Journal, numbers: range, config: SearchConfig) -> None:
    for trial in (journal.trials[number] for number in numbers):
        curve = scores_by_steps(trial, config)
        sampler.tell([trial.point] * len(curve), curve.values(), curve)


def _note(trials: Iterable[Trial]) -> str:
    scores = [trial.score for trial in trials if trial.score is not None]
    return f"best {max(scores):.2f} dB" if scores else "none trained yet"
