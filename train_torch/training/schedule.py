"""The learning rate, a closed form of the step alone: a resumed training cannot lose its place in it."""

import math

from train_torch.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Rate in force during step `step` (from 0); it is set before the step.

    Warm-up, t < w:   r (t + 1) / w                                      (no step has rate 0)
    Cosine, t >= w:   r_min + (r - r_min) (1 + cos(π (t - w) / (T - w))) / 2

    Args:
        step: 0 <= step < config.steps (T).
        config: gives r, r_min, w and T.
    """
    highest, lowest, warmup = config.learning_rate, config.minimum_learning_rate, config.warmup
    if step < warmup:
        return highest * (step + 1) / warmup
    progress = (step - warmup) / (config.steps - warmup)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * progress)) / 2


def ema_decay(step: int, config: TrainConfig) -> float:
    """Share of the old mean in the running mean of weights after step t: min(decay, (1 + t) / (10 + t)).

    It rises, so that first weights are soon forgotten: TensorFlow's ExponentialMovingAverage with num_updates = t.
    """
    return min(config.ema_decay, (1 + step) / (10 + step))
