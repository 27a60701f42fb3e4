"""Shares of the members in the mean: the ones that would have erred least on the validation pairs.

The shares come from the members' error covariance over pixels and pairs (shared/error_shares.py).
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.images import to_float
from shared.data.source import Pair
from shared.error_shares import Covariance, least_error_shares

Enlarge = Callable[[NDArray[np.float32]], NDArray[np.floating]]  # (h, w, 3) in [0, 1] -> (s·h, s·w, 3)


def fit_shares(members: Sequence[Enlarge], pairs: Iterable[Pair], *, crop: int) -> list[float]:
    """Shares that minimise the mean squared error of the weighted mean over pairs.

    Args:
        members: functions of one image.
        pairs: to measure on; at least one.
        crop: HR px of the border left out.

    Returns:
        One share a member, >= 0, summing to one.
    """
    covariances = [error_covariance([member(to_float(pair.lr)) for member in members], pair, crop) for pair in pairs]
    return [float(share) for share in least_error_shares(np.mean(covariances, axis=0))]


def error_covariance(images: Sequence[NDArray[np.floating]], pair: Pair, crop: int) -> Covariance:
    """Mean product of the members' errors on one pair: float64 (members, members)."""
    hr = to_float(pair.hr).astype(np.float64)
    inside = slice(crop, -crop or None)
    errors = np.stack([(image - hr)[inside, inside].ravel() for image in images])
    return np.asarray(errors @ errors.T / errors.shape[1])
