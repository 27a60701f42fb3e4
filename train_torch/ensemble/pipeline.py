"""The three levels together: flips and transposes, inside overlapping patches, for each of several networks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import NonFiniteError, OutOfMemoryError, UsageError
from train_torch.ensemble.models import shares
from train_torch.ensemble.patches import patch_ensemble as in_patches
from train_torch.ensemble.self_ensemble import Upscaler
from train_torch.ensemble.self_ensemble import self_ensemble as eightfold

PATCH, STRIDE = 120, 60  # LR px (paper 4.3)
RANGE_SLACK = 1e-6  # as shared.metrics: what float32 resizing of a white area may overshoot


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
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w) on [0, 1]; any such module will do, on any device and in
            any floating-point precision.
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
        UsageError: wrong shape, dtype, range, scale, patch or weights.
        NonFiniteError: a member's output holds a NaN or an infinity.
        OutOfMemoryError: a member's device has no room for a pass.
    """
    total: np.ndarray | None = None
    for index, (member, share) in enumerate(zip(members, shares(len(members), weights), strict=True)):
        if share > 0:
            sr = share * upscale_one(
                member,
                lr,
                scale,
                patch=patch,
                stride=stride,
                self_ensemble=self_ensemble,
                patch_ensemble=patch_ensemble,
                name=f"member {index + 1} of {len(members)}",
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
    name: str = "the member",
) -> np.ndarray:
    """One member's part of `upscale`: float64 (scale·h, scale·w, 3), not clipped; `name` is for messages."""
    _check(lr)
    run = _as_function(member, scale, name)
    if self_ensemble:
        run = eightfold(run)
    if patch_ensemble:
        run = in_patches(run, scale=scale, patch=patch, stride=stride)
    with (
        _evaluating(member),
        torch.no_grad(),
    ):  # inference_mode would poison tensors that a module keeps, for a later training
        sr = run(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0).numpy()
    if not np.isfinite(sr).all():
        raise NonFiniteError(
            f"{name}: its output holds {int((~np.isfinite(sr)).sum())} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
    return np.asarray(sr)


def _as_function(member: nn.Module, scale: int, name: str) -> Upscaler:
    """The member as a function from host to host, float64 out: it gets a copy (some modules write into their input)."""
    device, dtype = _placement(member)

    def run(x: Tensor) -> Tensor:
        copy = x.to(device, dtype, copy=True, memory_format=torch.contiguous_format)  # what a module may `view`
        sr = _call(member, copy, name)
        expected = (x.shape[0], 3, x.shape[2] * scale, x.shape[3] * scale)
        got = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
        if not isinstance(sr, Tensor) or got != expected:
            raise UsageError(f"{name}: made {got} of {tuple(x.shape)}, expected {expected} at scale {scale}")
        return sr.to("cpu", torch.float64)

    return run


def _placement(member: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and precision of its first floating-point weight or buffer; CPU and float32 if it has none."""
    for tensor in chain(member.parameters(), member.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _call(member: nn.Module, x: Tensor, name: str) -> object:
    try:
        return member(x)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"{name}: no memory for an image of {x.shape[3]}x{x.shape[2]} px: {error}; "
            "upscale by patches, by smaller ones, or cut it into parts"
        ) from None


def _check(lr: np.ndarray) -> None:
    if lr.ndim != 3 or lr.shape[2] != 3 or min(lr.shape) < 1 or lr.dtype != np.float32:
        raise UsageError(f"LR image: got {lr.dtype} {lr.shape}, expected float32 (h, w, 3) in [0, 1]")
    low, high = float(lr.min()), float(lr.max())
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # NaN fails as well
        raise UsageError(
            f"LR image: got values from {low:.6g} to {high:.6g}, expected finite numbers in [0, 1]; "
            "divide by the white level, or clip"
        )


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
