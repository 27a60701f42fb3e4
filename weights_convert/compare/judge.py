"""Two dumps of one network, held against each other node by node, and where to look for the fault.

Three passes, all by node name: the weights that the network holds, bit for bit; the whole network (`output`, `gradient`,
`weights`), which tells the first divergence; every node alone (`isolated …`), which names the guilty ones.

Float64 has one gate. In float32 the passes through the whole network are held against noise: what rounding every node to
float32 does to the reference, and what another thread count or kernel library does to the framework. A pre-activation that
noise can push to the other side of 0 changes gradients by whole terms: if there is one, gradients of the whole network are
shown but not judged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from shared.network.graph import Graph
from shared.network.primitives import INPUT, LeakyRelu, Relu
from weights_convert.compare.case import DType
from weights_convert.compare.dump.record import Arrays, NodeCheck
from weights_convert.compare.limits import EPS, FLOAT64_GATE, largest, scaled_error, weight_sum

Column = Literal["held", "output", "gradient", "weights", "isolated output", "isolated inputs", "isolated weights"]
COLUMNS: tuple[Column, ...] = get_args(Column)
NOISE_FACTOR = 32.0  # between an error that is one and what noise makes; benchmarks/compare has the distribution
KINK_FACTOR = 4.0  # times the noise: pre-activations nearer to 0 may change side
LOOSEST = 1e-2  # no noise excuses more


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One array of two dumps.

    Attributes:
        node: name of the node; of a weight, the node that owns it.
        column: the pass, and which side of it.
        array: the array's name, e.g. `head.0.weight`; "" where the node says all.
        error: scaled; infinite where numbers are missing or not finite.
        limit: largest error of equal networks; infinite where nothing can be said.
    """

    node: str
    column: Column
    array: str = ""
    error: float
    limit: float

    @property
    def agrees(self) -> bool:
        """Within the limit, and finite: a NaN never agrees."""
        return math.isfinite(self.error) and self.error <= self.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """What float32 costs, for each key of a dump: the largest scaled difference among runs that are known to be equal."""

    errors: Mapping[str, float]

    def limit(self, prefix: str, names: Iterable[str]) -> float:
        """Largest error allowed to an array computed after those of `names`."""
        noise = max((self.errors.get(f"{prefix}/{name}", 0.0) for name in names), default=0.0)
        return min(NOISE_FACTOR * max(noise, EPS["float32"]), LOOSEST)


def measure_noise(
    reference: Mapping[str, np.ndarray], pairs: Sequence[tuple[Arrays, Mapping[str, np.ndarray]]]
) -> Noise:
    """Noise of a case, from pairs of dumps that ought to be equal, each scaled by the second."""
    found: dict[str, float] = {}
    for key in reference:
        if key.startswith(("output/", "gradient/", "weight/")):
            errors = [scaled_error(a[key], b[key]) for a, b in pairs if key in a and key in b]
            found[key] = max((error for error in errors if math.isfinite(error)), default=0.0)
    return Noise(errors=found)


def compare_dumps(
    graph: Graph, dump: Arrays, target: Arrays, weights: Mapping[str, np.ndarray], dtype: DType, noise: Noise | None
) -> list[Measurement]:
    """Every measurement of one framework.

    Args:
        graph: the network.
        dump: of the framework.
        target: of what it is held against.
        weights: that the network was given.
        dtype: precision of the framework.
        noise: of float32; None: float64.
    """
    nodes = [INPUT, *(node.name for node in graph.nodes)]
    found = _held(graph, dump, weights, dtype)
    if noise is None:
        limits = dict.fromkeys(("output", "gradient", "weight"), dict.fromkeys([*nodes, *weights], FLOAT64_GATE))
    else:
        limits = _float32_limits(graph, target, noise)
    if f"output/{INPUT}" in dump:
        found += [_chained(dump, target, "output", name, limits["output"][name]) for name in nodes]
        found += [_chained(dump, target, "gradient", name, limits["gradient"][name]) for name in reversed(nodes)]
        sizes = {} if noise is None else _natural_sizes(graph, target)
        found += [
            _weight(dump, target, name, limits["weight"][name], sizes.get(name, 0.0)) for name in graph.weight_shapes()
        ]
    else:
        found += _outputs_alone(graph, dump, target, limits["output"])
    return [*found, *(_isolated(row) for row in dump.rows())]


def _outputs_alone(graph: Graph, dump: Arrays, target: Arrays, limits: Mapping[str, float]) -> list[Measurement]:
    """Of a foreign network: its image decides; nodes it shares a name with tell where a wrong one first went astray."""
    names = [node.name for node in graph.nodes if f"output/{node.name}" in dump]
    found = [_chained(dump, target, "output", name, limits[name]) for name in names]
    is_right = next(item.agrees for item in found if item.node == graph.outputs[-1])
    return [item for item in found if item.agrees or not is_right]


def first_divergence(
    graph: Graph, found: Sequence[Measurement]
) -> tuple[Measurement, Literal["forward", "backward"]] | None:
    """The first node in graph order whose output disagrees; if none, the first gradient, from the output backwards."""
    order = {name: index for index, name in enumerate([INPUT, *(node.name for node in graph.nodes)])}
    wrong = [item for item in found if not item.agrees]
    forward = [item for item in wrong if item.column == "output"]
    if forward:
        return min(forward, key=lambda item: order[item.node]), "forward"
    backward = [item for item in wrong if item.column in ("gradient", "weights")]
    return (max(backward, key=lambda item: order[item.node]), "backward") if backward else None


def blame(graph: Graph, found: Sequence[Measurement]) -> list[Measurement]:
    """One measurement for each guilty node: the input if it differs, else nodes that err alone, else the first divergence."""
    wrong = [item for item in found if not item.agrees]
    inputs = [item for item in wrong if item.node == INPUT and item.column == "output"]
    alone = [item for item in wrong if item.column == "held" or item.column.startswith("isolated")]
    if inputs or alone:
        guilty: dict[str, Measurement] = {}
        for item in inputs or sorted(alone, key=lambda item: COLUMNS.index(item.column)):
            guilty.setdefault(item.node, item)
        order = {name: index for index, name in enumerate([INPUT, *(node.name for node in graph.nodes)])}
        return sorted(guilty.values(), key=lambda item: order[item.node])
    first = first_divergence(graph, found)
    return [] if first is None else [first[0]]


def _held(graph: Graph, dump: Arrays, weights: Mapping[str, np.ndarray], dtype: DType) -> list[Measurement]:
    """Weights must be the given ones to the last bit."""
    names = [name for name in graph.weight_shapes() if f"held/{name}" in dump or f"output/{INPUT}" in dump]
    owners = _owners(graph)
    return [
        Measurement(
            node=owners[name],
            column="held",
            array=name,
            error=_difference(dump, f"held/{name}", weights[name].astype(dtype)),
            limit=0.0,
        )
        for name in names
    ]


def _chained(
    dump: Arrays, target: Arrays, column: Literal["output", "gradient"], name: str, limit: float
) -> Measurement:
    key = f"{column}/{name}"
    error = _difference(dump, key, target[key]) if key in target else 0.0
    return Measurement(node=name, column=column, error=error, limit=limit)


def _weight(dump: Arrays, target: Arrays, name: str, limit: float, size: float) -> Measurement:
    error = _difference(dump, f"weight/{name}", target[f"weight/{name}"], size)
    return Measurement(node=name.rpartition(".")[0], column="weights", array=name, error=error, limit=limit)


def _isolated(row: NodeCheck) -> Measurement:
    column: Column = "isolated output"
    array = "" if row.what == "output" else row.what
    if array:
        column = "isolated inputs" if array.startswith("input ") else "isolated weights"
    return Measurement(node=row.node, column=column, array=array, error=row.error, limit=row.limit)


def _difference(dump: Arrays, key: str, reference: np.ndarray, size: float = 0.0) -> float:
    return scaled_error(dump[key], reference, size) if key in dump else float("inf")


def _natural_sizes(graph: Graph, target: Arrays) -> dict[str, float]:
    """Weight -> what the sum over pixels that is its gradient is made of: where it cancels, float32 has no digits left."""
    sizes: dict[str, float] = {}
    for node in graph.weighted():
        x, seen = target[f"output/{node.inputs[0]}"], target[f"gradient/{node.name}"]
        for name in node.weight_shapes():
            sizes[name] = sizes.get(name, 0.0) + weight_sum(node, name, x, seen)[1]
    return sizes


def _owners(graph: Graph) -> dict[str, str]:
    """Weight -> the first node that uses it."""
    owners: dict[str, str] = {}
    for node in graph.weighted():
        for name in node.weight_shapes():
            owners.setdefault(name, node.name)
    return owners


def _float32_limits(graph: Graph, target: Arrays, noise: Noise) -> dict[str, dict[str, float]]:
    """Limits of the passes through the whole network: noise of all that was computed before, times a factor."""
    nodes = [INPUT, *(node.name for node in graph.nodes)]
    outputs = {name: noise.limit("output", nodes[: index + 1]) for index, name in enumerate(nodes)}
    if has_kinks(graph, target, outputs):
        endless = float("inf")
        return {
            "output": outputs,
            "gradient": dict.fromkeys(nodes, endless),
            "weight": dict.fromkeys(graph.weight_shapes(), endless),
        }
    weights = list(graph.weight_shapes())
    backward = max(noise.limit("gradient", nodes), noise.limit("weight", weights), outputs[nodes[-1]])
    return {"output": outputs, "gradient": dict.fromkeys(nodes, backward), "weight": dict.fromkeys(weights, backward)}


def has_kinks(graph: Graph, values: Arrays, limits: Mapping[str, float]) -> bool:
    """Whether noise may push a pre-activation to the other side of 0.

    Args:
        graph: the network.
        values: outputs of its nodes, `output/NODE`.
        limits: node -> largest error allowed to its output.
    """
    for node in graph.nodes:
        if isinstance(node, Relu | LeakyRelu):
            x = values[f"output/{node.inputs[0]}"]
            radius = limits[node.inputs[0]] * KINK_FACTOR / NOISE_FACTOR * largest(x)
            if float(np.abs(x).min(initial=np.inf)) <= radius:
                return True
    return False
