"""Level three: the weighted mean of several networks."""

from collections.abc import Sequence

import numpy as np

from shared.errors import UsageError


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
