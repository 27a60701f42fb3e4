"""Shares of the members in the mean: the ones that would have erred least on the validation pairs, as far as those tell.

Validation pairs come from few cameras, the photographs to be upscaled from others, on which the members rank otherwise: shares
fitted without restraint lose there (benchmarks/inference/fusion.md). So members get unequal shares only where they differ by
more than chance and another camera explain.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.source import Pair
from shared.error_shares import Covariance, least_error_shares, shrunk_covariance
from shared.images.pixels import to_float

Enlarge = Callable[[NDArray[np.float32]], NDArray[np.floating]]  # (h, w, 3) in [0, 1] -> (s·h, s·w, 3)

CAMERA_SPREAD = 0.01  # ours, measured between five cameras: 0.001 to 0.010 (benchmarks/inference/fusion.md)


def fit_shares(
    members: Sequence[Enlarge], pairs: Iterable[Pair], *, crop: int, camera_spread: float = CAMERA_SPREAD
) -> list[float]:
    """Shares that raise the mean PSNR of the weighted mean over pairs, drawn toward equal ones.

    Args:
        members: functions of one image.
        pairs: to measure on; at least one. One pair alone gives equal shares: its scatter is not known.
        crop: HR px of the border left out.
        camera_spread: see `shares_of`.

    Returns:
        One share a member, >= 0, summing to one.
    """
    images = ((pair, [member(to_float(pair.lr)) for member in members]) for pair in pairs)
    covariances = np.stack([error_covariance(stack, pair, crop) for pair, stack in images])
    return shares_of(covariances, camera_spread=camera_spread)


def shares_of(covariances: NDArray[np.float64], *, camera_spread: float = CAMERA_SPREAD) -> list[float]:
    """The shares that covariances of errors speak for.

    Each pair counts by its errors relative to those of the plain mean, as PSNR does: else the worst photograph would decide.

    Args:
        covariances: (pairs, members, members), from `error_covariance`.
        camera_spread: how much a member's error, relative to the others', differs between cameras (standard deviation); 0 where
            pairs and photographs come from one camera.
    """
    plain = np.maximum(covariances.mean((1, 2), keepdims=True), np.finfo(np.float64).tiny)
    shrunk = shrunk_covariance(covariances / plain, spread=camera_spread)
    return [float(share) for share in least_error_shares(shrunk)]


def error_covariance(images: Sequence[NDArray[np.floating]], pair: Pair, crop: int) -> Covariance:
    """Mean product of the members' errors on one pair: float64 (members, members)."""
    hr = to_float(pair.hr).astype(np.float64)
    inside = slice(crop, -crop or None)
    errors = np.stack([(image - hr)[inside, inside].ravel() for image in images])
    return np.asarray(errors @ errors.T / errors.shape[1])
