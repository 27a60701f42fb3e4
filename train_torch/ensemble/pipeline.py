"""The three levels together: flips and transposes, inside overlapping patches, for each of several networks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import NonFiniteError, UsageError
from train_torch.ensemble.models import shares
from train_torch.ensemble.patches import patch_ensemble as in_patches
from train_torch.ensemble.self_ensemble import Upscaler
from train_torch.ensemble.self_ensemble import self_ensemble as eightfold

PATCH, STRIDE = 120, 60  # LR px (paper 4.3)


def upscale(
    members: Sequence[nn.Module],
    lr: np.ndarray,
    scale: int = 4,
    weights: Sequence[float] | None = None,
    patch: int = PATCH,
    stride: int = STRIDE,
    self_ensemble: bool = True,
    patch_ensemble: bool = True,
) -> np.ndarray:
    """Super-resolve one image with the three-level ensemble (paper 4.3). Nothing passed in is changed.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1]; any such module will do.
        lr: (h, w, 3) float32 in [0, 1].
        scale: HR side / LR side.
        weights: the members' weights, >= 0; None: equal.
        patch: LR px. Networks with channel attention want the side they were trained on.
        stride: LR px.
        self_ensemble: average over the eight flips and transposes.
        patch_ensemble: blend overlapping patches; else the whole image goes through at once.

    Returns:
        float32 (scale·h, scale·w, 3), not clipped: a mean of clipped images would be biased at the ends.

    Raises:
        UsageError: wrong shape, dtype, scale, patch or weights.
        NonFiniteError: a member's output holds a NaN or an infinity.
    """
    total: np.ndarray | None = None
    for member, share in zip(members, shares(len(members), weights), strict=True):
        if share > 0:
            sr = share * upscale_one(
                member,
                lr,
                scale,
                patch=patch,
                stride=stride,
                self_ensemble=self_ensemble,
                patch_ensemble=patch_ensemble,
            )
            total = sr if total is None else total + sr
    assert total is not None, "shares sum to one"
    return total.astype(np.float32)


def upscale_one(
    member: nn.Module,
    lr: np.ndarray,
    scale: int,
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    self_ensemble: bool = True,
    patch_ensemble: bool = True,
) -> np.ndarray:
    """One member's part of `upscale`: float64 (scale·h, scale·w, 3), not clipped."""
    _check(lr)
    run: Upscaler = _checked(member, scale)
    if self_ensemble:
        run = eightfold(run)
    if patch_ensemble:
        run = in_patches(run, scale=scale, patch=patch, stride=stride)
    device = next((p.device for p in member.parameters()), torch.device("cpu"))
    with _evaluating(member), torch.inference_mode():
        x = torch.from_numpy(np.ascontiguousarray(lr)).permute(2, 0, 1)[None].to(device)
        sr = run(x)[0].permute(1, 2, 0).to("cpu", torch.float64).numpy()
    if not np.isfinite(sr).all():
        raise NonFiniteError(
            f"a member's output holds {int((~np.isfinite(sr)).sum())} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
    return np.asarray(sr)


def _checked(member: nn.Module, scale: int) -> Upscaler:
    """The member as a function that gets a copy (some modules write into their input) and whose output size is checked."""

    def run(x: Tensor) -> Tensor:
        sr = member(x.clone(memory_format=torch.channels_last))
        expected = (x.shape[0], 3, x.shape[2] * scale, x.shape[3] * scale)
        if tuple(sr.shape) != expected:
            raise UsageError(
                f"a member made {tuple(sr.shape)} of {tuple(x.shape)}, expected {expected} at scale {scale}"
            )
        return sr

    return run


def _check(lr: np.ndarray) -> None:
    if lr.ndim != 3 or lr.shape[2] != 3 or min(lr.shape) < 1 or lr.dtype != np.float32:
        raise UsageError(f"LR image: got {lr.dtype} {lr.shape}, expected float32 (h, w, 3) in [0, 1]")
    if not np.isfinite(lr).all():
        raise UsageError("LR image: holds a NaN or an infinity, expected numbers in [0, 1]")


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to the mode of every submodule."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
