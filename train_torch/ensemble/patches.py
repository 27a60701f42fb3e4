"""Level two: overlapping patches, blended by a window that falls towards each patch's border.

At every output pixel the weights of the patches that cover it sum to one. So where a network gives the same value in every
patch, the blend has that value. The patches form a grid, so the sum of their windows follows from the distances to the
neighbours alone, and no image of weights is kept.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError

Window = Literal["centre", "ramp"]
Weights = NDArray[np.float32]

LEAST_WEIGHT = 1e-6  # of a window's border: negligible beside a neighbour; without a neighbour normalising removes it
KEPT = 8  # windows in memory: a row of patches needs 3, and more where the last patches overlap more


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


def even_patches(size: int, patch: int, overlap: int) -> tuple[list[int], int]:
    """Patches along one side, as few as cover it and as small as that many can be: first px of each, and their side.

    Args:
        size: side of the image, px, >= 1.
        patch: most px of a patch.
        overlap: least px that neighbours share, < patch.

    Example:
        >>> even_patches(241, 240, 32)
        ([0, 104], 137)
    """
    if size <= patch:
        return [0], size
    count = -(-(size - overlap) // (patch - overlap))
    side = -(-(size + (count - 1) * overlap) // count)
    return [index * (size - side) // (count - 1) for index in range(count)], side


def centre_window(height: int, width: int) -> NDArray[np.float64]:
    """The paper's blending weight: falls with the distance to the patch centre.

    w = 1 - d / (d_max + 1), d the Euclidean distance to the centre, d_max the corner's   (paper 4.3 gives none; ours)

    Args:
        height: HR px, >= 1.
        width: HR px, >= 1.

    Returns:
        float64 (height, width), in (0, 1], unchanged by flips. Not normalised: `blending_weights` divides by the sum.

    Example:
        >>> centre_window(1, 3).round(3).tolist()
        [[0.5, 1.0, 0.5]]
    """
    rows = np.arange(height) - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    distance = np.hypot(rows[:, None], columns[None, :])
    return np.asarray(1 - distance / (distance.max() + 1))


def ramp_window(height: int, width: int, overlap: int) -> NDArray[np.float64]:
    """A window that is 1 inside, rises linearly over half of the overlap, and is nearly 0 in the quarter next to the border.

    That quarter leaves out the pixels next to a cut, for which the network saw zeros instead of the neighbour.

    Args:
        height: HR px, >= 1.
        width: HR px, >= 1.
        overlap: HR px shared with the next patch of a regular grid.

    Returns:
        float64 (height, width), in [LEAST_WEIGHT², 1], unchanged by flips.
    """
    return np.asarray(np.outer(_ramp(height, overlap), _ramp(width, overlap)))


def _ramp(size: int, overlap: int) -> NDArray[np.float64]:
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    silent = overlap / 4
    return np.clip((distance - silent) / max(overlap - 2 * silent, 1), LEAST_WEIGHT, 1)


def blending_weights(window: NDArray[np.float64], tops: Sequence[int], lefts: Sequence[int]) -> Callable[..., Weights]:
    """Weights of a grid of patches that have one window, as a function of a patch's place in the grid.

    Args:
        window: (height, width), > 0.
        tops: HR px, first rows of the patches; each two that follow each other overlap or touch.
        lefts: the same for columns.

    Returns:
        (index of top, index of left) -> float32 (height, width); at each pixel those of all patches sum to one.
    """

    @lru_cache(maxsize=KEPT)
    def normalised(down: tuple[int, ...], right: tuple[int, ...]) -> Weights:
        total = np.zeros_like(window)
        for y, x in product(down, right):
            here, there = _overlap(window.shape, y, x)
            total[here] += window[there]
        return (window / total).astype(np.float32)

    def weights(row: int, column: int) -> Weights:
        return normalised(_neighbours(tops, row, window.shape[0]), _neighbours(lefts, column, window.shape[1]))

    return weights


def _neighbours(starts: Sequence[int], index: int, size: int) -> tuple[int, ...]:
    """Distances to the patches that share a pixel, its own 0 among them."""
    return tuple(start - starts[index] for start in starts if abs(start - starts[index]) < size)


def _overlap(shape: tuple[int, ...], y: int, x: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch is covered by one that lies (y, x) px further, in the coordinates of both."""
    here = tuple(slice(max(d, 0), size + min(d, 0)) for d, size in zip((y, x), shape, strict=True))
    there = tuple(slice(max(-d, 0), size + min(-d, 0)) for d, size in zip((y, x), shape, strict=True))
    return (here[0], here[1]), (there[0], there[1])
