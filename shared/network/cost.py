"""What a network costs, read off its Graph: parameters, multiply-accumulates, activation memory, receptive field.

Per-pixel figures are per LR pixel, of a large image: what does not grow with the image (channel attention) is left out of them.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.graph import INPUT, Concat, Conv, Crop, GlobalMean, Graph, Node, PixelShuffle, Resize, Span

FLOAT_BYTES = 4


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
    areas = _areas(graph)
    return Cost(
        parameters=sum(int(np.prod(shape)) for shape in graph.weight_shapes().values()),
        macs_per_pixel=float(sum(_macs(node, areas) for node in graph.nodes)),
        activation_bytes_per_pixel=float(_peak_activations(graph, areas) * FLOAT_BYTES),
        receptive_field=_receptive_field(graph),
    )


def _areas(graph: Graph) -> dict[str, Fraction]:
    """Pixels of each node's output per LR pixel; 0 for what does not grow with the image in both directions."""
    areas: dict[str, Fraction] = {INPUT: Fraction(1)}
    for node in graph.nodes:
        area = areas[node.inputs[0]]
        match node:
            case Conv(stride=stride):
                area = area / stride**2
            case PixelShuffle(factor=factor) | Resize(factor=factor):
                area = area * factor**2
            case GlobalMean():
                area = Fraction(0)
            case Crop(rows=rows, columns=columns) if _is_strip(rows) or _is_strip(columns):
                area = Fraction(0)
            case Concat(axis=2 | 3):
                area = sum((areas[name] for name in node.inputs), Fraction(0))
        areas[node.name] = area
    return areas


def _is_strip(span: Span) -> bool:
    """Whether a slice of a side keeps its length when the side grows."""
    start, stop = span
    return start < 0 or (stop is not None and stop >= 0)


def _macs(node: Node, areas: dict[str, Fraction]) -> Fraction:
    match node:
        case Conv(channels=channels, in_channels=in_channels, kernel=kernel):
            return areas[node.name] * channels * in_channels * kernel**2
        case Resize(channels=channels, factor=factor):  # four taps along the height, then four along the width
            return areas[node.inputs[0]] * channels * 4 * (factor + factor**2)
        case _:
            return Fraction(0)


def _peak_activations(graph: Graph, areas: dict[str, Fraction]) -> Fraction:
    """Largest sum of live numbers per LR pixel when each output is freed after its last use (in-place use not assumed)."""
    size = {INPUT: areas[INPUT] * graph.in_channels} | {
        node.name: areas[node.name] * node.channels for node in graph.nodes
    }
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in (*node.inputs, node.name)}
    last_use |= {name: len(graph.nodes) for name in graph.outputs}
    alive, peak = {INPUT}, Fraction(0)
    for index, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum((size[name] for name in alive), Fraction(0)))
        alive -= {name for name in alive if last_use[name] == index}
    return peak


def _receptive_field(graph: Graph) -> int:
    """Side in LR px: twice the largest reach to one side, rounded up to whole pixels, plus one."""
    reach, step = {INPUT: Fraction(0)}, {INPUT: Fraction(1)}  # LR px seen to one side; LR px between two neighbours
    for node in graph.nodes:
        before = max(reach[name] for name in node.inputs)
        spacing = step[node.inputs[0]]
        added, spacing = _grow(node, spacing)
        reach[node.name], step[node.name] = before + added, spacing
    half = reach[graph.outputs[-1]]
    return 2 * int(-(-half // 1)) + 1


def _grow(node: Node, spacing: Fraction) -> tuple[Fraction, Fraction]:
    """Reach that a node adds, and the spacing of its output, both in LR px."""
    match node:
        case Conv(kernel=kernel, stride=stride):
            return spacing * (kernel // 2), spacing * stride
        case PixelShuffle(factor=factor):
            return Fraction(0), spacing / factor
        case Resize(factor=factor):
            return spacing * 2, spacing / factor
        case _:
            return Fraction(0), spacing
