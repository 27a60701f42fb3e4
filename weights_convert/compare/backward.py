"""Gradients of a Graph in float64 NumPy, written out by hand: the oracle of the backward direction.

With y = node(x_1 … x_k; w) and a cotangent R of y's shape, a node's vjp is the gradient of Σ y·R: one array for every input
and every weight. At a kink the subgradient is the frameworks': ReLU 0 at 0, leaky ReLU its slope.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

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
from shared.network.reference import Array, apply
from shared.resize import upscaling_matrix

Weights = Mapping[str, NDArray[np.floating]]
Vjp = tuple[list[Array], dict[str, Array]]  # gradients of the inputs, in order, and of the weights by name


def vjp(node: Primitive, inputs: Sequence[Array], weights: Weights, cotangent: Array) -> Vjp:
    """Gradient of the sum of output times cotangent with respect to the inputs and weights of one node.

    Args:
        node: the primitive.
        inputs: float64 (n, c, h, w), one for each of `node.inputs`.
        weights: name -> array; those of the node are used.
        cotangent: float64, shape of the node's output.
    """
    match node:
        case Conv():
            return _conv(node, inputs[0], weights, cotangent)
        case LayerNorm():
            return _layer_norm(node, inputs[0], weights, cotangent)
        case ChannelScale(owner=owner):
            own = {f"{owner}.weight": _for_channels(cotangent * inputs[0])}
            return [cotangent * weights[f"{owner}.weight"]], own
    return _inputs(node, inputs, cotangent), {}


def gradients(
    graph: Graph,
    weights: Weights,
    values: Mapping[str, Array],
    cotangents: Mapping[str, Array],
    *,
    rounded: bool = False,
) -> Iterator[tuple[str, Array, dict[str, Array]]]:
    """Gradients of a whole network, from the last node to the input.

    Args:
        graph: the network.
        weights: name -> array.
        values: output of every node, `input` included (`shared.network.reference.run`).
        cotangents: node -> array of its shape; the loss is the sum of outputs times cotangents.
        rounded: round each gradient to float32 before it flows on.

    Yields:
        Node, gradient of the loss with respect to its output, and what the node adds to the gradients of its weights (a
        shared weight gets several such terms). `input` comes last; nodes that reach no cotangent are left out.
    """
    waiting = dict(cotangents)
    for node in reversed(graph.nodes):
        cotangent = waiting.pop(node.name, None)
        if cotangent is None:
            continue
        if rounded:
            cotangent = cotangent.astype(np.float32).astype(np.float64)
        inputs, own = vjp(node, [values[name] for name in node.inputs], weights, cotangent)
        for name, gradient in zip(node.inputs, inputs, strict=True):
            waiting[name] = waiting[name] + gradient if name in waiting else gradient
        yield node.name, cotangent, own
    if INPUT in waiting:
        yield INPUT, waiting[INPUT], {}


def _inputs(node: Primitive, inputs: Sequence[Array], cotangent: Array) -> list[Array]:
    """Vjp of a node without weights."""
    x = inputs[0]
    match node:
        case Add():
            return [cotangent, cotangent]
        case Multiply():
            return [_summed(cotangent * inputs[1], x.shape), _summed(cotangent * x, inputs[1].shape)]
        case Concat(axis=axis):
            return np.split(cotangent, np.cumsum([item.shape[axis] for item in inputs])[:-1], axis=axis)
        case Crop(maps=maps, rows=rows, columns=columns):
            gradient = np.zeros_like(x)
            gradient[:, slice(*maps), slice(*rows), slice(*columns)] = cotangent
            return [gradient]
        case Scale(factor=factor):
            return [cotangent * factor]
        case Relu():
            return [np.where(x > 0, cotangent, 0.0)]
        case LeakyRelu(slope=slope):
            return [np.where(x > 0, cotangent, slope * cotangent)]
        case Sigmoid():
            y = apply(node, [x], {})
            return [cotangent * y * (1 - y)]
        case GlobalMean():
            return [np.broadcast_to(cotangent / (x.shape[2] * x.shape[3]), x.shape)]
        case PixelShuffle(factor=factor):
            return [_pixel_unshuffle(cotangent, factor)]
        case Resize(factor=factor, kernel=kernel):
            tall, wide = (upscaling_matrix(size, factor, kernel) for size in x.shape[2:])
            return [tall.T @ cotangent @ wide]
        case _:
            raise NotImplementedError(f"{node.name}: no gradient is written for {type(node).__name__}")


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Gradient of an operand that was broadcast over the pixels."""
    return gradient if gradient.shape == shape else np.asarray(gradient.sum(axis=(2, 3), keepdims=True))


def _pixel_unshuffle(y: Array, factor: int) -> Array:
    n, channels, height, width = y.shape
    cells = y.reshape(n, channels, height // factor, factor, width // factor, factor)
    return cells.transpose(0, 1, 3, 5, 2, 4).reshape(n, channels * factor**2, height // factor, width // factor)


def _for_channels(terms: Array) -> Array:
    """Sum over images and pixels: (channels, 1, 1)."""
    return np.asarray(terms.sum(axis=(0, 2, 3)))[:, None, None]


def _layer_norm(node: LayerNorm, x: Array, weights: Weights, cotangent: Array) -> Vjp:
    """With u = (x - m) / s, s = √(v + eps), d = R·weight: dx = (d - mean(d) - u · mean(d·u)) / s, means over the channels."""
    centred = x - x.mean(axis=1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=1, keepdims=True) + node.eps)
    u, d = centred / s, cotangent * weights[f"{node.owner}.weight"]
    gradient = (d - d.mean(axis=1, keepdims=True) - u * (d * u).mean(axis=1, keepdims=True)) / s
    sums = {"weight": cotangent * u, "bias": cotangent}
    return [gradient], {f"{node.owner}.{part}": _for_channels(terms) for part, terms in sums.items()}


def _conv(node: Conv, x: Array, weights: Weights, cotangent: Array) -> Vjp:
    """Group by group."""
    weight = np.asarray(weights[f"{node.owner}.weight"], dtype=np.float64)
    parts = [np.split(array, node.groups, axis) for array, axis in ((x, 1), (weight, 0), (cotangent, 1))]
    found = [_one_group(node, *part) for part in zip(*parts, strict=True)]
    own = {f"{node.owner}.weight": np.concatenate([weight_gradient for _, weight_gradient in found])}
    if node.bias:
        own[f"{node.owner}.bias"] = np.asarray(cotangent.sum(axis=(0, 2, 3)))
    return [np.concatenate([gradient for gradient, _ in found], axis=1)], own


def _one_group(node: Conv, x: Array, weight: Array, cotangent: Array) -> tuple[Array, Array]:
    """Gradients of the input and of the weight."""
    pad, stride, kernel = node.padding, node.stride, node.kernel
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, (1, 1, kernel, kernel))[:, :, ::stride, ::stride, 0, 0]
    weight_gradient = np.asarray(np.tensordot(cotangent, windows, axes=((0, 2, 3), (0, 2, 3))), dtype=np.float64)
    gradient = np.zeros_like(padded)
    rows, columns = ((size - 1) * stride + 1 for size in cotangent.shape[2:])
    for i, j in np.ndindex(kernel, kernel):
        term = np.tensordot(weight[:, :, i, j], cotangent, axes=(0, 1)).swapaxes(0, 1)
        gradient[:, :, i : i + rows : stride, j : j + columns : stride] += term
    return gradient[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], weight_gradient
