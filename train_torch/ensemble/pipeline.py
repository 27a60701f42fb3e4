"""The three levels together: mean over flips and transposes, then blending of patches, then fusion of members."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from train_torch.ensemble.engine import Image, Lr, member_bands
from train_torch.ensemble.fusion import ensemble_weights, fused_bands, make_fusion
from train_torch.ensemble.modules import EnsembleMember
from train_torch.ensemble.plan import PATCH, STRIDE, PassPlan, levels_plan, preset


def upscale(
    members: Sequence[EnsembleMember],
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
        weights: the members' weights in the mean, >= 0; None: equal.
        patch: LR px. Networks with channel attention want the side they were trained on.
        stride: LR px.
        self_ensemble: average over the eight flips and transposes.
        patch_ensemble: blend overlapping patches; else the whole image goes through at once.
        quality: "paper", "balanced" or "fast": a named plan; the four arguments before it then do not count.
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
    member: EnsembleMember,
    lr: Lr,
    scale: int,
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    self_ensemble: bool = True,
    patch_ensemble: bool = True,
) -> Image:
    """What one member makes of an image: `upscale` of it alone, with the same arguments and errors.

    Args:
        member: module (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1], or a `prepare`d one.
        lr: (h, w, 3) float32 in [0, 1].
        scale: HR side / LR side.
        patch: LR px.
        stride: LR px.
        self_ensemble: average over the eight flips and transposes.
        patch_ensemble: blend overlapping patches; else the whole image goes through at once.

    Returns:
        float32 (scale·h, scale·w, 3), not clipped.
    """
    return upscale([member], lr, scale, None, patch, stride, self_ensemble, patch_ensemble)


def upscale_bands(
    members: Sequence[EnsembleMember],
    lr: Lr,
    plan: PassPlan,
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
        plan: what is computed; `preset(name, scale)` of train_torch.ensemble.plan makes the named ones.
        weights: the members' weights in the mean, >= 0; None: equal. A member of weight 0 is not run.
        fusion: how members are fused (`fusion.KINDS`).
        watch: called with each band of the members that are run, (members, rows, scale·w, 3), before it is fused.
        advance: called with a number of LR px whenever one member has computed them.

    Yields:
        float32 (rows, scale·w, 3), not clipped.
    """
    values = ensemble_weights(len(members), weights)
    running = [member for member, weight in zip(members, values, strict=True) if weight > 0]
    fuse = make_fusion(fusion, [weight for weight in values if weight > 0])
    for band in fused_bands(_watched(member_bands(running, lr, plan, advance=advance), watch), fuse):
        yield np.ascontiguousarray(band, dtype=np.float32)


def _watched(bands: Iterator[Image], watch: Callable[[Image], None]) -> Iterator[Image]:
    for band in bands:
        watch(band)
        yield band
