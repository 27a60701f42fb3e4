"""The three levels together: the mean over members of patches of the mean over flips and transposes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from train_torch.ensemble.engine import Image, Lr, member_bands
from train_torch.ensemble.fusion import fused_bands, make_fusion
from train_torch.ensemble.models import shares
from train_torch.ensemble.modules import Network
from train_torch.ensemble.plan import PATCH, STRIDE, Plan
from train_torch.ensemble.presets import preset
from train_torch.ensemble.self_ensemble import transforms

Member = nn.Module | Network


def upscale(
    members: Sequence[Member],
    lr: Lr,
    scale: int = 4,
    weights: Sequence[float] | None = None,
    patch: int = PATCH,
    stride: int = STRIDE,
    self_ensemble: bool = True,
    patch_ensemble: bool = True,
    quality: str | None = None,
    fusion: str = "mean",
) -> Image:
    """Super-resolve one image with the three-level ensemble (paper 4.3). Nothing passed in is changed.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1]; any such module will do, on any device and in
            any floating-point precision.
        lr: (h, w, 3) float32 in [0, 1].
        scale: HR side / LR side.
        weights: the members' weights, >= 0; None: equal.
        patch: LR px. Networks with channel attention want the side they were trained on.
        stride: LR px.
        self_ensemble: average over the eight flips and transposes.
        patch_ensemble: blend overlapping patches; else the whole image goes through at once.
        quality: "paper", "balanced" or "fast": a preset, in the place of the four before it.
        fusion: "mean", or "robust" (`train_torch.ensemble.fusion`).

    Returns:
        float32 (scale·h, scale·w, 3), not clipped: a mean of clipped images would be biased at the ends.

    Raises:
        UsageError: wrong shape, dtype, range, scale, patch, weights, preset or fusion.
        NonFiniteError: a member's output holds a NaN or an infinity.
        OutOfMemoryError: a member's device has no room for a pass.
    """
    plan = (
        preset(quality, scale)
        if quality is not None
        else levels_plan(scale, patch=patch, stride=stride, self_ensemble=self_ensemble, patch_ensemble=patch_ensemble)
    )
    return np.concatenate(list(upscale_bands(members, lr, plan, weights=weights, fusion=fusion)))


def upscale_one(
    member: Member,
    lr: Lr,
    scale: int,
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    self_ensemble: bool = True,
    patch_ensemble: bool = True,
) -> Image:
    """One member's part of `upscale`: float32 (scale·h, scale·w, 3), not clipped."""
    return upscale([member], lr, scale, None, patch, stride, self_ensemble, patch_ensemble)


def upscale_bands(
    members: Sequence[Member],
    lr: Lr,
    plan: Plan,
    *,
    weights: Sequence[float] | None = None,
    fusion: str = "mean",
    watch: Callable[[Image], None] = lambda stack: None,
    advance: Callable[[int], None] = lambda pixels: None,
) -> Iterator[Image]:
    """The fused image in bands of rows, top to bottom, in memory that does not grow with the height of the image.

    Args:
        members: as in `upscale`, or `prepare`d ones.
        lr: (h, w, 3) float32 in [0, 1], or uint8, uint16 of full range.
        plan: what is computed; `presets.preset(name, scale)` makes the named ones.
        weights: the members' weights in the mean, >= 0; None: equal. A member of weight 0 is not run.
        fusion: how members are fused (`fusion.KINDS`).
        watch: told each band of the members that are run, (members, rows, scale·w, 3), before it is fused.
        advance: told the LR px computed by one member whenever some are done.

    Yields:
        float32 (rows, scale·w, 3), not clipped.
    """
    values = shares(len(members), weights)
    running = [member for member, share in zip(members, values, strict=True) if share > 0]
    fuse = make_fusion(fusion, [share for share in values if share > 0])
    for band in fused_bands(_watched(member_bands(running, lr, plan, advance=advance), watch), fuse):
        yield np.ascontiguousarray(band, dtype=np.float32)


def _watched(bands: Iterator[Image], watch: Callable[[Image], None]) -> Iterator[Image]:
    for band in bands:
        watch(band)
        yield band


def levels_plan(scale: int, *, patch: int, stride: int, self_ensemble: bool, patch_ensemble: bool) -> Plan:
    """The plan of the paper's levels, each on or off."""
    plan = Plan(scale=scale, transforms=transforms(8 if self_ensemble else 1))
    return replace(plan, patch=patch, stride=stride) if patch_ensemble else replace(plan, patch=None)
