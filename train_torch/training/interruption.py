"""Ctrl-C and SIGTERM as a request to stop: the training saves its state after the current step, then ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether a stop was requested.

    Example:
        >>> with interruptible() as interruption:
        ...     interruption.requested
        False
    """

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._signalled = False

    @property
    def requested(self) -> bool:
        """Whether a signal came, or the parent process has ended."""
        return self._signalled or (self._parent is not None and os.getppid() != self._parent)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler. A second signal ends the process at once, without saving."""
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True


@contextmanager
def interruptible(parent: int | None = None) -> Iterator[Interruption]:
    """Catch the signals within the block. Outside the main thread Python allows no handlers: there only `parent` is watched."""
    interruption = Interruption(parent)
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                stack.callback(signal.signal, number, signal.signal(number, interruption.handle))
        yield interruption
