"""The isolated pass, the part that knows no framework: one node, the reference's inputs, a random cotangent, judged at once.

It is judged where it runs, node by node: dumps of it would be larger than those of the whole network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.network.primitives import Primitive
from shared.network.reference import Array, apply
from weights_convert.compare.backward import vjp
from weights_convert.compare.case import DType, cotangent
from weights_convert.compare.dump.record import NodeCheck
from weights_convert.compare.limits import input_sum, isolated_limit, output_sum, scaled_error, weight_sum

SEED = 1  # of the cotangents


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolated:
    """What a framework gave for a node on its own.

    Attributes:
        output: of the node.
        inputs: gradient of each input, in order; None: no gradient arrived.
        weights: gradient of each weight by name; None: no gradient arrived.
    """

    output: np.ndarray
    inputs: Sequence[np.ndarray | None]
    weights: Mapping[str, np.ndarray | None]


def cotangent_of(node: Primitive, shape: tuple[int, ...]) -> np.ndarray:
    """The node's cotangent, float32."""
    return cotangent(node.name, shape, SEED)


def judge(
    node: Primitive, inputs: Sequence[np.ndarray], weights: Mapping[str, np.ndarray], found: Isolated, dtype: DType
) -> list[NodeCheck]:
    """Errors and limits of a node's output, of the gradients of its inputs, and of those of its weights.

    Args:
        node: the primitive.
        inputs: what it was fed, in the framework's precision.
        weights: of the network.
        found: what came out.
        dtype: precision of the framework.
    """
    exact = [np.asarray(x, dtype=np.float64) for x in inputs]
    own = {name: np.asarray(weights[name], dtype=np.float64) for name in node.weight_shapes()}
    output = apply(node, exact, own)
    seen = np.asarray(cotangent_of(node, output.shape), dtype=np.float64)
    backward, backward_weights = vjp(node, exact, own, seen)
    rows = [_row(node, "output", found.output, output, output_sum(node, exact, own), dtype)]
    for index, (name, value, reference) in enumerate(zip(node.inputs, found.inputs, backward, strict=True)):
        rows.append(_row(node, f"input {name}", value, reference, input_sum(node, index, exact, own, seen), dtype))
    for name, reference in backward_weights.items():
        rows.append(_row(node, name, found.weights.get(name), reference, weight_sum(node, name, exact[0], seen), dtype))
    return rows


def _row(
    node: Primitive, what: str, value: np.ndarray | None, reference: Array, total: tuple[int, float], dtype: DType
) -> NodeCheck:
    """A gradient that did not arrive counts as zero."""
    terms, size = total
    value = np.zeros_like(reference) if value is None else value
    size = size if dtype == "float32" else 0.0  # float64 has digits to spare
    return NodeCheck(
        node=node.name, what=what, error=scaled_error(value, reference, size), limit=isolated_limit(terms, dtype)
    )
