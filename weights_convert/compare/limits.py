"""Scaled errors, and how large they may be.

    error = max|a - r| / max|r|       absolute where r is 0; infinite where a number is not finite or shapes differ

Float64: one gate. Float32: an isolated node is held against float64 on the same float32 inputs, its error scaled by what its sums
are made of (natural size), since a sum that cancels has no digits of its own; the limit rises with the root of the number
of terms.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.network.primitives import Conv, GlobalMean, LayerNorm, Multiply, Primitive
from weights_convert.compare.case import DType

FLOAT64_GATE = 1e-12
FLOAT32_ISOLATED = (
    5e-6  # of one node; kernels that add one after another come near it at TERMS (reference measurements)
)
TERMS = 4 * 60 * 60
FLOAT32_LOSS = 1e-6  # of the loss, relative, over a training at a rate of 1e-4
FLOAT32_DRIFT = 1e-4  # of weights after a training: beyond it no rounding explains them

Array = NDArray[np.floating]
EPS = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}


def scaled_error(value: Array, reference: Array, size: float = 0.0) -> float:
    """max|value - reference| / max(max|reference|, size); absolute where that is 0; infinite where a number is not finite.

    Args:
        value: the array to judge.
        reference: the right one.
        size: smallest number to divide by.
    """
    if value.shape != reference.shape or not (np.isfinite(value).all() and np.isfinite(reference).all()):
        return float("inf")
    size = max(size, largest(reference))
    difference = float(np.abs(np.subtract(value, reference, dtype=np.float64)).max(initial=0.0))
    return difference / size if size > 0 else difference


def largest(array: Array) -> float:
    """max|x|, 0 of nothing."""
    return float(np.abs(array).max(initial=0.0))


def isolated_limit(terms: int, dtype: DType) -> float:
    """Largest error of an isolated node whose sums have so many terms."""
    return FLOAT64_GATE if dtype == "float64" else FLOAT32_ISOLATED * max(1.0, float(np.sqrt(terms / TERMS)))


def output_sum(node: Primitive, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[int, float]:
    """Terms in a sum of the node's output, and its natural size; 1 and 0 for nodes that add nothing up.

    Args:
        node: the primitive.
        inputs: arrays (n, c, h, w) that it reads.
        weights: name -> array.
    """
    match node:
        case Conv():
            weight = weights[f"{node.owner}.weight"]
            return weight[0].size, _norm(weight, 0) * _rms(inputs[0])
        case LayerNorm():
            _, cancelled = _layer_norm_sizes(node, inputs[0])
            return node.channels, cancelled * largest(weights[f"{node.owner}.weight"])
        case GlobalMean():
            return inputs[0][0, 0].size, _rms(inputs[0])
        case _:
            return 1, 0.0


def input_sum(
    node: Primitive, position: int, inputs: Sequence[Array], weights: Mapping[str, Array], cotangent: Array
) -> tuple[int, float]:
    """The same of the gradient of one input.

    Args:
        node: the primitive.
        position: of the input.
        inputs: arrays (n, c, h, w) that it reads.
        weights: name -> array.
        cotangent: of the output.
    """
    match node:
        case Conv():
            weight = weights[f"{node.owner}.weight"]
            grouped = weight.reshape(node.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
            size = _norm(grouped.reshape(node.in_channels, -1), 0) * _rms(cotangent)
            return weight[:, 0].size // node.groups, size
        case LayerNorm():
            slope, cancelled = _layer_norm_sizes(node, inputs[0])
            return node.channels, slope * cancelled * largest(weights[f"{node.owner}.weight"]) * _rms(cotangent)
        case Multiply() if inputs[position].shape != cotangent.shape:
            pixels = cotangent[0, 0].size
            return pixels, float(np.sqrt(pixels)) * _rms(cotangent) * _rms(inputs[1 - position])
        case _:
            return 1, 0.0


def weight_sum(node: Primitive, name: str, x: Array, cotangent: Array) -> tuple[int, float]:
    """The same of the gradient of a weight array.

    Args:
        node: with weights.
        name: of the array.
        x: the node's input.
        cotangent: of the output.
    """
    size = _norm(cotangent, 1)
    if not name.endswith(".bias"):
        size *= _layer_norm_sizes(node, x)[1] if isinstance(node, LayerNorm) else _rms(x)
    return cotangent[:, 0].size, size


def _layer_norm_sizes(node: LayerNorm, x: Array) -> tuple[float, float]:
    """Largest 1/s, and largest |x|/s of a pixel, s = √(variance + eps): how much the subtraction of the mean cancels.

    Needed: at |mean| = 100 s a float32 layer norm, Torch's own too, errs by 5 (output) and 12 (input gradient) times the limit
    without it, by 0.04 of the limit with it; eps 1e-5 for 1e-6 is still beyond the limit at |mean| = s.
    """
    exact = np.asarray(x, dtype=np.float64)
    s = np.sqrt(exact.var(axis=1) + node.eps)
    return float((1 / s).max()), float((np.sqrt((exact**2).mean(axis=1)) / s).max())


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def _norm(array: Array, axis: int) -> float:
    """Largest Euclidean norm of a slice across `axis`."""
    others = tuple(index for index in range(array.ndim) if index != axis)
    return float(np.sqrt(np.square(array, dtype=np.float64).sum(axis=others).max(initial=0.0)))
