"""The learning rate as a function of the step."""

import pytest

from train_torch.config import TrainConfig
from train_torch.training.schedule import ema_decay, learning_rate


def test_warm_up_rises_linearly_to_the_highest_rate_and_never_is_zero() -> None:
    config = TrainConfig(steps=100, warmup=4, learning_rate=0.8)
    assert [learning_rate(step, config) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])


def test_cosine_passes_the_middle_half_way_and_ends_near_the_minimum() -> None:
    config = TrainConfig(steps=1000, learning_rate=1.0, minimum_learning_rate=0.1)
    assert learning_rate(0, config) == 1.0
    assert learning_rate(500, config) == pytest.approx(0.55)
    assert learning_rate(999, config) == pytest.approx(0.1, abs=3e-6)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates == sorted(rates, reverse=True)


def test_ema_decay_rises_to_the_configured_one() -> None:
    config = TrainConfig(ema_decay=0.9)
    assert [ema_decay(step, config) for step in (0, 1, 8, 1000)] == pytest.approx([1 / 10, 2 / 11, 0.5, 0.9])
    assert ema_decay(0, TrainConfig(ema_decay=0.0)) == 0
