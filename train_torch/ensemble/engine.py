"""Runs a plan of passes: patches × transforms × members. The result comes in bands of rows, top to bottom.

Memory holds the LR image, one row of patches at HR size for each member, and the activations of one batch. The weights of patches
sum to one, and sums are in float32. Batch, memory budget and threads change the result by rounding alone: at most 1e-6 on [0, 1]
(tested).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import OutOfMemoryError, UsageError
from shared.images.pixels import to_float
from train_torch.ensemble.memory import PIECE_BYTES, Traversal, choose_traversal
from train_torch.ensemble.modules import EnsembleMember, PreparedMember, check_finite, evaluating, prepare
from train_torch.ensemble.patches import blending_weights
from train_torch.ensemble.plan import PassPlan
from train_torch.ensemble.self_ensemble import Transform
from train_torch.ensemble.spool import rows_of

Image = NDArray[np.float32]
Lr = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]

RANGE_SLACK = 1e-6  # as shared.metrics: what float32 resizing of a white area may overshoot


def member_bands(
    members: Sequence[EnsembleMember], lr: Lr, plan: PassPlan, *, advance: Callable[[int], None] = lambda pixels: None
) -> Iterator[Image]:
    """Each member's image in bands of rows. A band comes as soon as no later patch changes it.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1], or `prepare`d ones.
        lr: (h, w, 3), float32 in [0, 1], or uint8, uint16 of full range.
        plan: what is computed.
        advance: called with a number of LR px whenever one member has computed them; the sum is members · plan.pixels(h, w).

    Yields:
        float32 (members, rows, scale·w, 3), rows >= 1, not clipped; each band is a new array.

    Raises:
        UsageError: wrong shape, dtype or range; a member of another scale; a budget that is too small.
        NonFiniteError: a member's output holds a NaN or an infinity.
        OutOfMemoryError: no room even for one image in a run.
        WorkError: no room for the temporary file that a wide image needs under a small budget.
    """
    check_image(lr)
    networks = prepare(members, plan.scale, precision=plan.precision)
    (height, width), count = lr.shape[:2], len(networks)
    traversal = choose_traversal(networks, plan, height, width)
    strips = _strips(networks, lr, plan, traversal, advance)
    rows = max(1, PIECE_BYTES // (count * plan.scale * width * 3 * np.dtype(np.float32).itemsize))
    if traversal.by_columns:
        yield from rows_of(strips, members=count, height=height * plan.scale, width=width * plan.scale, rows=rows)
        return
    for band in strips:
        for top in range(0, band.shape[1], rows):
            yield band[:, top : top + rows].copy()


def check_image(lr: Lr) -> None:
    """Raise UsageError unless this is an LR image."""
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


def _strips(
    networks: Sequence[PreparedMember], lr: Lr, plan: PassPlan, traversal: Traversal, advance: Callable[[int], None]
) -> Iterator[Image]:
    """A band for each row of patches, or the transposed band of each column. The next band overwrites it."""
    scale, grid = plan.scale, plan.grid(*lr.shape[:2])
    window = plan.blending_window(grid)
    if traversal.by_columns:
        lr, grid, window = lr.swapaxes(0, 1), grid.transposed(), window.T
    weights = blending_weights(window, [scale * top for top in grid.tops], [scale * left for left in grid.lefts])
    sums = np.zeros((len(networks), grid.height * scale, lr.shape[1] * scale, 3), dtype=np.float32)
    for row, (top, following) in enumerate(zip_longest(grid.tops, grid.tops[1:])):
        patches = [lr[top : top + grid.height, left : left + grid.width] for left in grid.lefts]
        with evaluating(networks):
            for total, network in zip(sums, networks, strict=True):
                images = _means(network, patches, plan.transforms, traversal)
                for column, (left, image) in enumerate(zip(grid.lefts, images, strict=True)):
                    total[:, left * scale : (left + grid.width) * scale] += weights(row, column)[..., None] * image
                    advance(grid.height * grid.width * len(plan.transforms))
        done = sums.shape[1] if following is None else (following - top) * scale
        yield sums[:, :done]
        kept = sums.shape[1] - done
        sums[:, :kept] = sums[:, done:]
        sums[:, kept:] = 0


def _means(
    network: PreparedMember, patches: Sequence[Lr], transforms: Sequence[Transform], traversal: Traversal
) -> Iterator[Image]:
    """For each patch the mean of the network's results over the transforms: float32 (scale·h, scale·w, 3).

    By columns the patches are stored transposed. The network gets them upright, so both ways compute the same.
    """
    turn = (2, 1, 0) if traversal.by_columns else (2, 0, 1)
    upright = (torch.from_numpy(_floats(patch)).permute(turn)[None] for patch in patches)
    images = _images(network, upright, transforms, traversal.batch)
    for _ in patches:
        mean = _mean(images, len(transforms))
        check_finite(mean, network.name)
        yield mean[0].permute((2, 1, 0) if traversal.by_columns else (1, 2, 0)).numpy()


def _mean(images: Iterator[Tensor], count: int) -> Tensor:
    """Mean of the next images: float32 on the CPU. Eight sums in float32 err by 2e-7 at most; in float64 they cost 4 %."""
    total = next(images)
    if count > 1:
        total = total.to(torch.float32, copy=True)
        for image in islice(images, count - 1):
            total += image
        total /= count
    return total.to("cpu", torch.float32)


def _images(
    network: PreparedMember, patches: Iterator[Tensor], transforms: Sequence[Transform], batch: int
) -> Iterator[Tensor]:
    """The network's result for every transform of every patch, transformed back, in order: each (1, 3, scale·h, scale·w)."""
    inputs = ((transform, transform.apply(patch)) for patch in patches for transform in transforms)
    for _, alike in groupby(inputs, key=lambda item: item[1].shape):
        while chunk := list(islice(alike, batch)):
            outputs = _run(network, torch.cat([x for _, x in chunk]) if len(chunk) > 1 else chunk[0][1])
            for (transform, _), output in zip(chunk, outputs.split(1), strict=True):
                yield transform.invert(output)


def _run(network: PreparedMember, x: Tensor) -> Tensor:
    """Run a batch, or its two halves where memory is too small for the whole."""
    try:
        return network(x)
    except OutOfMemoryError:
        if len(x) == 1:
            raise
    return torch.cat([network(part) for part in x.split((len(x) + 1) // 2)])


def _floats(pixels: Lr) -> Image:
    """A copy in [0, 1], contiguous."""
    return pixels.astype(np.float32, order="C") if pixels.dtype == np.float32 else to_float(pixels)
