"""Training losses of the proxies: L1, and L1 + MS-SSIM as the paper trains (section 4.4).

Means are nested, over the width, then the height, then the rest: Paddle adds long rows one after another in float32, and
`l1_loss` is off by 1.7e-6 over 8x3x240x240 where the nested mean is off by 1e-8 (docs/numerics.md).
"""

import numpy as np
import paddle
from paddle import Tensor
from paddle.nn import functional

from search_paddle.config import ProxyConfig
from shared.ms_ssim import C1, C2, FLOOR, LEVELS, exponents, gaussian_taps, smallest_side


def proxy_loss(sr: Tensor, hr: Tensor, config: ProxyConfig) -> Tensor:
    """L1 + w (1 - MS-SSIM), w = `config.ms_ssim_weight`.

    Args:
        sr: (n, c, h, w) float, nominally in [0, 1].
        hr: the same; taken as constant.
        config: gives the weight and the levels; `config.check_scale` has passed.

    Returns:
        Scalar.
    """
    loss = l1(sr, hr)
    if config.ms_ssim_weight:
        loss = loss + (1 - ms_ssim(sr, hr, levels=config.ms_ssim_levels)) * config.ms_ssim_weight
    return loss


def l1(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean absolute difference of (n, c, h, w); gradient 0 where they are equal."""
    return (sr - hr).abs().mean(3).mean(2).mean()


def ms_ssim(sr: Tensor, hr: Tensor, *, levels: int = LEVELS) -> Tensor:
    """MS-SSIM of a batch; formula and fixed choices in shared/ms_ssim.py.

    Args:
        sr: (n, c, h, w) float32 or float64; min(h, w) >= smallest_side(levels). Gradients flow into it alone.
        hr: the same; taken as constant.
        levels: 1 to 5; fewer than five have their exponents renormalised, which is another measure.

    Returns:
        Scalar, 1 for equal images; mean over images and channels. A level whose mean is below 1e-4 (an inverted image) counts as
        1e-4 and has no gradient.
    """
    assert min(sr.shape[2:]) >= smallest_side(levels), (
        f"{levels} levels need {smallest_side(levels)} px, got {sr.shape}"
    )
    hr = hr.detach()
    # Centred images: E[x²] - μ² would lose digits on bright smooth areas
    offset = hr.mean(3, keepdim=True).mean(2, keepdim=True)
    x, y = sr - offset, hr - offset
    means = []
    for level in range(levels):
        is_last = level == levels - 1
        means.append(_level(x, y, offset, luminance=is_last))
        if not is_last:
            x, y = _halve(x), _halve(y)
    stacked = paddle.stack(means).clip(min=FLOOR)
    # A tensor: as Python floats the exponents would be rounded to float32
    powers = paddle.to_tensor(np.array(exponents(levels))[:, None, None], dtype=sr.dtype)
    return (stacked**powers).prod(0).mean()


def _level(x: Tensor, y: Tensor, offset: Tensor, *, luminance: bool) -> Tensor:
    """Mean of cs, or of l·cs, over the valid positions of one level: (n, c)."""
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x * mean_x + _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * covariance + C2) / (variances + C2)
    if luminance:
        mean_x, mean_y = mean_x + offset, mean_y + offset
        similarity = similarity * (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return similarity.mean(3).mean(2)


def _blur(x: Tensor) -> Tensor:
    """Both passes of the window as depthwise convolutions, valid positions."""
    channels = x.shape[1]
    taps = paddle.to_tensor(np.tile(gaussian_taps(), (channels, 1, 1, 1)), dtype=x.dtype)
    x = functional.conv2d(x, taps, groups=channels)
    return functional.conv2d(x, taps.transpose([0, 1, 3, 2]), groups=channels)


def _halve(x: Tensor) -> Tensor:
    """2x2 means; the last row or column of an odd side is dropped."""
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = x[:, :, :height, :width]
    return (x[:, :, 0::2, 0::2] + x[:, :, 1::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
