"""Float64 NumPy executor of a Graph: the oracle that both frameworks are held against. Slow, plain, and independent of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import expit

from shared.network.graph import Graph
from shared.network.primitives import (
    INPUT,
    Add,
    ChannelScale,
    Concat,
    Conv,
    Crop,
    GlobalMean,
    LayerNorm,
    LeakyRelu,
    Multiply,
    PixelShuffle,
    Primitive,
    Relu,
    Resize,
    Scale,
    Sigmoid,
)
from shared.resize import upscaling_matrix

Array = NDArray[np.float64]


def run(graph: Graph, weights: Mapping[str, NDArray[Any]], image: NDArray[Any]) -> dict[str, Array]:
    """Output of every node.

    Args:
        graph: the network.
        weights: name -> array, any float dtype; computed with as float64.
        image: (n, c, h, w) in [0, 1].

    Returns:
        name -> float64 (n, channels, height, width), `input` first, in graph order.
    """
    values: dict[str, Array] = {INPUT: np.asarray(image, dtype=np.float64)}
    for node in graph.nodes:
        values[node.name] = apply(node, [values[name] for name in node.inputs], weights)
    return values


def apply(node: Primitive, inputs: list[Array], weights: Mapping[str, NDArray[Any]]) -> Array:
    """Output of one node, float64, given its inputs.

    Args:
        node: the primitive.
        inputs: float64 arrays (n, c, h, w), one for each of `node.inputs`.
        weights: name -> array; those of the node are used.
    """
    x = inputs[0]
    match node:
        case Conv():
            return _conv(node, x, weights)
        case Add():
            return x + inputs[1]
        case Multiply():
            return x * inputs[1]
        case Concat(axis=axis):
            return np.concatenate(inputs, axis=axis)
        case LayerNorm(owner=owner, eps=eps):
            centred = x - x.mean(axis=1, keepdims=True)
            y = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + eps)
            return np.asarray(y * weights[f"{owner}.weight"] + weights[f"{owner}.bias"], dtype=np.float64)
        case ChannelScale(owner=owner):
            return np.asarray(x * weights[f"{owner}.weight"], dtype=np.float64)
        case Crop(maps=maps, rows=rows, columns=columns):
            return x[:, slice(*maps), slice(*rows), slice(*columns)]
        case Scale(factor=factor):
            return x * factor
        case Relu():
            return np.maximum(x, 0)
        case LeakyRelu(slope=slope):
            return np.where(x > 0, x, slope * x)
        case Sigmoid():
            return np.asarray(expit(x))
        case GlobalMean():
            return np.asarray(np.mean(x, axis=(2, 3), keepdims=True))
        case PixelShuffle(factor=factor):
            return _pixel_shuffle(x, factor)
        case Resize(factor=factor, kernel=kernel):
            tall, wide = (upscaling_matrix(size, factor, kernel) for size in x.shape[2:])
            return np.asarray(np.einsum("yi,ncij,xj->ncyx", tall, x, wide, optimize=True))


def _conv(node: Conv, x: Array, weights: Mapping[str, NDArray[Any]]) -> Array:
    weight = weights[f"{node.owner}.weight"].astype(np.float64)
    pad = node.padding
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, (1, 1, node.kernel, node.kernel))[:, :, :: node.stride, :: node.stride, 0, 0]
    parts = zip(np.split(windows, node.groups, axis=1), np.split(weight, node.groups), strict=True)
    results = [np.tensordot(part, own, axes=((1, 4, 5), (1, 2, 3))) for part, own in parts]
    y: Array = np.concatenate(results, axis=3, dtype=np.float64).transpose(0, 3, 1, 2)
    return y + weights[f"{node.owner}.bias"].astype(np.float64)[:, None, None] if node.bias else y


def _pixel_shuffle(x: Array, factor: int) -> Array:
    n, channels, height, width = x.shape
    cells = x.reshape(n, channels // factor**2, factor, factor, height, width)
    return cells.transpose(0, 1, 4, 2, 5, 3).reshape(n, channels // factor**2, height * factor, width * factor)
