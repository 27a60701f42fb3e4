"""Runs a plan: patches × transforms × members, and gives the result in bands of rows, top to bottom.

What is held: the LR image, one row of patches at HR size for each member (float32), and the activations of one batch. Weights of
patches sum to one; transforms are averaged in float64, patches in float32.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.data.images import to_float
from shared.errors import UsageError
from train_torch.ensemble.modules import Network, evaluating, prepare
from train_torch.ensemble.patches import blending_weights
from train_torch.ensemble.plan import Plan
from train_torch.ensemble.self_ensemble import Transform

Image = NDArray[np.float32]
Lr = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]

RANGE_SLACK = 1e-6  # as shared.metrics: what float32 resizing of a white area may overshoot
PIECE_BYTES = 32 * 2**20  # of one band that is given out: what comes after makes copies of it


def member_bands(
    members: Sequence[nn.Module | Network], lr: Lr, plan: Plan, *, advance: Callable[[int], None] = lambda pixels: None
) -> Iterator[Image]:
    """Each member's image in bands of rows, each band as soon as no later patch touches it.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1], or `prepare`d ones.
        lr: (h, w, 3), float32 in [0, 1], or uint8, uint16 of full range.
        plan: what is computed.
        advance: told the LR px computed by one member whenever some are done; in all members · plan.pixels(h, w).

    Yields:
        float32 (members, rows, scale·w, 3), rows >= 1, not clipped; arrays of their own.

    Raises:
        UsageError: wrong shape, dtype or range; a member of another scale.
        NonFiniteError: a member's output holds a NaN or an infinity.
        OutOfMemoryError: no room.
    """
    check_image(lr)
    networks = prepare(members, plan.scale, precision=plan.precision)
    for band in _bands(networks, lr, plan, advance):
        rows = max(1, PIECE_BYTES // band[:, :1].nbytes)
        for top in range(0, band.shape[1], rows):
            yield band[:, top : top + rows].copy()


def check_image(lr: Lr) -> None:
    """Refuse what is no LR image: UsageError."""
    if lr.ndim != 3 or lr.shape[2] != 3 or min(lr.shape) < 1 or lr.dtype not in (np.float32, np.uint8, np.uint16):
        raise UsageError(f"LR image: got {lr.dtype} {lr.shape}, expected float32 (h, w, 3) in [0, 1], or uint8, uint16")
    if lr.dtype != np.float32:
        return
    low, high = float(lr.min()), float(lr.max())
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # NaN fails as well
        raise UsageError(
            f"LR image: got values from {low:.6g} to {high:.6g}, expected finite numbers in [0, 1]; "
            "divide by the white level, or clip"
        )


def _bands(networks: Sequence[Network], lr: Lr, plan: Plan, advance: Callable[[int], None]) -> Iterator[Image]:
    """One band a row of patches; a view that the next band overwrites."""
    scale, grid = plan.scale, plan.grid(*lr.shape[:2])
    weights = blending_weights(
        plan.blending_window(grid), [scale * top for top in grid.tops], [scale * left for left in grid.lefts]
    )
    sums = np.zeros((len(networks), grid.height * scale, lr.shape[1] * scale, 3), dtype=np.float32)
    for row, (top, following) in enumerate(zip_longest(grid.tops, grid.tops[1:])):
        strip = lr[top : top + grid.height]
        with evaluating(networks):
            for total, network in zip(sums, networks, strict=True):
                for column, left in enumerate(grid.lefts):
                    patch = _floats(strip[:, left : left + grid.width])
                    sr = _mean(network, patch, plan.transforms)
                    total[:, left * scale : (left + grid.width) * scale] += weights(row, column)[..., None] * sr
                    advance(grid.height * grid.width * len(plan.transforms))
        done = sums.shape[1] if following is None else (following - top) * scale
        yield sums[:, :done]
        kept = sums.shape[1] - done
        sums[:, :kept] = sums[:, done:]
        sums[:, kept:] = 0


def _floats(pixels: Lr) -> Image:
    """A copy in [0, 1], contiguous."""
    return pixels.astype(np.float32) if pixels.dtype == np.float32 else to_float(pixels)


def _mean(network: Network, patch: Image, transforms: Sequence[Transform]) -> Image:
    """Mean over the transforms of what a network makes of a patch: float32 (scale·h, scale·w, 3)."""
    x = torch.from_numpy(patch).permute(2, 0, 1)[None]
    images = (t.invert(network(t.apply(x))) for t in transforms)
    if len(transforms) == 1:
        return _pixels(next(images))
    total = next(images).to(torch.float64, copy=True)
    for image in images:
        total += image
    return _pixels(total / len(transforms))


def _pixels(x: Tensor) -> Image:
    return x[0].permute(1, 2, 0).to("cpu", torch.float32).numpy()
