"""Level three: the weighted mean of several networks."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from shared.errors import UsageError
from train_torch.ensemble.self_ensemble import Upscaler


def shares(count: int, weights: Sequence[float] | None) -> list[float]:
    """The members' shares in the mean: weights divided by their sum; equal ones for None.

    Raises:
        UsageError: no member, another number of weights, a negative or non-finite weight, or a sum of 0.

    Example:
        >>> shares(2, [3, 1])
        [0.75, 0.25]
    """
    if count == 0:
        raise UsageError("got no ensemble member, expected at least one")
    values = np.asarray([1.0] * count if weights is None else weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise UsageError(f"ensemble weights: got {values.tolist()}, expected {count} numbers >= 0 that are not all 0")
    return [float(value) for value in values / values.sum()]


def model_ensemble(networks: Sequence[Upscaler], weights: Sequence[float]) -> Upscaler:
    """The mean of networks, Σ weight · network(x).

    Args:
        networks: float64 out.
        weights: from `shares`. A network of weight 0 is not run.

    Returns:
        The same kind of function.
    """
    terms = [(network, weight) for network, weight in zip(networks, weights, strict=True) if weight > 0]

    def run(x: Tensor) -> Tensor:
        return reduce(torch.add, (weight * network(x) for network, weight in terms))

    return run


def weighted_mean(images: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Mean of the members' images.

    Args:
        images: one array per member, all of one shape.
        weights: their weights; None: equal.

    Returns:
        float64, of the images' shape.
    """
    total = np.zeros(images[0].shape, dtype=np.float64)
    for image, share in zip(images, shares(len(images), weights), strict=True):
        total += share * np.asarray(image, dtype=np.float64)
    return total
