"""The proposals of a round.

At first every proposal is for the best score of a single network. Once enough trials have known errors, every other proposal is
for the best suite. It comes from a second sampler, built anew for each round, whose score of a trial is the PSNR to expect of the
best suite with that trial in it (standing.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from search_paddle.gp_nas import GPNAS
from search_paddle.space import Feasible, architecture
from search_paddle.standing import Standing
from search_paddle.task import Task
from shared.errors import WorkError
from shared.network.architecture import ArchSpec
from shared.space import Point

SUITE_FROM = 8  # trials with known errors; with fewer, all proposals are for the score


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


def propose(
    task: Task, sampler: GPNAS, standing: Standing, numbers: range, *, recorded: dict[int, str], feasible: Feasible
) -> list[Proposal]:
    """The proposals of a whole round, even where fewer trials are wanted: a search made longer later proposes the same.

    Args:
        task: the search.
        sampler: knows the trials of all earlier rounds.
        standing: after these rounds.
        numbers: of the round's trials.
        recorded: number -> spec id, of all trials in the journal.
        feasible: which points may be proposed.

    Returns:
        Fewer than `numbers` where the space has no other feasible point.

    Raises:
        WorkError: the journal has other trials for this round.
    """
    points = _points(task, sampler, standing, len(numbers), feasible)
    is_informed = any(trial.status == "done" for trial in standing.trials)
    means, stds = sampler.predict(points) if is_informed and points else ((), ())
    proposals = []
    for index, (number, point) in enumerate(zip(numbers, points, strict=False)):
        predicted = {"mean": float(means[index]), "std": float(stds[index])} if is_informed else None
        spec = architecture(task.space, point)
        found = recorded.get(number, spec.id)
        if found != spec.id:
            raise WorkError(
                f"trial {number}: the journal has {found}, this version proposes {spec.id}; "
                "continue with the versions that run.json names, or begin again with another --out"
            )
        proposals.append(Proposal(number=number, point=point, spec=spec, predicted=predicted))
    return proposals


def _points(task: Task, sampler: GPNAS, standing: Standing, count: int, feasible: Feasible) -> list[Point]:
    """The points of a round: for the score and for the suite in turn."""
    for_suite = count // 2 if _compares(task, standing) else 0
    points = sampler.ask(count - for_suite)
    if not for_suite or not points:
        return points
    others = _suite_sampler(task, standing, points, feasible).ask(for_suite)
    return [point for point in chain.from_iterable(zip_longest(points, others)) if point is not None]


def _compares(task: Task, standing: Standing) -> bool:
    """Whether enough is known for proposals for the suite."""
    return task.config.suite_proposals and sum(map(math.isfinite, standing.suite_scores or ())) >= SUITE_FROM


def _suite_sampler(task: Task, standing: Standing, pending: Sequence[Point], feasible: Feasible) -> GPNAS:
    """A sampler that knows the suite scores of all earlier trials and proposes none of the pending points."""
    assert standing.suite_scores is not None
    taken = {task.space.index(point) for point in pending}
    sampler = GPNAS(
        task.space,
        seed=task.config.seed,
        feasible=lambda point: task.space.index(point) not in taken and feasible(point),
    )
    sampler.tell([trial.point for trial in standing.trials], standing.suite_scores)
    return sampler
