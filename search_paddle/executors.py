"""A pool of worker processes that answer requests in any order. Each is started fresh (never forked) and has one thread.

A worker that dies is replaced, and its request is tried once more. If that worker dies too, the answer to the request is `Died`.
"""

import contextlib
import json
import os
import selectors
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from shared.errors import WorkError
from shared.processes import explain_status, module_command, stop, worker_environment

PROXY_COMMAND = module_command("search_paddle.proxy.worker")
ATTEMPTS = 2  # of a request
STARTS = 3  # starts that fail one after another before the search stops
TAIL_BYTES = 4096  # of a log, to find its last line


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """The answer to a request whose workers all died.

    Attributes:
        reason: how the last one ended, and the last line that it wrote to standard error.
    """

    reason: str


Answer = dict[str, Any] | Died


class Executor(Protocol):
    """What trains the proposals of a round: here a pool of processes; anything with this method will do."""

    def run(self, requests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Answer]]:
        """Answers as they come, in any order, each with the index of its request."""


class ProcessExecutor:
    """A pool of worker processes, as a context manager. They start at the first request and end with the context.

    Args:
        jobs: number of processes, >= 1.
        logs: folder of what the workers write to standard error: `worker-0.log` and so on; new lines are appended.
        command: starts a worker; it must speak the protocol of search_paddle/proxy/worker.py.

    Example:
        >>> with ProcessExecutor(2, logs=Path("logs")) as executor:  # doctest: +SKIP
        ...     for index, answer in executor.run(requests):
        ...         print(index, answer)
    """

    def __init__(self, jobs: int, *, logs: Path, command: Sequence[str] = PROXY_COMMAND) -> None:
        self._jobs, self._logs, self._command = jobs, logs, command
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.requests.close()  # idle and busy workers end when their stdin closes
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()

    def run(self, requests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Answer]]:
        """Answers as they come, each with the index of its request.

        Raises:
            WorkError: workers do not start.
        """
        queue = _Queue(requests)
        try:
            while queue.unanswered:
                self._start_missing(min(self._jobs, queue.unanswered))
                for worker in self._workers.values():
                    if worker.is_ready and worker.task is None and queue.waiting:
                        worker.give(*queue.take())
                for slot in self._wait():
                    yield from self._listen(slot, queue)
        finally:
            self._end_busy()  # the caller may have left early

    def _end_busy(self) -> None:
        for slot in [slot for slot, worker in self._workers.items() if worker.task is not None]:
            worker = self._workers.pop(slot)
            worker.requests.close()
            worker.end()

    def _start_missing(self, count: int) -> None:
        for slot in range(count):
            if slot not in self._workers:
                self._workers[slot] = _Worker.start(self._command, self._logs / f"worker-{slot}.log")

    def _wait(self) -> list[int]:
        """Waits until a worker has written something or ended; returns the slots of all such workers."""
        with selectors.DefaultSelector() as selector:
            for slot, worker in self._workers.items():
                selector.register(worker.replies, selectors.EVENT_READ, slot)
            return [key.data for key, _ in selector.select()]

    def _listen(self, slot: int, queue: "_Queue") -> Iterator[tuple[int, Answer]]:
        worker = self._workers[slot]
        for message in worker.read():
            if not worker.is_ready:
                worker.is_ready, queue.failed_starts = True, 0
            elif worker.task is not None:
                task, worker.task = worker.task, None
                queue.unanswered -= 1
                yield task, message
        if worker.has_ended:
            del self._workers[slot]
            yield from queue.lost(worker.task, worker.is_ready, worker.end())


class _Queue:
    """The requests that wait, and how often each was tried."""

    def __init__(self, requests: Sequence[Mapping[str, Any]]) -> None:
        self.requests = requests
        self.waiting = deque(range(len(requests)))
        self.unanswered = len(requests)
        self.tries = [0] * len(requests)
        self.failed_starts = 0

    def take(self) -> tuple[int, Mapping[str, Any]]:
        task = self.waiting.popleft()
        self.tries[task] += 1
        return task, self.requests[task]

    def lost(self, task: int | None, was_ready: bool, reason: str) -> Iterator[tuple[int, Answer]]:
        """A worker died: its request waits again, or gets the answer `Died`.

        Args:
            task: index of the worker's request; None: it had none.
            was_ready: whether the worker had started completely.
            reason: how it ended.
        """
        if not was_ready:
            self.failed_starts += 1
            if self.failed_starts == STARTS:
                raise WorkError(f"workers do not start: got {STARTS} failures in a row, the last: {reason}")
        if task is None:
            return
        if self.tries[task] < ATTEMPTS:
            self.waiting.appendleft(task)
        else:
            self.unanswered -= 1
            yield task, Died(reason=f"{reason} ({ATTEMPTS} attempts)")


@dataclass(kw_only=True, slots=True)
class _Worker:
    """One process: its log, its task, and the part of a line that has arrived."""

    process: "subprocess.Popen[bytes]"
    requests: IO[bytes]
    replies: IO[bytes]
    log: Path
    log_start: int
    task: int | None = None
    is_ready: bool = False
    has_ended: bool = False
    received: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(cls, command: Sequence[str], log: Path) -> "_Worker":
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=worker_environment(),
                bufsize=0,
            )
            assert process.stdin is not None  # both are pipes
            assert process.stdout is not None
            return cls(
                process=process, requests=process.stdin, replies=process.stdout, log=log, log_start=stderr.tell()
            )

    def give(self, task: int, request: Mapping[str, Any]) -> None:
        self.task = task
        with contextlib.suppress(BrokenPipeError):  # it died; its stdout ends too, and _listen sees that
            self.requests.write(json.dumps(request).encode() + b"\n")

    def read(self) -> list[dict[str, Any]]:
        """Complete messages that have arrived; sets `has_ended` at the end of the stream."""
        chunk = os.read(self.replies.fileno(), 1 << 16)
        self.has_ended = not chunk
        *lines, rest = (bytes(self.received) + chunk).split(b"\n")
        self.received = bytearray(rest)
        return [json.loads(line) for line in lines]

    def end(self) -> str:
        """Wait for the process, kill it if it does not end, and return how it ended."""
        status = stop(self.process)
        for pipe in (self.requests, self.replies):
            pipe.close()
        return f"worker ended by {explain_status(status)}{self._last_words()}"

    def _last_words(self) -> str:
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, end - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""
