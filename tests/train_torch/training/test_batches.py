"""Reading ahead: order, extent, and errors."""

import threading

import pytest

from train_torch.training.batches import prefetched


def test_batches_come_in_order_each_with_its_step() -> None:
    with prefetched(lambda step: step * step, 2, 6) as batches:
        assert list(batches) == [(2, 4), (3, 9), (4, 16), (5, 25)]


def test_nothing_is_read_when_no_step_is_left() -> None:
    asked: list[int] = []
    with prefetched(asked.append, 3, 3) as batches:
        assert list(batches) == []
    assert asked == []


def test_one_batch_is_read_ahead_and_none_beyond_the_end() -> None:
    asked: list[int] = []
    ready = threading.Event()

    def load(step: int) -> int:
        asked.append(step)
        if step == 1:
            ready.set()
        return step

    with prefetched(load, 0, 3) as batches:
        assert next(batches) == (0, 0)
        assert ready.wait(10), "batch 1 is not read while batch 0 is in use"
        assert asked == [0, 1]
        list(batches)
    assert asked == [0, 1, 2]


def test_an_error_of_reading_reaches_the_step_that_needs_it() -> None:
    def load(step: int) -> int:
        return 1 // (2 - step)

    with prefetched(load, 0, 5) as batches:
        assert [next(batches), next(batches)] == [(0, 0), (1, 1)]
        with pytest.raises(ZeroDivisionError):
            next(batches)
