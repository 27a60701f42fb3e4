"""Batches of the steps to come, read in a thread while the network works. A batch depends on its step alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Batch = TypeVar("Batch")


@contextmanager
def prefetched(load: Callable[[int], Batch], start: int, stop: int) -> Iterator[Iterator[tuple[int, Batch]]]:
    """(step, load(step)) for start <= step < stop, one batch ahead; within the block, since the thread ends with it.

    Example:
        >>> with prefetched(lambda step: step * step, 2, 5) as batches:
        ...     list(batches)
        [(2, 4), (3, 9), (4, 16)]
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:

        def ordered() -> Iterator[tuple[int, Batch]]:
            ahead = pool.submit(load, start) if start < stop else None
            for step in range(start, stop):
                assert ahead is not None
                batch = ahead.result()
                ahead = pool.submit(load, step + 1) if step + 1 < stop else None
                yield step, batch

        yield ordered()
