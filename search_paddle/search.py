"""The search: rounds of proposals, each trained briefly in a worker process, each told to the Gaussian process. NumPy only.

A run folder is its state: `journal.jsonl` (with the residuals it names) alone says how far the search is. Running it again tells
the journal's whole rounds to a new sampler, which then proposes what it would have proposed anyway; the round that was broken off
is proposed again, and what is missing of it is trained. So a killed search ends as an undisturbed one, whatever the number of
jobs.

Once some trials have errors to compare, every other proposal is not for the best score but for the suite: it comes from a second
sampler, made anew for each round, that is told what each trial would bring to the suite as it stands (standing.py).
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Literal

from search_paddle.config import SearchConfig
from search_paddle.early_stop import floors, scores_by_steps
from search_paddle.executors import PROXY_COMMAND, Answer, Died, Executor, ProcessExecutor
from search_paddle.gp_nas import GPNAS
from search_paddle.journal import Journal, Trial
from search_paddle.outcome import archive_trial, write_selected
from search_paddle.proxy.residuals import residuals_path
from search_paddle.proxy.validation import bicubic_score
from search_paddle.space import architecture, one_of_each_family, within_limits
from search_paddle.standing import Standing, stand
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import SpecError, UsageError, WorkError
from shared.files import write_json
from shared.network.architecture import ArchSpec
from shared.network.cost import cost
from shared.progress import Progress, track
from shared.records.suite import NAME
from shared.space import Point, SearchSpace
from shared.spec import software

Stop = Literal["trials", "minutes", "space"]
Feasible = Callable[[Mapping[str, Any]], bool]

JOURNAL = "journal.jsonl"
SUITE_FROM = 8  # trials with errors to compare; before, all proposals are for the score


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """How a search ended.

    Attributes:
        trials: all of them, by number.
        stopped: what ended it: enough trials, the time, or no feasible point left.
        bicubic: score of the bicubic enlargement, dB.
        suite: path of suite.json.
        members: the trials in it.
    """

    trials: tuple[Trial, ...]
    stopped: Stop
    bicubic: float
    suite: Path
    members: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One point of a round.

    Attributes:
        number: of the trial.
        point: as the sampler gave it.
        spec: its architecture.
        predicted: mean and std, dB; None: nothing was known yet.
    """

    number: int
    point: dict[str, Any]
    spec: ArchSpec
    predicted: dict[str, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What stays the same in a whole search.

    Attributes:
        pack: path of the data.
        out: run folder.
        space: what is searched.
        space_sha256: its content id.
        data_sha256: the pack's.
        config: of the search.
        bicubic: score of the bicubic enlargement, dB.
        started: monotonic time at which the search began, or would have, had it never paused, s.
    """

    pack: Path
    out: Path
    space: SearchSpace
    space_sha256: str
    data_sha256: str
    config: SearchConfig
    bicubic: float
    started: float

    @property
    def elapsed(self) -> float:
        """Wall time of the search, earlier runs included, s."""
        return time.monotonic() - self.started


def run_search(
    pack: Path, out: Path, *, space: SearchSpace, config: SearchConfig, command: Sequence[str] = PROXY_COMMAND
) -> SearchResult:
    """Search, or go on with the search in `out`.

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
    data_sha256 = check(pack, space, config)
    header = {"config": config.identity(), "space_sha256": space.sha256, "data_sha256": data_sha256}
    with Journal.open(out / JOURNAL, header) as journal:
        task = Task(
            pack=pack,
            out=out,
            space=space,
            space_sha256=space.sha256,
            data_sha256=data_sha256,
            config=config,
            bicubic=bicubic_score(pack, config.proxy),
            started=began - max((trial.elapsed for trial in journal.trials.values()), default=0.0),
        )
        write_json(out / "run.json", _run_facts(task))
        stopped = _explore(task, journal, command)
        trials = tuple(journal.trials[number] for number in sorted(journal.trials))
        members = write_selected(out, trials, stand(out, trials, config).selection)
    return SearchResult(trials=trials, stopped=stopped, bicubic=task.bicubic, suite=out / NAME, members=members)


def check(pack: Path, space: SearchSpace, config: SearchConfig) -> str:
    """Refuse what cannot work before the first training, and tell the pack's content id.

    Raises:
        UsageError: the proxy's crop is too small for its loss or too large for a pair, a split is empty, a family has no point
            that is an architecture, or the space is of another scale than the pack.
    """
    with Pack(pack) as data:
        scale, data_sha256 = data.scale, data.sha256
        config.proxy.check_scale(scale)
        PatchSampler(data, split="train", patch=config.proxy.patch, batch=config.proxy.batch, seed=config.seed)
        if not data.pairs("validation"):
            raise UsageError(
                f"{pack}: got no validation pair, expected at least one to score on; prepare with another split"
            )
    for spec in one_of_each_family(space):
        if spec.scale != scale:
            raise SpecError(
                f"search space: got scale {spec.scale}, expected {scale} as in {pack}; change the space's constant"
            )
    return data_sha256


def _explore(task: Task, journal: Journal, command: Sequence[str]) -> Stop:
    """Rounds, until one of the three ends is reached."""
    config = task.config
    feasible = within_limits(task.space, config)
    sampler = GPNAS(task.space, seed=config.seed, feasible=feasible)
    for trial in journal.trials.values():
        _archive(task, trial)  # again: a kill may have come between journal and archive
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
                standing = stand(task.out, _earlier(journal, numbers), config)
                points = _points(task, sampler, standing, numbers, feasible)
                proposals = _propose(sampler, points, numbers, task.space, journal)
                _train_missing(task, journal, executor, proposals, standing, progress)
                if len(proposals) < config.round_size:
                    return "space"
            if numbers[-1] < config.trials:
                _tell(sampler, journal, numbers, config)
    return "trials"


def _earlier(journal: Journal, numbers: range) -> tuple[Trial, ...]:
    """The trials of the rounds before."""
    return tuple(journal.trials[number] for number in range(numbers.start))


def _may_begin(task: Task, journal: Journal, numbers: range) -> bool:
    """Whether there is time for a round: always for the first, and for one that was broken off."""
    limit = task.config.minutes
    begun = numbers.start == 0 or journal.trials.keys() & set(numbers)
    return limit is None or bool(begun) or task.elapsed < limit * 60


def _points(task: Task, sampler: GPNAS, standing: Standing, numbers: range, feasible: Feasible) -> list[Point]:
    """A whole round, for the score and for the suite in turn. Always a whole one: then more --trials later change nothing."""
    for_suite = len(numbers) // 2 if _compares(task.config, standing) else 0
    points = sampler.ask(len(numbers) - for_suite)
    if not for_suite or not points:
        return points
    others = _suite_sampler(task, standing, points, feasible).ask(for_suite)
    return [point for point in chain.from_iterable(zip_longest(points, others)) if point is not None]


def _compares(config: SearchConfig, standing: Standing) -> bool:
    """Whether it is time for proposals for the suite."""
    return config.suite_proposals and sum(map(math.isfinite, standing.suite_scores or ())) >= SUITE_FROM


def _suite_sampler(task: Task, standing: Standing, pending: Sequence[Point], feasible: Feasible) -> GPNAS:
    """A sampler of the suite's score that knows all trials of earlier rounds and takes none of the pending points."""
    assert standing.suite_scores is not None
    taken = {task.space.index(point) for point in pending}
    sampler = GPNAS(
        task.space,
        seed=task.config.seed,
        feasible=lambda point: task.space.index(point) not in taken and feasible(point),
    )
    sampler.tell([trial.point for trial in standing.trials], standing.suite_scores)
    return sampler


def _propose(
    sampler: GPNAS, points: Sequence[Point], numbers: range, space: SearchSpace, journal: Journal
) -> list[Proposal]:
    """The round's points as proposals.

    Raises:
        WorkError: the journal's trials are others.
    """
    is_informed = any(trial.status == "done" for number, trial in journal.trials.items() if number < numbers.start)
    means, stds = sampler.predict(points) if is_informed and points else ((), ())
    proposals = []
    for index, (number, point) in enumerate(zip(numbers, points, strict=False)):
        predicted = {"mean": float(means[index]), "std": float(stds[index])} if is_informed else None
        spec = architecture(space, point)
        found = journal.trials.get(number)
        if found is not None and found.id != spec.id:
            raise WorkError(
                f"trial {number}: the journal has {found.id}, this version proposes {spec.id}; "
                "go on with the versions that run.json names, or begin again with another --out"
            )
        proposals.append(Proposal(number=number, point=point, spec=spec, predicted=predicted))
    return proposals


def _train_missing(
    task: Task,
    journal: Journal,
    executor: Executor,
    proposals: Sequence[Proposal],
    standing: Standing,
    progress: Progress,
) -> None:
    """Train what the journal lacks; each result is durable before the next is waited for."""
    missing = [each for each in proposals if each.number not in journal.trials and each.number < task.config.trials]
    lowest = floors(standing.trials, standing.members, task.config)
    for index, answer in executor.run([_request(task, each, lowest) for each in missing]):
        trial = _trial(task, missing[index], answer)
        journal.append(trial)
        _archive(task, trial)
        progress.advance(note=_note(journal.trials.values()))


def _archive(task: Task, trial: Trial) -> None:
    archive_trial(task.out, trial, space_sha256=task.space_sha256, data_sha256=task.data_sha256)


def _request(task: Task, proposal: Proposal, lowest: Sequence[tuple[int, float]]) -> dict[str, Any]:
    config = task.config
    return {
        "architecture": proposal.spec.architecture(),
        "pack": str(task.pack.resolve()),
        "proxy": config.proxy.model_dump(),
        "seed": config.seed,
        "floors": lowest,
        "residuals": str(residuals_path(task.out, proposal.number).resolve()),
    }


def _trial(task: Task, proposal: Proposal, answer: Answer) -> Trial:
    result = _failed(answer.reason, task.config.seed) if isinstance(answer, Died) else answer
    return Trial(
        trial=proposal.number,
        round=proposal.number // task.config.round_size,
        id=proposal.spec.id,
        point=proposal.point,
        architecture=proposal.spec.architecture(),
        bicubic=task.bicubic,
        predicted=proposal.predicted,
        elapsed=task.elapsed,
        cost=cost(proposal.spec).to_json(),
        **{**result, **{name: tuple(map(tuple, result[name])) for name in ("curve", "validation")}},
    )


def _failed(reason: str, seed: int) -> dict[str, Any]:
    """The result of a training whose worker died."""
    return {
        "status": "failed",
        "reason": reason,
        "score": None,
        "psnr_rgb": {},
        "validation": [],
        "residuals": None,
        "curve": [],
        "steps": 0,
        "seed": seed,
        "seconds": 0.0,
    }


def _tell(sampler: GPNAS, journal: Journal, numbers: range, config: SearchConfig) -> None:
    for trial in (journal.trials[number] for number in numbers):
        curve = scores_by_steps(trial, config)
        sampler.tell([trial.point] * len(curve), curve.values(), curve)


def _note(trials: Iterable[Trial]) -> str:
    scores = [trial.score for trial in trials if trial.score is not None]
    return f"best {max(scores):.2f} dB" if scores else "none trained yet"


def _run_facts(task: Task) -> dict[str, Any]:
    return {
        "schema": "gpnas-sr/search-run/1",
        "pack": str(task.pack),
        "data_sha256": task.data_sha256,
        "space": task.space.to_dict(),
        "space_sha256": task.space_sha256,
        "config": task.config.model_dump(),
        "bicubic": task.bicubic,
        "software": software(),
    }
