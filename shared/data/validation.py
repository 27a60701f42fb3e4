"""How every stage scores an output against the HR image of its pair. No framework.

An output is checked to be finite and rounded to 8 bits, as a picture file would hold it. PSNR is at most 100 dB: an output that
equals HR has none, and infinity has no mean.
"""

from collections.abc import Callable

import numpy as np

from shared import metrics
from shared.errors import NonFiniteError
from shared.images.pixels import quantise, to_float

METRICS = ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y")

Upscale = Callable[[np.ndarray], np.ndarray]  # (h, w, 3) float32 in [0, 1] -> (s·h, s·w, 3) float, nominally in [0, 1]


def finite_output(upscale: Upscale, lr: np.ndarray, *, pair: str, remedy: str) -> np.ndarray:
    """What `upscale` makes of an LR image, not rounded.

    Args:
        upscale: a network or bicubic.
        lr: (h, w, 3) uint8 or uint16.
        pair: name of the pair, for messages.
        remedy: what the user can do, for messages: `try a lower learning_rate`.

    Raises:
        NonFiniteError: the output holds NaN or infinity.
    """
    sr = upscale(to_float(lr))
    if not np.isfinite(sr).all():
        raise NonFiniteError(f"validation pair {pair}: the output is not finite; {remedy}")
    return sr


def psnr(sr: np.ndarray, hr: np.ndarray, crop: int) -> float:
    """PSNR-RGB of an output rounded to 8 bits, dB, at most 100; arguments as `score`."""
    return score(sr, hr, crop, names=("psnr_rgb",))["psnr_rgb"]


def score(sr: np.ndarray, hr: np.ndarray, crop: int, *, names: tuple[str, ...] = METRICS) -> dict[str, float]:
    """Metrics of an output rounded to 8 bits.

    Args:
        sr: (h, w, 3), float, nominally in [0, 1], or uint8.
        hr: (h, w, 3), uint8 or uint16.
        crop: HR px cut off each side first.
        names: of METRICS.

    Returns:
        Metric -> value; PSNR in dB, at most 100.

    Raises:
        UsageError: as the functions of shared/metrics.py.
    """
    rounded = quantise(sr)
    values = {name: getattr(metrics, name)(rounded, hr, crop=crop) for name in names}
    return {name: min(value, metrics.MOST_PSNR) if name.startswith("psnr") else value for name, value in values.items()}


def spread(names: tuple[str, ...], count: int | None) -> tuple[str, ...]:
    """`count` of the names, evenly spread; all of them for None or where there are no more."""
    if count is None or count >= len(names):
        return names
    return tuple(names[index * len(names) // count] for index in range(count))
