"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

LINE_SECONDS = 5.0  # ours: a log file should grow by lines, not by screens


class Progress(Protocol):
    """What long work tells of itself."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is shown beside the bar (`loss 0.031`)."""


@contextmanager
def track(total: int, description: str, *, initial: int = 0, unit: str = "step") -> Iterator[Progress]:
    """Show the progress of `total` units, of which `initial` were done by an earlier run.

    Example:
        >>> with track(2, "training drn", unit="step") as progress:
        ...     progress.advance(1, note="loss 0.1")
    """
    if sys.stderr.isatty():
        bar: tqdm[Any] = tqdm(total=total, desc=description, initial=initial, unit=unit, dynamic_ncols=True)
        with bar:
            yield _Bar(bar)
    else:
        yield _Lines(total, description, initial, unit)


class _Bar:
    def __init__(self, bar: "tqdm[Any]") -> None:
        self.bar = bar

    def advance(self, count: int = 1, note: str = "") -> None:
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)


class _Lines:
    def __init__(self, total: int, description: str, initial: int, unit: str) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.done = self.initial = initial
        self.started = self.shown = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.shown < LINE_SECONDS and self.done < self.total:
            return
        self.shown = now
        left = (now - self.started) / max(self.done - self.initial, 1) * (self.total - self.done)
        text = f"{self.description}: {self.done}/{self.total} {self.unit}s, {left:.0f} s left"
        sys.stderr.write(f"{text}, {note}\n" if note else f"{text}\n")
        sys.stderr.flush()
