"""Initial weights from (seed, name): the same bytes in every framework, whatever the order in which they are made."""

import hashlib

import numpy as np

from shared.network.graph import Graph

Weights = dict[str, np.ndarray]  # name -> float32 array, C-contiguous


def initial_weights(graph: Graph, seed: int = 0) -> Weights:
    """The weights that a training starts from, as each node says.

    Random ones are drawn from Philox with the key (seed, first eight bytes of the SHA-256 of the name): one array does not depend
    on another.

    Returns:
        name -> float32 array, in the order of `graph.weight_shapes()`.
    """
    return _weights(graph, seed, is_random=False)


def random_weights(graph: Graph, seed: int = 0) -> Weights:
    """Every array random, mean shifts, biases and silent layers too: no fault can hide behind a zero. For comparisons.

    Arrays that start at other numbers than 0 (mean shifts, the weights of a layer norm) are these plus a small draw, so that
    signals keep their size.
    """
    return _weights(graph, seed, is_random=True)


def _weights(graph: Graph, seed: int, *, is_random: bool) -> Weights:
    weights: Weights = {}
    for node in graph.weighted():
        for part, shape in node.parts().items():
            name = f"{node.owner}.{part}"
            value: np.ndarray | None = node.initial_value(part)
            if name in weights:
                continue
            if value is None or (is_random and not value.any()):
                value = _uniform(name, shape, node.fan_in, seed)
            elif is_random:
                value = value + 0.01 * _uniform(name, shape, node.fan_in, seed)
            weights[name] = np.asarray(value, dtype=np.float32)
    return weights


def _uniform(name: str, shape: tuple[int, ...], fan_in: int, seed: int) -> np.ndarray:
    bound = 1 / np.sqrt(fan_in)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=[seed, int.from_bytes(digest[:8], "little")]))
    return generator.uniform(-bound, bound, shape).astype(np.float32)
