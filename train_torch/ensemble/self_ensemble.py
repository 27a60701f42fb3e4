"""Level one: the flips and transposes of an image, whose results are averaged."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.errors import UsageError


@dataclass(frozen=True, slots=True)
class Transform:
    """One symmetry of the square: flips first, then a transpose."""

    flip_vertical: bool
    flip_horizontal: bool
    transpose: bool

    def apply(self, x: Tensor) -> Tensor:
        """The transformed images, (n, c, h, w) -> (n, c, h, w) or (n, c, w, h)."""
        x = torch.flip(x, dims) if (dims := self._flipped()) else x
        return x.transpose(2, 3) if self.transpose else x

    def invert(self, x: Tensor) -> Tensor:
        """Undo `apply`."""
        x = x.transpose(2, 3) if self.transpose else x
        return torch.flip(x, dims) if (dims := self._flipped()) else x

    def _flipped(self) -> list[int]:
        return [dim for dim, flip in ((2, self.flip_vertical), (3, self.flip_horizontal)) if flip]


TRANSFORMS = tuple(Transform(v, h, t) for t in (False, True) for v in (False, True) for h in (False, True))
ROTATIONS = tuple(t for t in TRANSFORMS if (t.flip_vertical ^ t.flip_horizontal) == t.transpose)


def transforms(count: int) -> tuple[Transform, ...]:
    """The transforms of an average over 8 (paper 4.3), 4 (the quarter turns: both axes, all directions) or 1.

    Raises:
        UsageError: another count.
    """
    known = {8: TRANSFORMS, 4: ROTATIONS, 1: TRANSFORMS[:1]}
    if count not in known:
        raise UsageError(f"transforms: got {count}, expected 8 (flips and turns), 4 (quarter turns) or 1 (none)")
    return known[count]
