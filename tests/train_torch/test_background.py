"""Reading ahead and writing behind: order, overlap, and errors that come through."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from train_torch.background import Behind, read_ahead


def test_every_item_comes_in_order_with_its_value_or_error():
    def read(item: int) -> int:
        if item == 2:
            raise KeyError(item)
        return item * 10

    found = list(read_ahead(range(5), read))
    assert [item for item, _ in found] == [0, 1, 2, 3, 4]
    assert [future.result() for item, future in found if item != 2] == [0, 10, 30, 40]
    with pytest.raises(KeyError):
        found[2][1].result()


def test_the_next_item_is_read_while_one_is_used_and_no_more():
    reads = [threading.Event() for _ in range(4)]
    for item, future in read_ahead(range(4), lambda item: reads[item].set()):
        future.result()
        if item < 3:
            assert reads[item + 1].wait(10)
        assert not any(read.is_set() for read in reads[item + 2 :])


def test_nothing_is_read_where_there_is_no_item():
    asked: list[int] = []
    assert list(read_ahead(range(3, 3), asked.append)) == []
    assert asked == []


def test_a_reader_that_is_closed_early_leaves_no_thread_at_work():
    go, done = threading.Event(), threading.Event()

    def read(item: int) -> None:
        if item == 1:
            go.wait(10)
            done.set()

    with closing(read_ahead(range(4), read)) as items:
        next(items)
        threading.Timer(0.05, go.set).start()
    assert done.is_set()


def test_calls_run_in_order_one_at_a_time_beside_the_caller():
    done: list[int] = []
    go = threading.Event()

    def slow(value: int) -> None:
        go.wait(10)
        done.append(value)

    with ThreadPoolExecutor(1) as pool, Behind(pool) as behind:
        behind.do(slow, 0)
        assert done == []  # it has not waited
        go.set()
        for value in (1, 2):
            behind.do(slow, value)
    assert done == [0, 1, 2]


def fail() -> None:
    raise KeyError("disk")


def test_an_error_comes_with_the_next_call_or_at_the_end():
    with ThreadPoolExecutor(1) as pool:
        behind = Behind(pool)
        behind.do(fail)
        with pytest.raises(KeyError):
            behind.do(list)
        with pytest.raises(KeyError), Behind(pool) as behind:
            behind.do(fail)


def test_nothing_runs_behind_a_block_that_raised():
    go, done = threading.Event(), threading.Event()

    def slow() -> None:
        go.wait(10)
        done.set()

    def work(pool: ThreadPoolExecutor) -> None:
        with Behind(pool) as behind:
            behind.do(slow)
            threading.Timer(0.05, go.set).start()
            raise ValueError("a network failed")

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="a network failed"):
            work(pool)
        assert done.is_set()
