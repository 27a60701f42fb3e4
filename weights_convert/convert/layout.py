"""How the frameworks lay out a primitive's arrays: one rule a primitive.

Our own files hold Torch's layout. The only primitive with weights is the convolution, which both frameworks keep as
(out, in, kh, kw) and (out,), so its rule is the identity. A primitive without a rule is refused: a square matrix in the wrong
layout would load silently.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph, dual_graphs
from shared.network.graph import Graph
from shared.network.primitives import Conv, Node

Framework = Literal["torch", "paddle"]
Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Array of our own layout -> a framework's, and back."""

    to: Mapping[Framework, Transform]
    back: Mapping[Framework, Transform]


def same(array: np.ndarray) -> np.ndarray:
    """The array as it is."""
    return array


IDENTITY = Layout(to={"torch": same, "paddle": same}, back={"torch": same, "paddle": same})
LAYOUTS: Mapping[type[Node], Layout] = {Conv: IDENTITY}


def network_layouts(spec: ArchSpec) -> dict[str, Layout]:
    """The rule of every array of a network and its dual models (`dual.{i}.` before the names)."""
    graphs = {"": build_graph(spec)} | {f"dual.{index}.": graph for index, graph in enumerate(dual_graphs(spec))}
    return {f"{prefix}{name}": rule for prefix, graph in graphs.items() for name, rule in layouts(graph).items()}


def layouts(graph: Graph) -> dict[str, Layout]:
    """The rule of every array of a Graph; a primitive with weights and without a rule is a mistake of ours."""
    return {
        name: LAYOUTS[type(node)]
        for node in graph.nodes
        for name in Graph(nodes=(node,), outputs=(node.name,)).weight_shapes()
    }
