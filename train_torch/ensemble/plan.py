"""What is computed for an image, and with how much memory: the plan of passes, and the named plans.

A pass is one run of a network over one patch under one flip or transpose. Patches, transforms and precision decide the result.
Batch and memory budget change nothing beyond rounding. docs/inference.md says what each named plan costs, in dB and in time.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from train_torch.ensemble.patches import Window, centre_window, even_patches, patch_starts, ramp_window
from train_torch.ensemble.self_ensemble import TRANSFORMS, Transform, transforms

Precision = Literal["float32", "bfloat16"]

PATCH, STRIDE = 120, 60  # LR px (paper 4.3)


@dataclass(frozen=True, kw_only=True, slots=True)
class PassPlan:
    """How an image goes through the members; the defaults are the paper's scheme (section 4.3).

    Attributes:
        scale: HR side / LR side.
        patch: LR px, side of the patches, with the window "ramp" at most; None: the whole image at once.
        stride: LR px from one patch to the next, with the window "ramp" at most; 1 <= stride <= patch.
        transforms: flips and turns whose results are averaged.
        window: how patches are blended: "centre" by the distance to the centre, "ramp" over the overlap alone.
        precision: of the layers before the last; "bfloat16" pays on hardware that has it.
        batch: images in one run of a network; None: up to 4 small ones on a CPU, up to 16 on a GPU, if memory allows.
        memory: bytes that the process may hold at its peak; None: no limit.
    """

    scale: int
    patch: int | None = PATCH
    stride: int = STRIDE
    transforms: tuple[Transform, ...] = TRANSFORMS
    window: Window = "centre"
    precision: Precision = "float32"
    batch: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run: UsageError."""
        if self.patch is not None:
            patch_starts(1, self.patch, self.stride)
        if self.scale < 1 or (self.batch is not None and self.batch < 1) or not self.transforms:
            raise UsageError(
                f"scale {self.scale}, batch {self.batch}, {len(self.transforms)} transforms: expected each at least 1"
            )

    def grid(self, height: int, width: int) -> "Grid":
        """The patches of an image of height x width LR px."""
        if self.patch is None:
            return Grid(tops=(0,), lefts=(0,), height=height, width=width)
        if self.window == "ramp":
            (tops, rows), (lefts, columns) = (
                even_patches(size, self.patch, self.patch - self.stride) for size in (height, width)
            )
        else:
            tops, lefts = (patch_starts(size, self.patch, self.stride) for size in (height, width))
            rows, columns = min(self.patch, height), min(self.patch, width)
        return Grid(tops=tuple(tops), lefts=tuple(lefts), height=rows, width=columns)

    def pixels(self, height: int, width: int) -> int:
        """LR px that each member computes for an image of height x width LR px."""
        grid = self.grid(height, width)
        return len(grid.tops) * len(grid.lefts) * grid.height * grid.width * len(self.transforms)

    def blending_window(self, grid: "Grid") -> NDArray[np.float64]:
        """Weight of each HR px of a patch, not normalised."""
        size = grid.height * self.scale, grid.width * self.scale
        if self.patch is None or self.window == "centre":
            return centre_window(*size)
        return ramp_window(*size, overlap=(self.patch - self.stride) * self.scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Patches of one size on a product grid, LR px."""

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    height: int
    width: int

    def transposed(self) -> "Grid":
        """The grid of the transposed image."""
        return Grid(tops=self.lefts, lefts=self.tops, height=self.width, width=self.height)


PRESETS: dict[str, PassPlan] = {
    "paper": PassPlan(scale=1),
    "balanced": PassPlan(scale=1, patch=320, stride=288, transforms=transforms(4), window="ramp"),
    "fast": PassPlan(scale=1, patch=320, stride=288, transforms=transforms(1), window="ramp"),
}


def preset(name: str, scale: int, *, memory: int | None = None) -> PassPlan:
    """The plan of a name.

    Args:
        name: "paper" (patches of 120 at stride 60, eight transforms), "balanced" (patches of up to 320 that overlap by 32, four)
            or "fast" (the same patches, one).
        scale: HR side / LR side.
        memory: bytes that the process may hold at its peak; None: no limit.

    Raises:
        UsageError: no such name.
    """
    if name not in PRESETS:
        raise UsageError(f"quality: got {name!r}, expected one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], scale=scale, memory=memory)


def levels_plan(scale: int, *, patch: int, stride: int, self_ensemble: bool, patch_ensemble: bool) -> PassPlan:
    """The paper's plan with its first two levels on or off.

    Args:
        scale: HR side / LR side.
        patch: side of the patches, LR px.
        stride: LR px from one patch to the next.
        self_ensemble: average over the eight flips and transposes.
        patch_ensemble: blend overlapping patches; else the whole image goes through at once.
    """
    return PassPlan(
        scale=scale,
        patch=patch if patch_ensemble else None,
        stride=stride,
        transforms=transforms(8 if self_ensemble else 1),
    )
