"""Starts the worker processes of a comparison: one framework in each, two at the same time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.processes import run_module, worker_environment
from weights_convert.compare.dump.record import DumpJob, Request

WorkerKind = Literal["torch", "paddle", "module", "onnx"]
AT_ONCE = 2
EXTRA = {
    "OMP_WAIT_POLICY": "PASSIVE",  # on a busy machine threads that spin for each other take ten times as long
    "MALLOC_MMAP_THRESHOLD_": str(2**20),  # large arrays go back to the system when done with: the heap would keep them
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process.

    Attributes:
        kind: what it runs: its module is `dump.KIND_worker`.
        jobs: what it does.
        threads: of every library in it.
        onednn: whether the framework may use oneDNN.
    """

    kind: WorkerKind
    jobs: tuple[DumpJob, ...]
    threads: int = 1
    onednn: bool = True


def run_workers(workers: Sequence[Worker], folder: Path) -> None:
    """Run all processes, two at the same time, and wait for the last.

    Args:
        workers: the processes.
        folder: for the files that tell them what to do.

    Raises:
        UsageError: a worker refused what it was given.
        WorkError: a worker failed; the message ends with what it said.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        paths = [folder / f"{index}.{worker.kind}.request.json" for index, worker in enumerate(workers)]
        for running in [pool.submit(_run, worker, path) for worker, path in zip(workers, paths, strict=True)]:
            running.result()


def _run(worker: Worker, path: Path) -> None:
    request = Request(threads=worker.threads, onednn=worker.onednn, jobs=worker.jobs)
    path.write_text(request.model_dump_json(), encoding="utf-8")
    environment = worker_environment(threads=worker.threads) | EXTRA
    module = f"weights_convert.compare.dump.{worker.kind}_worker"
    run_module(module, str(path), name=worker.kind, environment=environment)
