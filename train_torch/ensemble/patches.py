"""Level two: overlapping patches, blended by the distance to each patch's centre.

The blend is a partition of unity: at every output pixel the weights of the patches that cover it sum to one, so a network that
gives the same pixel in every patch gives that pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
        total = torch.zeros(n, 3, height * scale, width * scale, dtype=torch.float64)
        weight_sum = torch.zeros(height * scale, width * scale, dtype=torch.float64)
        for p in patch_grid(height, width, patch=patch, stride=stride):
            weights = torch.from_numpy(patch_weights(p.height * scale, p.width * scale))
            sr = network(x[:, :, p.top : p.top + p.height, p.left : p.left + p.width].contiguous())
            rows = slice(p.top * scale, (p.top + p.height) * scale)
            columns = slice(p.left * scale, (p.left + p.width) * scale)
            total[:, :, rows, columns] += weights * sr.to("cpu", torch.float64)
            weight_sum[rows, columns] += weights
        return total / weight_sum

    return run
