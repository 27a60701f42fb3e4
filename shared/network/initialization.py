"""First weights from (seed, name): the same bytes in every framework, whatever the order in which they are made."""

import hashlib

import numpy as np

from shared.network.graph import Affine, Conv, Graph

Weights = dict[str, np.ndarray]  # name -> float32 array, C-contiguous


def initial_weights(graph: Graph, seed: int = 0) -> Weights:
    """The weights a training starts from, as each node's `initial` says.

    "uniform" is PyTorch's default for convolutions, weight and bias in ±1/√(in_channels·kernel²), drawn from Philox with key
    (seed, first eight bytes of the SHA-256 of the name): one array does not depend on another.

    Returns:
        name -> float32 array, in the order of `graph.weight_shapes()`.
    """
    weights: Weights = {}
    for conv in graph.convs():
        for name, shape in _shapes(conv).items():
            weights.setdefault(name, _initial(conv, name, shape, seed))
    return weights


def random_weights(graph: Graph, seed: int = 0) -> Weights:
    """Every array drawn like "uniform", mean shifts, biases and silent layers too: no fault can hide behind a zero.

    For comparisons. A mean shift is its own affine map plus a small draw, so that signals keep their size.
    """
    weights: Weights = {}
    for conv in graph.convs():
        for name, shape in _shapes(conv).items():
            draw = _uniform(conv, name, shape, seed)
            base = _initial(conv, name, shape, seed) if isinstance(conv.initial, Affine) else 0
            scale = 0.01 if isinstance(conv.initial, Affine) else 1.0
            weights.setdefault(name, np.asarray(base + scale * draw, dtype=np.float32))
    return weights


def _shapes(conv: Conv) -> dict[str, tuple[int, ...]]:
    return Graph(nodes=(conv,), outputs=(conv.name,)).weight_shapes()


def _initial(conv: Conv, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    match conv.initial:
        case "uniform":
            return _uniform(conv, name, shape, seed)
        case "zero":
            return np.zeros(shape, dtype=np.float32)
        case Affine(offset=offset):
            identity = np.eye(conv.channels, dtype=np.float32).reshape(conv.channels, conv.channels, 1, 1)
            return identity if name.endswith(".weight") else np.asarray(offset, dtype=np.float32)


def _uniform(conv: Conv, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    bound = 1 / np.sqrt(conv.in_channels * conv.kernel**2)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=[seed, int.from_bytes(digest[:8], "little")]))
    return generator.uniform(-bound, bound, shape).astype(np.float32)
