"""Dumps of the float64 NumPy reference, with the keys of any other dump.

`rounded` is a control: each node's output, and each gradient that flows back, is rounded to float32. It tells what float32
costs this network on this image, and no fault of a framework can reach it.
"""

from pathlib import Path

import h5py
import numpy as np

from shared.network.families import build_graph
from shared.network.primitives import INPUT
from shared.network.reference import Array, apply
from weights_convert.compare.backward import gradients
from weights_convert.compare.case import Case
from weights_convert.compare.dump.record import Arrays, Outputs


def dump_outputs(case: Case, path: Path, *, rounded: bool = False) -> None:
    """Write `output/NODE` of every node.

    Args:
        case: what is computed.
        path: of the dump.
        rounded: round the output of each node to float32.
    """
    graph = build_graph(case.spec)
    last = graph.last_use()
    values: dict[str, Array] = {INPUT: np.asarray(case.image, dtype=np.float64)}
    with h5py.File(path, "w") as file:
        file[f"output/{INPUT}"] = values[INPUT]
        for place, node in enumerate(graph.nodes):
            values[node.name] = _kept(apply(node, [values[name] for name in node.inputs], case.weights), rounded)
            file[f"output/{node.name}"] = values[node.name]
            for name in {name for name in node.inputs if last[name] == place}:
                del values[name]


def dump_gradients(case: Case, outputs: Path, path: Path, *, rounded: bool = False) -> None:
    """Write `gradient/NODE` and `weight/NAME`, given the file of `dump_outputs`.

    Args:
        case: what is computed.
        outputs: file of `dump_outputs`.
        path: of the dump.
        rounded: round each gradient to float32.
    """
    graph = build_graph(case.spec)
    cotangents = {
        name: np.asarray(array, dtype=np.float64) for name, array in zip(graph.outputs, case.cotangents, strict=True)
    }
    weights: dict[str, Array] = {}
    with Arrays(outputs) as dump, h5py.File(path, "w") as file:
        for name, gradient, own in gradients(graph, case.weights, Outputs(dump), cotangents, rounded=rounded):
            file[f"gradient/{name}"] = gradient
            for key, array in own.items():
                weights[key] = weights[key] + array if key in weights else array
        for key, array in weights.items():
            file[f"weight/{key}"] = array


def _kept(value: Array, rounded: bool) -> Array:
    return value.astype(np.float32).astype(np.float64) if rounded else value
