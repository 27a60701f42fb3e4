"""The learning rate and the EMA decay as functions of the step."""

from itertools import pairwise
from typing import NamedTuple

import pytest

from shared.schedule import ema_decay, learning_rate


class Config(NamedTuple):
    steps: int
    warmup: int = 0
    learning_rate: float = 1.0
    minimum_learning_rate: float = 0.0


def test_warm_up_rises_linearly_to_the_highest_rate_and_never_is_zero() -> None:
    config = Config(steps=100, warmup=4, learning_rate=0.8)
    assert [learning_rate(step, config) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])


def test_a_warm_up_longer_than_the_training_is_cut() -> None:
    assert learning_rate(0, Config(steps=1, warmup=10)) == 1.0
    assert learning_rate(1, Config(steps=3, warmup=10)) == 1.0


def test_cosine_passes_the_middle_half_way_and_ends_near_the_minimum() -> None:
    config = Config(steps=1000, minimum_learning_rate=0.1)
    assert learning_rate(0, config) == 1.0
    assert learning_rate(500, config) == pytest.approx(0.55)
    assert learning_rate(999, config) == pytest.approx(0.1, abs=3e-6)
    assert all(a > b > 0.1 for a, b in pairwise(learning_rate(step, config) for step in range(1000)))


def test_ema_decay_rises_to_the_highest_one() -> None:
    assert [ema_decay(step, 0.9) for step in (0, 1, 8, 1000)] == pytest.approx([1 / 10, 2 / 11, 0.5, 0.9])
    assert ema_decay(0, 0.0) == 0
