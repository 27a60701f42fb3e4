"""Level one: the eight flips and transposes of an image, and the mean of what a network makes of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Upscaler = Callable[[Tensor], Tensor]  # (n, 3, h, w) -> (n, 3, s·h, s·w)


@dataclass(frozen=True, slots=True)
class Transform:
    """One symmetry of the square: flips first, then a transpose."""

    flip_vertical: bool
    flip_horizontal: bool
    transpose: bool

    def apply(self, x: Tensor) -> Tensor:
        """The transformed images, (n, c, h, w) -> (n, c, h, w) or (n, c, w, h)."""
        dims = [dim for dim, flip in ((2, self.flip_vertical), (3, self.flip_horizontal)) if flip]
        x = torch.flip(x, dims) if dims else x
        return x.transpose(2, 3) if self.transpose else x

    def invert(self, x: Tensor) -> Tensor:
        """Undo `apply`."""
        x = x.transpose(2, 3) if self.transpose else x
        dims = [dim for dim, flip in ((2, self.flip_vertical), (3, self.flip_horizontal)) if flip]
        return torch.flip(x, dims) if dims else x


TRANSFORMS = tuple(Transform(v, h, t) for t in (False, True) for v in (False, True) for h in (False, True))


def self_ensemble(network: Upscaler) -> Upscaler:
    """The network, averaged over the eight transforms (paper 4.3, ×8).

    The sum is kept in float64 on the CPU: there eight float32 images add up without rounding.

    Returns:
        The same kind of function; its result is float64 on the CPU.

    Example:
        >>> upscale = self_ensemble(torch.nn.Upsample(scale_factor=2))
        >>> upscale(torch.zeros(1, 3, 4, 5)).shape
        torch.Size([1, 3, 8, 10])
    """

    def run(x: Tensor) -> Tensor:
        images = (t.invert(network(t.apply(x).contiguous())) for t in TRANSFORMS)
        total = next(images).to("cpu", torch.float64, copy=True)
        for image in images:
            total += image.to("cpu", torch.float64)
        return total / len(TRANSFORMS)

    return run
