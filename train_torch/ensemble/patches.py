"""Level two: overlapping patches, blended by the distance to each patch's centre.

The blend is a partition of unity: at every output pixel the weights of the patches that cover it sum to one, so a network that
gives the same pixel in every patch gives that pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import attrgetter

import numpy as np
import torch
from torch import Tensor

from shared.errors import UsageError
from train_torch.ensemble.self_ensemble import Upscaler


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the LR image, px."""

    top: int
    left: int
    height: int
    width: int


def patch_starts(size: int, patch: int, stride: int) -> list[int]:
    """First px of each patch along one side: every `stride` px, the last patch ends at the border.

    Args:
        size: side of the image, px, >= 1.
        patch: side of a patch, px; one patch covers a side that is not longer.
        stride: step, px, 1 <= stride <= patch.

    Raises:
        UsageError: patch or stride out of range.

    Example:
        >>> patch_starts(250, 120, 60)
        [0, 60, 120, 130]
    """
    if not 1 <= stride <= patch:
        raise UsageError(f"patch {patch}, stride {stride}: expected 1 <= stride <= patch; a larger stride leaves gaps")
    if size <= patch:
        return [0]
    return [*range(0, size - patch, stride), size - patch]


def patch_grid(height: int, width: int, *, patch: int, stride: int) -> Iterator[Patch]:
    """The patches that cover an image, row by row; all of one size, that of the image where it is smaller."""
    for top in patch_starts(height, patch, stride):
        for left in patch_starts(width, patch, stride):
            yield Patch(top, left, min(patch, height), min(patch, width))


def patch_weights(height: int, width: int) -> np.ndarray:
    """Blending weight of each output pixel of a patch: falls with the distance to the patch centre.

    w = 1 - d / (d_max + 1), d the Euclidean distance to the centre, d_max the corner's   (paper 4.3 gives none; ours)

    Args:
        height: HR px, >= 1.
        width: HR px, >= 1.

    Returns:
        float64 (height, width), in (0, 1], unchanged by flips. Not normalised: `blend` divides by the sum over patches.

    Example:
        >>> patch_weights(1, 3).round(3).tolist()
        [[0.5, 1.0, 0.5]]
    """
    rows = np.arange(height) - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    distance = np.hypot(rows[:, None], columns[None, :])
    return np.asarray(1 - distance / (distance.max() + 1))


def patch_ensemble(network: Upscaler, *, scale: int, patch: int, stride: int) -> Upscaler:
    """The network, run patch by patch and blended; sums are kept in float64 on the CPU.

    Args:
        network: (n, 3, h, w) -> (n, 3, scale·h, scale·w).
        scale: HR side / LR side.
        patch: LR px.
        stride: LR px.

    Returns:
        The same kind of function; its result is float64 on the CPU.
    """

    def run(x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        result = torch.empty(n, 3, height * scale, width * scale, dtype=torch.float64)
        filled = 0
        for band in _bands(network, x, scale=scale, patch=patch, stride=stride):
            result[:, :, filled : filled + band.shape[2]] = band
            filled += band.shape[2]
        assert filled == result.shape[2]
        return result

    return run


def _bands(network: Upscaler, x: Tensor, *, scale: int, patch: int, stride: int) -> Iterator[Tensor]:
    """Rows of the result, top to bottom, each as soon as no later patch touches it: sums are as high as one patch."""
    grid = patch_grid(*x.shape[2:], patch=patch, stride=stride)
    rows = [list(row) for _, row in groupby(grid, key=attrgetter("top"))]
    height, width = rows[0][0].height * scale, rows[0][0].width * scale
    weights = torch.from_numpy(patch_weights(height, width))
    total = torch.zeros(x.shape[0], 3, height, x.shape[3] * scale, dtype=torch.float64)
    weight_sum = torch.zeros(height, x.shape[3] * scale, dtype=torch.float64)
    for row, following in zip_longest(rows, rows[1:]):
        for p in row:
            sr = network(x[:, :, p.top : p.top + p.height, p.left : p.left + p.width].contiguous())
            columns = slice(p.left * scale, p.left * scale + width)
            total[..., columns] += weights * sr.to("cpu", torch.float64)
            weight_sum[:, columns] += weights
        done = height if following is None else (following[0].top - row[0].top) * scale
        yield total[..., :done, :] / weight_sum[:done]
        total, weight_sum = _without(total, done), _without(weight_sum, done)


def _without(sums: Tensor, rows: int) -> Tensor:
    """The sums less their first rows, and as many rows of zeros behind."""
    return torch.cat([sums[..., rows:, :], torch.zeros_like(sums[..., :rows, :])], dim=-2)
