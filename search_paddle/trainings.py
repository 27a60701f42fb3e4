"""Has proposals trained by worker processes, and turns their answers into trials."""

from collections.abc import Iterator, Sequence
from typing import Any

from search_paddle.early_stop import floors
from search_paddle.executors import Answer, Died, Executor
from search_paddle.proposals import Proposal
from search_paddle.proxy.residuals import residuals_path
from search_paddle.standing import Standing
from search_paddle.task import Task
from shared.network.cost import cost
from shared.records.record import parse_value
from shared.records.trial import ProxyResult, Trial


def train(task: Task, executor: Executor, proposals: Sequence[Proposal], standing: Standing) -> Iterator[Trial]:
    """Trials in the order in which their trainings end.

    Args:
        task: the search.
        executor: the workers.
        proposals: of one round.
        standing: after the rounds before, for the floors of early stopping.

    Raises:
        WorkError: workers do not start.
        UsageError: a worker's answer is not a `ProxyResult`.
    """
    lowest = floors(standing.trials, standing.members, task.config)
    for index, answer in executor.run([_request(task, each, lowest) for each in proposals]):
        yield _trial(task, proposals[index], _result(answer, task.config.seed))


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


def _result(answer: Answer, seed: int) -> ProxyResult:
    if isinstance(answer, Died):
        return ProxyResult(
            status="failed", reason=answer.reason, score=None, psnr_rgb={}, curve=(), steps=0, seed=seed, seconds=0.0
        )
    return parse_value(ProxyResult, answer, "answer of a proxy worker", remedy="start a worker of this version")


def _trial(task: Task, proposal: Proposal, result: ProxyResult) -> Trial:
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
        **dict(result),
    )
