"""Ensemble weights fitted to validation pairs: those that give the mean with the least error there.

Validation pairs come from few cameras. The photographs to be upscaled come from others, on which the members rank differently,
and weights fitted without restraint lose there (benchmarks/inference/fusion.md). So members get unequal weights only where they
differ by more than chance and a change of camera explain.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.source import Pair
from shared.ensemble_weights import Covariance, least_error_weights, shrunk_covariance
from shared.images.pixels import to_float

Upscale = Callable[[NDArray[np.float32]], NDArray[np.floating]]  # (h, w, 3) in [0, 1] -> (s·h, s·w, 3)

CAMERA_SPREAD = 0.01  # ours, measured between five cameras: 0.001 to 0.010 (benchmarks/inference/fusion.md)


def fit_weights(
    members: Sequence[Upscale], pairs: Iterable[Pair], *, crop: int, camera_spread: float = CAMERA_SPREAD
) -> list[float]:
    """Ensemble weights that raise the mean PSNR over pairs, shrunk toward equal ones.

    Args:
        members: functions of one image.
        pairs: to measure on; at least one. One pair alone gives equal weights: its scatter is not known.
        crop: HR px of the border left out.
        camera_spread: see `weights_of`.

    Returns:
        One weight a member, >= 0, summing to one.
    """
    images = ((pair, [member(to_float(pair.lr)) for member in members]) for pair in pairs)
    covariances = np.stack([error_covariance(stack, pair, crop) for pair, stack in images])
    return weights_of(covariances, camera_spread=camera_spread)


def weights_of(covariances: NDArray[np.float64], *, camera_spread: float = CAMERA_SPREAD) -> list[float]:
    """Ensemble weights from the covariances of the members' errors.

    Each pair counts by its errors relative to those of the plain mean, as PSNR does. Otherwise the worst photograph would decide.

    Args:
        covariances: (pairs, members, members), from `error_covariance`.
        camera_spread: how much a member's error, relative to the others', differs between cameras (standard deviation); 0 where
            pairs and photographs come from one camera.

    Returns:
        One weight a member, >= 0, summing to one.
    """
    plain = np.maximum(covariances.mean((1, 2), keepdims=True), np.finfo(np.float64).tiny)
    shrunk = shrunk_covariance(covariances / plain, spread=camera_spread)
    return [float(weight) for weight in least_error_weights(shrunk)]


def error_covariance(images: Sequence[NDArray[np.floating]], pair: Pair, crop: int) -> Covariance:
    """Mean product of the members' errors on one pair.

    Args:
        images: what each member makes of the LR image, (s·h, s·w, 3), unit [0, 1].
        pair: gives the HR image.
        crop: HR px of the border left out.

    Returns:
        float64 (members, members).
    """
    hr = to_float(pair.hr).astype(np.float64)
    inside = slice(crop, -crop or None)
    errors = np.stack([(image - hr)[inside, inside].ravel() for image in images])
    return np.asarray(errors @ errors.T / errors.shape[1])
