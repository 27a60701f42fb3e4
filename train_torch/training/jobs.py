"""Train several members at the same time, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from shared.processes import explain_status, module_command, worker_environment
from train_torch.training.interruption import Interruption
from train_torch.training.member import MemberTask

POLL_SECONDS = 0.2

INTERRUPTED = 130


def run_jobs(tasks: Sequence[MemberTask], jobs: int, interruption: Interruption) -> dict[str, str]:
    """Train every task in a process of its own, at most `jobs` at the same time.

    What the processes write to standard error is passed on, with the member's id in front of each line.

    Args:
        tasks: the members.
        jobs: number of processes, >= 1.
        interruption: of this process; when it is requested, the children save their states and end.

    Returns:
        Id -> reason of the members that failed, in the order of `tasks`.

    Raises:
        KeyboardInterrupt: interrupted; the children have saved their states and ended.
    """
    workers = [_Worker(task, threads=_threads(task, jobs)) for task in tasks]
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="jobs") as pool:
        pending = {pool.submit(worker.run) for worker in workers}
        while pending:
            _, pending = wait(pending, timeout=POLL_SECONDS)
            if interruption.requested:
                for worker in workers:
                    worker.stop()
    if interruption.requested:
        raise KeyboardInterrupt
    return {worker.task.id: worker.failure for worker in workers if worker.failure}


def request(task: MemberTask) -> str:
    """A task as one line of JSON, for `train_torch.training.worker`."""
    return json.dumps(
        {
            "spec_file": task.spec_file.to_json(),
            "init": None if task.init is None else str(task.init.resolve()),
            "pack": str(task.pack.resolve()),
            "out": str(task.out.path.resolve()),
            "config": task.config.model_dump(),
            "parent": os.getpid(),
        }
    )


def _threads(task: MemberTask, jobs: int) -> int:
    return task.config.threads or max(1, len(os.sched_getaffinity(0)) // jobs)


class _Worker:
    """One child process, from before its start to after its end."""

    def __init__(self, task: MemberTask, *, threads: int) -> None:
        self.task = task
        self.failure = ""
        self._environment = worker_environment(threads=threads)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> None:
        """Start the child, pass on what it writes, wait for its end."""
        if self._stopped:
            return
        with subprocess.Popen(
            module_command("train_torch.training.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            start_new_session=True,  # Ctrl-C then reaches only this process, which asks the children once
        ) as process:
            self._process = process
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write(request(self.task))
            process.stdin.close()
            for line in process.stderr:
                sys.stderr.write(line if line.startswith(self.task.id) else f"{self.task.id}: {line}")
                sys.stderr.flush()
            reason = process.stdout.read().strip()
        if process.returncode not in (0, INTERRUPTED):
            ended = f"its process ended by {explain_status(process.returncode)}; run the command again to continue"
            self.failure = reason or ended

    def stop(self) -> None:
        """Ask the child once to save its state and end. A child that has not started yet will not start."""
        if self._stopped:
            return
        self._stopped = True
        if self._process is not None:
            self._process.terminate()
