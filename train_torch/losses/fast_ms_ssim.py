"""One level of MS-SSIM for CPUs: OpenCV's separable filter, and the gradient written out instead of recorded.

All planes of a batch are filtered in one call, stacked on top of each other: only the five rows on either side of a
seam mix planes, and valid positions leave them out.

    G    window at valid positions;  Gᵀ its adjoint: zeros all round, then the same (symmetric) window
    D    σ_x² + σ_y² + C2,  E = μ_x² + μ_y² + C1 (offsets added),  cs = (2σ_xy + C2) / D,  l = (2μ_xμ_y + C1) / E
    A    l ∂cs/∂σ_xy = 2l / D,  B = l ∂cs/∂σ_x² = -l cs / D
    ∂(Σ l·cs)/∂x = y Gᵀ(A) + 2x Gᵀ(B) + Gᵀ(cs ∂l/∂μ_x - A μ_y - 2B μ_x),  ∂l/∂μ_x = 2(μ_y - l μ_x) / E
Without luminance l = 1 and its derivative is 0. Here μ stands for the means of the centred images in σ, with the offset
in l.
"""

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from shared.ms_ssim import C1, C2, WINDOW

RADIUS = WINDOW // 2
CHUNK = 2**17  # px filtered at once: maps that stay in the cache, 1.8 times faster than all 12 planes of 480 x 480

Slopes = tuple[np.ndarray, np.ndarray, np.ndarray]  # A, 2B, cotangent of μ_x; each (p, h - 10, w - 10)


def fast_level(x: Tensor, y: Tensor, offset: Tensor, taps: np.ndarray, *, luminance: bool) -> Tensor:
    """Mean of cs, or of l·cs, over the valid positions of one level: `train_torch.losses.ms_ssim.plain_level` on the CPU.

    Only `x` receives a gradient, once (no second derivative).

    Args:
        x: (n, c, h, w) float32 or float64, image minus `offset`.
        y: the same of the other image.
        offset: (n, c, 1, 1).
        taps: symmetric window, float64 (11,).
        luminance: whether l counts.

    Returns:
        (n, c).
    """
    return _FastLevel.apply(x, y, offset, taps, luminance)


class _FastLevel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, offset: Tensor, taps: np.ndarray, luminance: bool) -> Tensor:
        planes_x, planes_y, shift = _planes(x), _planes(y), _planes(offset)
        chunks = _chunks(planes_x)
        with np.errstate(all="ignore"):  # a diverged network gives NaN here, as in torch, and the trainer says so
            parts = [_similarity(planes_x[c], planes_y[c], shift[c] if luminance else None, taps) for c in chunks]
        if ctx.needs_input_grad[0]:
            ctx.planes, ctx.chunks, ctx.taps, ctx.shape = (planes_x, planes_y), chunks, taps, x.shape
            ctx.slopes = [slopes for _, slopes in parts]
        return torch.from_numpy(np.concatenate([values for values, _ in parts])).reshape(x.shape[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, y = ctx.planes
        weights = upstream.detach().numpy().reshape(-1, 1, 1)
        gradient = np.empty_like(x)
        with np.errstate(all="ignore"):
            for chunk, slopes in zip(ctx.chunks, ctx.slopes, strict=True):
                gradient[chunk] = weights[chunk] * _gradient(x[chunk], y[chunk], slopes, ctx.taps)
        return torch.from_numpy(gradient).reshape(ctx.shape), None, None, None, None


def _chunks(planes: np.ndarray) -> list[slice]:
    """Runs of planes of about CHUNK pixels."""
    length = max(1, CHUNK // planes[0].size)
    return [slice(start, start + length) for start in range(0, len(planes), length)]


def _gradient(x: np.ndarray, y: np.ndarray, slopes: Slopes, taps: np.ndarray) -> np.ndarray:
    """Gradient of each plane's mean similarity with respect to x."""
    by_covariance, by_variance, by_mean = (_spread(slope, x.shape, taps) for slope in slopes)
    gradient = y * by_covariance
    gradient += x * by_variance
    gradient += by_mean
    gradient /= slopes[0][0].size
    return gradient


def _planes(x: Tensor) -> np.ndarray:
    """(n, c, h, w) -> C-contiguous (n·c, h, w)."""
    return x.detach().contiguous().numpy().reshape(-1, *x.shape[-2:])


def _similarity(x: np.ndarray, y: np.ndarray, shift: np.ndarray | None, taps: np.ndarray) -> tuple[np.ndarray, Slopes]:
    """Mean similarity of each plane, and the maps its gradient needs."""
    mean_x, mean_y = _blur(x, taps), _blur(y, taps)
    denominator = _blur(x * x + y * y, taps) - (mean_x * mean_x + mean_y * mean_y) + x.dtype.type(C2)
    covariance = _blur(x * y, taps) - mean_x * mean_y
    contrast = (2 * covariance + x.dtype.type(C2)) / denominator
    a = 2 / denominator
    b2 = -contrast * a
    if shift is None:
        return contrast.mean((1, 2)), (a, b2, -(a * mean_y + b2 * mean_x))
    full_x, full_y = mean_x + shift, mean_y + shift
    energy = full_x * full_x + full_y * full_y + x.dtype.type(C1)
    light = (2 * full_x * full_y + x.dtype.type(C1)) / energy
    a *= light
    b2 *= light
    by_mean = contrast * (2 * (full_y - light * full_x) / energy) - (a * mean_y + b2 * mean_x)
    return (contrast * light).mean((1, 2)), (a, b2, by_mean)


def _blur(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Window at valid positions: (p, h, w) -> (p, h - 10, w - 10)."""
    return _filter(x, taps)[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _spread(x: np.ndarray, shape: tuple[int, ...], taps: np.ndarray) -> np.ndarray:
    """Adjoint of `_blur`: (p, h - 10, w - 10) -> (p, h, w)."""
    canvas = np.zeros(shape, x.dtype)
    canvas[:, RADIUS:-RADIUS, RADIUS:-RADIUS] = x
    return _filter(canvas, taps)


def _filter(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Window at every position, zeros outside; stacked planes run into each other at their seams."""
    tall = x.reshape(-1, x.shape[-1])
    return cv2.sepFilter2D(tall, -1, taps, taps, borderType=cv2.BORDER_CONSTANT).reshape(x.shape)
