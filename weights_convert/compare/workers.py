"""Starts the worker processes: one framework each, a clean environment, two at once."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.errors import UsageError, WorkError
from weights_convert.compare.dump.record import WRONG_INPUT, Job, Request

WorkerKind = Literal["torch", "paddle", "module", "onnx"]
AT_ONCE = 2
# Thread counts, affinities and flags of the caller (importing Paddle sets some) are not the workers'
FOREIGN = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "FLAGS_")
ROOT = Path(__file__).resolve().parents[2]


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
    jobs: tuple[Job, ...]
    threads: int = 1
    onednn: bool = True


def run_workers(workers: Sequence[Worker], folder: Path) -> None:
    """Run all, two at once, until the last has ended.

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
    command = [sys.executable, "-P", "-m", f"weights_convert.compare.dump.{worker.kind}_worker", str(path)]
    environment = worker_environment(os.environ, worker.threads)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == WRONG_INPUT:
        raise UsageError(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        raise WorkError(f"{worker.kind} worker ended with status {done.returncode}: {done.stderr[-2000:].strip()}")


def worker_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The caller's environment without its thread counts and flags; this project can be imported.

    MKL_DEBUG_CPU_TYPE=5 lets the old MKL in Paddle's wheel use AVX2 on AMD CPUs; nothing else reads it.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}
    count = str(threads)
    path = os.pathsep.join(part for part in (str(ROOT), environment.get("PYTHONPATH", "")) if part)
    counts = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    counts["OMP_WAIT_POLICY"] = "PASSIVE"  # on a busy machine threads that spin for each other take ten times as long
    # Large arrays go back to the system when they are done with: the heap would keep them
    return kept | counts | {"MKL_DEBUG_CPU_TYPE": "5", "MALLOC_MMAP_THRESHOLD_": str(2**20), "PYTHONPATH": path}
