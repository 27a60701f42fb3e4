"""Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003): the numbers that both frameworks' losses share.

    MS-SSIM = Π_{j<M} cs_j^{w_j} · (l·cs)_M^{w_M}
    cs = (2σ_xy + C2) / (σ_x² + σ_y² + C2)          l = (2μ_xμ_y + C1) / (μ_x² + μ_y² + C1)

with moments under an 11-tap Gaussian of standard deviation 1.5, valid positions only, C1 = 0.01², C2 = 0.03² for images in
[0, 1]. Between levels images are halved by 2x2 means; the last row or column of an odd side is cropped (pytorch-msssim pads it:
up to 1e-4 apart). Powers are taken per image and channel, then averaged.
"""

import math

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError

WINDOW = 11  # Wang et al. 2004, section III.B: 11x11 Gaussian, standard deviation 1.5 px
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEVELS = len(EXPONENTS)
FLOOR = (
    1e-4  # ours: least value of a level's mean; the power of a negative mean is NaN, that of 0 has an infinite gradient
)


def smallest_side(levels: int) -> int:
    """Smallest image side, px, that has room for one window on the last of `levels` levels.

    Example:
        >>> [smallest_side(levels) for levels in (1, 2, 3, 4, 5)]
        [11, 22, 44, 88, 176]
    """
    return WINDOW << (levels - 1)


def most_levels(side: int) -> int:
    """Most levels that an image of that side (px) has room for: 0 (under 11 px) to 5."""
    return max((levels for levels in range(1, LEVELS + 1) if smallest_side(levels) <= side), default=0)


def gaussian_taps(sigma: float = SIGMA) -> NDArray[np.float64]:
    """The window: float64 (11,), sum 1."""
    taps = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * sigma**2))
    return np.asarray(taps / taps.sum(), dtype=np.float64)


def exponents(levels: int) -> tuple[float, ...]:
    """Exponents of the first `levels` levels, scaled so that their sum is that of all five."""
    factor = math.fsum(EXPONENTS) / math.fsum(EXPONENTS[:levels])
    return tuple(factor * exponent for exponent in EXPONENTS[:levels])


def check_levels(*, patch: int, scale: int, levels: int, weight: float) -> None:
    """Refuse a crop too small for the levels of MS-SSIM, before the first step.

    Args:
        patch: side of an LR crop, px.
        scale: HR side / LR side.
        levels: levels of MS-SSIM, 1 to 5.
        weight: of MS-SSIM in the loss; where it is 0 there is nothing to check.

    Raises:
        UsageError: the crop is too small. The message names the most levels for it, and the smallest crop for these levels.
    """
    side, smallest = patch * scale, smallest_side(levels)
    if weight == 0 or side >= smallest:
        return
    allowed = most_levels(side)
    remedy = f"ms_ssim_levels = {allowed} at most" if allowed else "ms_ssim_weight = 0"
    raise UsageError(
        f"patch {patch} at x{scale} gives HR crops of {side} px; got ms_ssim_levels {levels}, which need {smallest} px; "
        f"set {remedy}, or patch = {-(-smallest // scale)} at least"
    )
