"""Reading ahead and writing behind: a thread each, beside the one that computes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Value]
) -> Generator[tuple[Item, "Future[Value]"], None, None]:
    """Each item with the future of `read(item)`: while one is used, a thread reads the next one.

    The thread ends with the generator; a caller that may leave early closes it (`contextlib.closing`).

    Example:
        >>> [(step, square.result()) for step, square in read_ahead(range(2, 5), lambda step: step * step)]
        [(2, 4), (3, 9), (4, 16)]
    """
    with ThreadPoolExecutor(1, "reading") as pool:
        coming: deque[tuple[Item, Future[Value]]] = deque()
        for item in items:
            coming.append((item, pool.submit(read, item)))
            if len(coming) > 1:
                yield coming.popleft()
        yield from coming


class Behind:
    """One call at a time on another thread. The next `do` waits for the last call, and raises what it raised.

    At the end of a `with` block no call is running, even if the block raised.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.running: Future[Any] | None = None

    def do(self, call: Callable[..., Any], *values: Any) -> None:
        """Start `call(*values)` on the thread."""
        self.settle()
        self.running = self.pool.submit(call, *values)

    def settle(self) -> None:
        """Wait for the last call; raises what it raised."""
        running, self.running = self.running, None
        if running is not None:
            running.result()

    def __enter__(self) -> "Behind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.settle()
        elif self.running is not None:
            wait([self.running])
