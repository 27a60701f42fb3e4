"""The learning rate and the EMA decay: closed forms of the step alone, so a resumed training cannot lose its place."""

import math
from typing import Protocol


class Rates(Protocol):
    """The fields of a configuration that decide the learning rate."""

    @property
    def steps(self) -> int:
        """T, steps of the whole training."""

    @property
    def warmup(self) -> int:
        """w, steps of linear rise; at most T - 1 are taken."""

    @property
    def learning_rate(self) -> float:
        """r, the highest rate."""

    @property
    def minimum_learning_rate(self) -> float:
        """r_min, the rate at the end of the cosine."""


def check_rates(config: Rates) -> None:
    """Refuse a lowest rate above the highest one (ValueError, as validators of a model raise it)."""
    lowest, highest = config.minimum_learning_rate, config.learning_rate
    if lowest > highest:
        raise ValueError(f"minimum_learning_rate: got {lowest}, expected at most learning_rate {highest}")


def learning_rate(step: int, config: Rates) -> float:
    """Rate in force during step t; it is set before the step.

    Warm-up, t < w:   r (t + 1) / w                                      (no step has rate 0)
    Cosine, t >= w:   r_min + (r - r_min) (1 + cos(π (t - w) / (T - w))) / 2

    Args:
        step: t, from 0, less than T.
        config: gives T, w, r and r_min.
    """
    highest, lowest, warmup = config.learning_rate, config.minimum_learning_rate, min(config.warmup, config.steps - 1)
    if step < warmup:
        return highest * (step + 1) / warmup
    progress = (step - warmup) / (config.steps - warmup)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * progress)) / 2


def ema_decay(step: int, most: float) -> float:
    """Weight of the old value in the EMA (exponential moving average) of weights after step t: min(most, (1 + t) / (10 + t)).

    It rises, so that the initial weights are soon forgotten: TensorFlow's ExponentialMovingAverage with num_updates = t.
    """
    return min(most, (1 + step) / (10 + step))
