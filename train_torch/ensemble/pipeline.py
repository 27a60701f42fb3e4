"""The three levels together: patches of the mean over networks of the mean over flips and transposes.

The levels are linear, so their order changes rounding only; in this one, sums but the result's are as small as a patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from shared.errors import UsageError
from train_torch.ensemble.models import model_ensemble, shares
from train_torch.ensemble.modules import as_function, evaluating
from train_torch.ensemble.patches import patch_ensemble as in_patches
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
    switches = _Switches(patch=patch, stride=stride, self_ensemble=self_ensemble, patch_ensemble=patch_ensemble)
    return np.ascontiguousarray(_run(members, weights, lr, scale, switches), dtype=np.float32)


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
    switches = _Switches(patch=patch, stride=stride, self_ensemble=self_ensemble, patch_ensemble=patch_ensemble)
    return _run([member], None, lr, scale, switches)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Switches:
    patch: int
    stride: int
    self_ensemble: bool
    patch_ensemble: bool


def _run(
    members: Sequence[nn.Module], weights: Sequence[float] | None, lr: np.ndarray, scale: int, switches: _Switches
) -> np.ndarray:
    """The composition: float64 (scale·h, scale·w, 3)."""
    _check(lr)
    count = len(members)
    networks = [as_function(m, scale, f"member {index} of {count}") for index, m in enumerate(members, 1)]
    if switches.self_ensemble:
        networks = [eightfold(network) for network in networks]
    network = model_ensemble(networks, shares(count, weights))
    if switches.patch_ensemble:
        network = in_patches(network, scale=scale, patch=switches.patch, stride=switches.stride)
    with evaluating(members):
        sr = network(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))
    return sr[0].permute(1, 2, 0).numpy()


def _check(lr: np.ndarray) -> None:
    if lr.ndim != 3 or lr.shape[2] != 3 or min(lr.shape) < 1 or lr.dtype != np.float32:
        raise UsageError(f"LR image: got {lr.dtype} {lr.shape}, expected float32 (h, w, 3) in [0, 1]")
    low, high = float(lr.min()), float(lr.max())
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # NaN fails as well
        raise UsageError(
            f"LR image: got values from {low:.6g} to {high:.6g}, expected finite numbers in [0, 1]; "
            "divide by the white level, or clip"
        )
