"""Layers and functions for the nodes that Torch has no layer or function for, and the layer of each node with weights."""

import torch
from torch import Tensor, nn

from shared.network.primitives import ChannelScale, Conv, Layer, LayerNorm, ResizeKernel, Span
from shared.resize import upscaling_matrix


class LayerNorm2d(nn.Module):
    """As `shared.network.primitives.LayerNorm`: two means and a division, which both frameworks compute alike in float64."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = (nn.Parameter(torch.empty(channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> the same shape."""
        centred = x - x.mean(1, keepdim=True)
        y = centred / ((centred * centred).mean(1, keepdim=True) + self.eps).sqrt()
        return y * self.weight + self.bias


class ChannelScale2d(nn.Module):
    """As `shared.network.primitives.ChannelScale`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> the same shape."""
        return x * self.weight


def make_layer(node: Layer) -> nn.Module:
    """The module that holds a node's arrays; their values come later."""
    match node:
        case LayerNorm(channels=channels, eps=eps):
            layer: nn.Module = LayerNorm2d(channels, eps)
        case ChannelScale(channels=channels):
            layer = ChannelScale2d(channels)
        case Conv():
            layer = _conv(node)
    return layer.requires_grad_(node.trainable)


def _conv(node: Conv) -> nn.Conv2d:
    # the layer draws weights that nobody keeps: leave the caller's generator alone
    with torch.random.fork_rng(devices=[]):
        return nn.Conv2d(
            node.in_channels,
            node.channels,
            node.kernel,
            stride=node.stride,
            padding=node.padding,
            groups=node.groups,
            bias=node.bias,
        )


def global_mean(x: Tensor) -> Tensor:
    """Mean over all pixels: (n, c, 1, 1). Torch sums pairwise, so one step errs no more than two, and is 20 × faster."""
    return x.mean((2, 3), keepdim=True)


def crop(x: Tensor, maps: Span, rows: Span, columns: Span) -> Tensor:
    """Some channels, rows and columns, as a view.

    Args:
        x: (n, c, h, w).
        maps: slice of the channels.
        rows: slice of the rows.
        columns: slice of the columns.
    """
    return x[:, slice(*maps), slice(*rows), slice(*columns)]


def resize(x: Tensor, factor: int, kernel: ResizeKernel) -> Tensor:
    """Resize as two matrix products, in the tensor's own precision, whatever autocast says.

    Args:
        x: (n, c, h, w).
        factor: whole number.
        kernel: of the `Resize` node.
    """
    rows, columns = (
        torch.tensor(upscaling_matrix(size, factor, kernel), dtype=x.dtype, device=x.device) for size in x.shape[2:]
    )
    with torch.autocast(x.device.type, enabled=False):
        return torch.matmul(torch.matmul(rows, x), columns.T)
