"""What a network costs, read off its Graph: parameters, multiply-accumulates, activation memory, receptive field.

Per-pixel figures are per LR pixel, of a large image: what does not grow with the image (channel attention) is left out of them.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.graph import Graph
from shared.network.primitives import INPUT

FLOAT_BYTES = 4
SIDE = 720  # px; a multiple of every product of strides
Growth = dict[str, tuple[Fraction, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Cost of one network at inference.

    Attributes:
        parameters: numbers in its weights, the frozen mean shift included, dual models not.
        macs_per_pixel: multiply-accumulates per LR pixel (convolutions and resizing).
        activation_bytes_per_pixel: largest sum of float32 activations alive at once, bytes per LR pixel.
        receptive_field: LR px, side of the square that one HR pixel sees, channel attention (which sees all) left out.
    """

    parameters: int
    macs_per_pixel: float
    activation_bytes_per_pixel: float
    receptive_field: int

    def to_json(self) -> dict[str, int | float]:
        """The `cost` block of a spec file."""
        return asdict(self)


def cost(spec: ArchSpec) -> Cost:
    """The cost of an architecture."""
    return graph_cost(build_graph(spec))


def graph_cost(graph: Graph) -> Cost:
    """The cost of a Graph (of its super-resolved output; nodes that only feed earlier outputs count as well)."""
    growth = _growth(graph)
    areas = {name: rows * columns for name, (rows, columns) in growth.items()}
    return Cost(
        parameters=sum(int(np.prod(shape)) for shape in graph.weight_shapes().values()),
        macs_per_pixel=float(sum(areas[node.name] * node.macs for node in graph.nodes)),
        activation_bytes_per_pixel=float(_peak_activations(graph, areas) * FLOAT_BYTES),
        receptive_field=_receptive_field(graph, growth),
    )


def _growth(graph: Graph) -> Growth:
    """Rows and columns of each node's output per LR row and column; 0 for a side that does not grow with the image."""
    small, large = graph.shapes(SIDE, SIDE), graph.shapes(2 * SIDE, 2 * SIDE)
    sides = {name: zip(small[name][1:], large[name][1:], strict=True) for name in small}
    return {name: tuple(Fraction(b - a, SIDE) for a, b in pairs) for name, pairs in sides.items()}


def _peak_activations(graph: Graph, areas: dict[str, Fraction]) -> Fraction:
    """Largest sum of live numbers per LR pixel when each output is freed after its last use (in-place use not assumed)."""
    size = {INPUT: areas[INPUT] * graph.in_channels} | {
        node.name: areas[node.name] * node.channels for node in graph.nodes
    }
    last_use = graph.last_use()
    alive, peak = {INPUT}, Fraction(0)
    for index, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum((size[name] for name in alive), Fraction(0)))
        alive -= {name for name in alive if last_use[name] == index}
    return peak


def _receptive_field(graph: Graph, growth: Growth) -> int:
    """Side in LR px: twice the largest radius, rounded up to whole pixels, plus one."""
    radius = {INPUT: Fraction(0)}  # LR px seen to one side
    for node in graph.nodes:
        rows, _ = growth[node.inputs[0]]
        radius[node.name] = max(radius[name] for name in node.inputs) + (node.radius / rows if rows else 0)
    return 2 * ceil(radius[graph.outputs[-1]]) + 1
