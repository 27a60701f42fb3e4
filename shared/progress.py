"""Progress of long work: a bar on a terminal, plain lines elsewhere; always on standard error."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

LINE_SECONDS = 5.0  # ours: between two lines, so that a log file stays short
AMOUNTS = (
    "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} {unit}s [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
)

Item = TypeVar("Item")


class Progress(Protocol):
    """Takes the progress of long work."""

    def advance(self, count: float = 1, note: str = "") -> None:
        """Say that `count` more units are done; `note` is shown beside the bar (`loss 0.031`)."""


@contextmanager
def track(total: float, description: str, *, initial: int = 0, unit: str = "step") -> Iterator[Progress]:
    """Show the progress of some work.

    Args:
        total: units to do. If it is a float, units may be done in fractions, and units per second are shown too.
        description: what is done, shown in front.
        initial: units that an earlier run did.
        unit: name of one unit.

    Example:
        >>> with track(2, "training drn", unit="step") as progress:
        ...     progress.advance(1, note="loss 0.1")
    """
    if sys.stderr.isatty():
        shape = AMOUNTS if isinstance(total, float) else None
        bar: tqdm[Any] = tqdm(
            total=total, desc=description, initial=initial, unit=unit, dynamic_ncols=True, bar_format=shape
        )
        with bar:
            yield _Bar(bar)
    else:
        yield _Lines(total, description, initial, unit)


def tracked(items: Sequence[Item], description: str, *, unit: str) -> Iterator[Item]:
    """The items, one after another; shows the progress of the caller's work on them.

    Args:
        items: what the caller works on.
        description: what is done, shown in front.
        unit: name of one item.
    """
    with track(len(items), description, unit=unit) as progress:
        for item in items:
            yield item
            progress.advance()


def spoken(seconds: float) -> str:
    """A duration as text, in at most two units.

    Example:
        >>> spoken(42.3), spoken(400), spoken(9 * 3600 + 100)
        ('42 s', '7 min', '9 h 2 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class _Bar:
    def __init__(self, bar: "tqdm[Any]") -> None:
        self.bar = bar

    def advance(self, count: float = 1, note: str = "") -> None:
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)


class _Lines:
    def __init__(self, total: float, description: str, initial: int, unit: str) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.initial = initial
        self.done: float = initial
        self.started = self.shown = time.monotonic()

    def advance(self, count: float = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.shown < LINE_SECONDS and self.done < self.total * (1 - 1e-9):  # amounts add up with rounding
            return
        self.shown = now
        rate = (self.done - self.initial) / max(now - self.started, 1e-6)
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        text = f"{self.description}: {self._amounts(rate)}, {max(left, 0.0):.0f} s left"
        sys.stderr.write(f"{text}, {note}\n" if note else f"{text}\n")
        sys.stderr.flush()

    def _amounts(self, rate: float) -> str:
        if isinstance(self.total, float):
            return f"{self.done:.2f}/{self.total:.2f} {self.unit}s, {rate:.3g} {self.unit}s a second"
        return f"{self.done}/{self.total} {self.unit}s"
