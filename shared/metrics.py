"""PSNR and SSIM of one image against its reference, in float64; the name says the channels.

`_rgb` counts all three channels, `_y` the luma of BT.601 (studio range, 16 to 235, not rounded) with the peak still
255: the convention of the super-resolution literature. `crop` pixels are cut off each side first. The caller takes the mean over
images, and quantises if it wants to: an 8-bit file and the float image behind it differ by thousandths of a dB.

Images are (h, w, 3): uint8, uint16, or floats in [0, 1]. A value outside is refused, not clipped: clipping would turn a 0-255
float image into white, and hide values that a network puts outside the range. Clip or quantise before you measure.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from shared.errors import UsageError
from shared.ms_ssim import WINDOW, gaussian_taps
from shared.resize import Floats, to_unit

K1, K2 = 0.01, 0.03  # Wang et al. 2004, section III.B
LUMA = np.array([65.481, 128.553, 24.966]) / 255  # BT.601, R G B of [0, 1] to Y - 16 in units of the peak
RANGE_SLACK = 1e-6  # ours: rounding of a white area that was resized in float32
MOST_PSNR = 100.0  # dB, in place of infinity where an output equals HR: infinity has no mean and no JSON form


def psnr_rgb(sr: NDArray[Any], hr: NDArray[Any], *, crop: int = 0) -> float:
    """Peak signal-to-noise ratio over all pixels and channels.

    10·log10(1 / MSE), values in [0, 1]

    Args:
        sr: (h, w, 3), uint8, uint16 or float in [0, 1].
        hr: the reference, of the same size; its dtype may differ.
        crop: pixels cut off each side, >= 0.

    Returns:
        dB. Identical images give `math.inf`, which JSON does not have: write null into files.

    Raises:
        UsageError: the sizes differ; the shape is not (h, w, 3); another dtype; values outside [0, 1] or not finite; a crop that
            leaves no pixel.
    """
    return _psnr(*_prepare(sr, hr, crop))


def psnr_y(sr: NDArray[Any], hr: NDArray[Any], *, crop: int = 0) -> float:
    """Like `psnr_rgb`, of the luma (see `luma`). For grey images it is 20·log10(255/219) = 1.3219 dB higher than `psnr_rgb`."""
    a, b = _prepare(sr, hr, crop)
    return _psnr(luma(a), luma(b))


def ssim_rgb(sr: NDArray[Any], hr: NDArray[Any], *, crop: int = 0) -> float:
    """Structural similarity, per channel, then the mean of the three.

    ((2μxμy + C1)(2σxy + C2)) / ((μx² + μy² + C1)(σx² + σy² + C2)), C = (K·peak)²  (Wang et al. 2004, eq. 13)

    Means and variances are weighted by an 11x11 Gaussian window (biased variance). Only windows that lie inside the image count,
    so 5 more pixels of each side are lost.

    Args:
        sr: (h, w, 3), uint8, uint16 or float in [0, 1].
        hr: the reference, of the same size; its dtype may differ.
        crop: pixels cut off each side, >= 0.

    Returns:
        In [-1, 1]; 1 for identical images.

    Raises:
        UsageError: as `psnr_rgb`, or fewer than 11 pixels a side are left after the crop.
    """
    return _ssim(*_prepare(sr, hr, crop))


def ssim_y(sr: NDArray[Any], hr: NDArray[Any], *, crop: int = 0) -> float:
    """Like `ssim_rgb`, of the luma (see `luma`)."""
    a, b = _prepare(sr, hr, crop)
    return _ssim(luma(a), luma(b))


def luma(image: Floats) -> Floats:
    """BT.601 luma in studio range, not rounded, in units of the peak.

    Y = (16 + (65.481·R + 128.553·G + 24.966·B) / 255) / 255, R, G, B in 0-255  (Rec. ITU-R BT.601)

    Args:
        image: (h, w, 3), R, G, B in [0, 1].

    Returns:
        float64 (h, w, 1), in [16/255, 235/255].
    """
    return 16 / 255 + image.astype(np.float64) @ LUMA[:, None]


def _prepare(sr: NDArray[Any], hr: NDArray[Any], crop: int) -> tuple[Floats, Floats]:
    """Both images in [0, 1], checked and cropped."""
    for name, image in (("sr", sr), ("hr", hr)):
        if image.ndim != 3 or image.shape[2] != 3:
            raise UsageError(f"{name} of shape {image.shape}; expected (height, width, 3)")
    if sr.shape != hr.shape:
        raise UsageError(
            f"sr is {_size(sr)} and hr is {_size(hr)}; expected the same size: check the scale of the pair"
        )
    if crop < 0 or 2 * crop >= min(sr.shape[:2]):
        raise UsageError(
            f"crop {crop} of an image of {_size(sr)}; expected 0 or more, and less than half the short side"
        )
    return _in_range("sr", _cut(sr, crop)), _in_range("hr", _cut(hr, crop))


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _cut(image: NDArray[Any], crop: int) -> NDArray[Any]:
    return image[crop : image.shape[0] - crop, crop : image.shape[1] - crop]


def _in_range(name: str, image: NDArray[Any]) -> Floats:
    unit = to_unit(image)
    low, high = float(unit.min()), float(unit.max())
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # NaN fails as well
        raise UsageError(
            f"{name} has values from {low:.6g} to {high:.6g}; expected finite floats in [0, 1]: clip the output of a "
            "network; divide a 0-255 image by 255, or pass it as uint8"
        )
    return unit


def _psnr(a: Floats, b: Floats) -> float:
    mse = float(np.mean((a - b) ** 2))
    return math.inf if mse == 0 else -10 * math.log10(mse)


def _ssim(a: Floats, b: Floats) -> float:
    if min(a.shape[:2]) < WINDOW:
        raise UsageError(
            f"{_size(a)} pixels are left for SSIM; expected at least {WINDOW} a side: crop less, or skip SSIM"
        )
    channels = range(a.shape[2])  # one at a time: six float64 maps of a large photograph are enough
    return float(np.mean([_ssim_map(a[..., c], b[..., c]).mean() for c in channels]))


def _ssim_map(x: Floats, y: Floats) -> Floats:
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = _window_mean(x * x) - mean_x**2
    var_y = _window_mean(y * y) - mean_y**2
    cov = _window_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    return luminance * (2 * cov + K2**2) / (var_x + var_y + K2**2)


def _window_mean(x: Floats) -> Floats:
    """Gaussian-weighted mean of each window that lies inside: (h, w) -> (h - 10, w - 10)."""
    taps = gaussian_taps()
    return _cut(correlate1d(correlate1d(x, taps, axis=0), taps, axis=1), WINDOW // 2)
