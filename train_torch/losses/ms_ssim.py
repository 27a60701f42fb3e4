"""Multi-scale structural similarity as a training loss; its definition and its constants stand in `shared.ms_ssim`.

Two ways to the same numbers: `plain_level` in torch operations, on any device, differentiable twice;
`train_torch.losses.fast_ms_ssim` for CPUs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shared.ms_ssim import C1, C2, FLOOR, LEVELS, exponents, gaussian_taps, smallest_side
from train_torch.losses.fast_ms_ssim import fast_level

Level = Callable[..., Tensor]  # (x, y, offset, taps, *, luminance) -> (n, c)


def ms_ssim(
    sr: Tensor, hr: Tensor, *, levels: int = LEVELS, taps: np.ndarray | None = None, level: Level | None = None
) -> Tensor:
    """MS-SSIM of a batch.

    Args:
        sr: (n, c, h, w) float32 or float64, nominally in [0, 1]; min(h, w) >= smallest_side(levels). Gradients flow
            into it alone.
        hr: the same; taken as constant.
        levels: 1 to 5; fewer than five have their exponents renormalised, which is another measure.
        taps: window, float64 (11,); None: the standard one.
        level: how a level is computed; None: the fast way on CPUs, the plain one elsewhere.

    Returns:
        Scalar, 1 for equal images; mean over images and channels. A level whose mean is below 1e-4 (an inverted image)
        counts as 1e-4 and has no gradient.
    """
    assert min(sr.shape[-2:]) >= smallest_side(levels), (
        f"{levels} levels need {smallest_side(levels)} px, got {tuple(sr.shape)}"
    )
    level = level or (fast_level if sr.device.type == "cpu" else plain_level)
    taps = gaussian_taps() if taps is None else taps
    hr = hr.detach()
    # Centred images: E[x²] - μ² would lose digits on bright smooth areas (gradient error 1e-5 against 3e-6 at 180 px)
    offset = hr.mean((2, 3), keepdim=True)
    x, y = sr - offset, hr - offset
    means = []
    for index in range(levels):
        is_last = index == levels - 1
        means.append(level(x, y, offset, taps, luminance=is_last))
        if not is_last:
            x, y = halve(x), halve(y)
    stacked = torch.stack(means).clamp_min(FLOOR)
    powers = torch.tensor(exponents(levels), dtype=sr.dtype, device=sr.device)
    return (stacked ** powers[:, None, None]).prod(0).mean()


def halve(x: Tensor) -> Tensor:
    """2x2 means; the last row or column of an odd side is dropped. Sums of views: on a CPU twice as fast as avg_pool2d."""
    height, width = x.shape[-2] // 2, x.shape[-1] // 2
    x = x[..., : 2 * height, : 2 * width].unflatten(2, (height, 2))
    rows = (x[:, :, :, 0] + x[:, :, :, 1]).unflatten(3, (width, 2))
    return (rows[..., 0] + rows[..., 1]) / 4


def plain_level(x: Tensor, y: Tensor, offset: Tensor, taps: np.ndarray, *, luminance: bool) -> Tensor:
    """Mean of cs, or of l·cs, over the valid positions of one level.

    Args:
        x: (n, c, h, w), image minus `offset`.
        y: the same of the other image.
        offset: (n, c, 1, 1), added back to the means in l.
        taps: window, float64 (11,).
        luminance: whether l counts.

    Returns:
        (n, c).
    """
    mean_x, mean_y = _blur(x, taps), _blur(y, taps)
    variances = _blur(x * x, taps) - mean_x * mean_x + _blur(y * y, taps) - mean_y * mean_y
    covariance = _blur(x * y, taps) - mean_x * mean_y
    similarity = (2 * covariance + C2) / (variances + C2)
    if luminance:
        mean_x, mean_y = mean_x + offset, mean_y + offset
        similarity = similarity * (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return similarity.mean(3).mean(2)


def _blur(x: Tensor, taps: np.ndarray) -> Tensor:
    """Both passes of the window as depthwise convolutions, valid positions."""
    channels = x.shape[1]
    kernel = torch.as_tensor(taps, dtype=x.dtype, device=x.device).expand(channels, 1, 1, -1)
    x = functional.conv2d(x, kernel, groups=channels)
    return functional.conv2d(x, kernel.transpose(2, 3), groups=channels)
