"""Chains of affine nodes (convolution, pixel shuffle, constant) as one convolution and one shuffle, exactly, borders included.

Inside the image, convolution-shuffle-convolution is one convolution at the size before the shuffle: kernel K of radius R. At the
border it is not, as the later convolutions see zeros outside the image, not what the earlier ones would make there. That
concerns the outermost pixel alone (chains where it concerns more are left alone), and there the chain is still affine: a row of
border pixels has a kernel of its own, and so has each corner. Notation:

    R    radius of the whole chain, px before the first shuffle: 2 for an upsampler of 3x3 convolutions at x2, x3 and x4
    rim  px at the border where K is wrong: 0 or 1
    S    R + rim, px of a strip that decides its border pixel

A kernel is the derivative of an output pixel; all those of one pixel come from the adjoint chain, fed with unit cotangents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.network.primitives import Conv, PixelShuffle, Primitive, Scale
from shared.network.reference import Array, apply

Weights = Mapping[str, NDArray[Any]]
Place = tuple[int, int]  # -1, 0, 1: first row, inside, last row; the same for columns

PLACES: tuple[Place, ...] = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))


def is_affine(node: Primitive) -> bool:
    """Whether a node may stand in a chain: its convolutions keep the size and mix all channels."""
    match node:
        case Conv(stride=1, groups=1, kernel=kernel, padding=padding):
            return kernel == 2 * padding + 1
        case PixelShuffle() | Scale():
            return True
        case _:
            return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Affine nodes, each the only reader of the one before.

    Attributes:
        nodes: at least one shuffle among them.
        in_channels: channels of what the first node reads.
    """

    nodes: tuple[Primitive, ...]
    in_channels: int

    @property
    def factor(self) -> int:
        """Output side / input side."""
        return prod(node.factor for node in self.nodes if isinstance(node, PixelShuffle))

    @property
    def radius(self) -> int:
        """R."""
        return ceil(sum((radius for _, radius in self._radii()), Fraction(0)))

    @property
    def rim(self) -> int:
        """Pixels at the border where zeros outside the image do not stand for zeros outside the chain's input.

        The first padding does no harm where nothing before it adds a constant: there zeros stay zeros.
        """
        padded = [(conv, radius) for conv, radius in self._radii() if radius]
        if not padded:
            return 0
        before = self.nodes[: self.nodes.index(padded[0][0])]
        harmless = not any(isinstance(node, Conv) and node.bias for node in before)
        return ceil(sum((radius for _, radius in padded[1 if harmless else 0 :]), Fraction(0)))

    @property
    def macs(self) -> Fraction:
        """Multiply-accumulates for each pixel of the input."""
        total, area = Fraction(0), 1
        for node in self.nodes:
            if isinstance(node, PixelShuffle):
                area *= node.factor**2
            if isinstance(node, Conv):
                total += area * node.macs
        return total

    @property
    def collapsed_macs(self) -> int:
        """The same for the one convolution that takes its place."""
        return self.nodes[-1].channels * self.factor**2 * self.in_channels * (2 * self.radius + 1) ** 2

    def _radii(self) -> list[tuple[Conv, Fraction]]:
        """Each convolution, and how far it sees to one side, px of the input."""
        found, spacing = [], Fraction(1)
        for node in self.nodes:
            if isinstance(node, PixelShuffle):
                spacing /= node.factor
            if isinstance(node, Conv):
                found.append((node, spacing * node.padding))
        return found


def kernel_at(chain: Chain, weights: Weights, place: Place) -> tuple[Array, Array]:
    """Kernel and constant of the chain at a border pixel, at a corner, or inside.

    Args:
        chain: rim 0 or 1.
        weights: name -> array.
        place: where.

    Returns:
        Kernel (channels·factor², in_channels, 2R+1, 2R+1), centred on the pixel, zero where it lies outside the image; constant
        (channels·factor²). Channel order is that before a shuffle by factor.
    """
    radius, factor = chain.radius, chain.factor
    sizes = [2 * radius + 1 if side == 0 else radius + 1 for side in place]
    y, x = (0 if side == -1 else radius for side in place)
    cells = chain.nodes[-1].channels * factor**2
    unit = np.zeros((cells, cells, *sizes))
    unit[np.arange(cells), np.arange(cells), y, x] = 1
    derivative = _adjoint(chain, weights, _shuffle(unit, factor))
    kernel = np.zeros((*derivative.shape[:2], 2 * radius + 1, 2 * radius + 1))
    kernel[:, :, radius - y : radius - y + sizes[0], radius - x : radius - x + sizes[1]] = derivative
    constant = _unshuffle(_forward(chain, weights, np.zeros((1, chain.in_channels, *sizes))), factor)[0, :, y, x]
    return kernel, constant


def _forward(chain: Chain, weights: Weights, x: Array) -> Array:
    for node in chain.nodes:
        x = apply(node, [x], weights)
    return x


def _adjoint(chain: Chain, weights: Weights, y: Array) -> Array:
    """The transposed linear part."""
    for node in reversed(chain.nodes):
        match node:
            case Conv(owner=owner, padding=padding):
                y = _adjoint_conv(weights[f"{owner}.weight"].astype(np.float64), padding, y)
            case PixelShuffle(factor=factor):
                y = _unshuffle(y, factor)
            case Scale(factor=factor):
                y = y * factor
    return y


def _adjoint_conv(weight: Array, padding: int, y: Array) -> Array:
    """Of a convolution that keeps the size: one with mirrored kernels, from outputs to inputs. Tap by tap: few copies."""
    n, _, height, width = y.shape
    padded = np.pad(y, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    x = np.zeros((n, weight.shape[1], height * width))
    for i, j in np.ndindex(weight.shape[2:]):
        shifted = padded[:, :, i : i + height, j : j + width].reshape(n, -1, height * width)
        x += weight[:, :, -1 - i, -1 - j].T @ shifted
    return x.reshape(n, -1, height, width)


def _shuffle(x: Array, factor: int) -> Array:
    node = PixelShuffle(name="", inputs=(), channels=x.shape[1] // factor**2, factor=factor)
    return apply(node, [x], {})


def _unshuffle(x: Array, factor: int) -> Array:
    n, channels, height, width = x.shape
    cells = x.reshape(n, channels, height // factor, factor, width // factor, factor)
    return cells.transpose(0, 1, 3, 5, 2, 4).reshape(n, -1, height // factor, width // factor)


def longest_saving(chain: Sequence[Primitive], channels: Mapping[str, int]) -> Chain | None:
    """The end of a run of affine nodes whose collapse saves most; None where none saves anything exactly.

    Args:
        chain: affine nodes in order.
        channels: of every node.
    """
    ends = [
        Chain(nodes=tuple(chain[i:]), in_channels=channels[chain[i].inputs[0]])
        for i in range(len(chain))
        if any(isinstance(node, PixelShuffle) for node in chain[i:])
    ]
    saving = {end: _saving(end, chain) for end in ends if end.rim <= 1}
    best = max(saving, key=lambda end: saving[end], default=None)
    return best if best is not None and saving[best] > 0 else None


def _saving(end: Chain, whole: Sequence[Primitive]) -> Fraction:
    """Multiply-accumulates saved for each pixel before the whole run."""
    before = whole[: len(whole) - len(end.nodes)]
    area = prod(node.factor**2 for node in before if isinstance(node, PixelShuffle))
    return area * (end.macs - end.collapsed_macs)
