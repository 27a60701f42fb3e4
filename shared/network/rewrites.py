"""Faster graphs that compute the same: Graph and weights -> Graph and weights, equal to rounding. For inference alone.

The Graph of a family stays the definition; a rule looks for a form that it proves to be replaceable, whatever the family:

    collapse   an affine end such as convolution-shuffle-convolution-shuffle-convolution becomes one convolution before one
               shuffle, with kernels of their own for the outermost pixels (shared/network/linear_chains.py)
    stencils   upscaling as two dense products becomes a convolution of the few pixels that count, and a shuffle
    join       a sum of two shuffled images becomes the shuffle of their sum
    fold       constants and 1x1 convolutions go into the neighbouring convolution. A mean shift before a padded convolution
               stays: its zeros outside the image are not shifted
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.network.graph import Graph, GraphBuilder
from shared.network.linear_chains import PLACES, Chain, Place, is_affine, kernel_at, longest_saving
from shared.network.primitives import (
    EVERYTHING,
    INPUT,
    Add,
    Conv,
    PixelShuffle,
    Primitive,
    Resize,
    Scale,
    Span,
    Weighted,
)
from shared.resize import upscaling_matrix

RADIUS = 2  # px that the cubic sees to one side
ROWS = {-1: "top", 0: "inside", 1: "bottom"}
COLUMNS = {-1: "left", 0: "inside", 1: "right"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """A graph with its weights.

    Attributes:
        graph: one output.
        weights: name -> array, exactly the graph's.
        least_side: px; an image with a shorter side has to go through the original.
    """

    graph: Graph
    weights: dict[str, NDArray[Any]]
    least_side: int = 1


def faster(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> Rewritten:
    """All rules, for the super-resolved output.

    Args:
        graph: any network.
        weights: name -> array; others than the graph's are left out. Computed with in float64, given back in their dtype.
    """
    return fold(join(stencils(collapse(own(graph.inference(), weights)))))


def collapse(net: Rewritten) -> Rewritten:
    """Every affine run becomes one convolution and one shuffle where that is cheaper."""
    channels = {INPUT: net.graph.in_channels} | {node.name: node.channels for node in net.graph.nodes}
    for run in _affine_runs(net.graph):
        chain = longest_saving(run, channels)
        net = net if chain is None else _replace_chain(net, chain)
    return net


def stencils(net: Rewritten) -> Rewritten:
    """Every upscaling becomes a convolution and a shuffle."""
    for node in net.graph.nodes:
        if isinstance(node, Resize) and (stencil := _stencil(node)) is not None:
            net = _replace_resize(net, node, *stencil)
    return net


def join(net: Rewritten) -> Rewritten:
    """shuffle(a) + shuffle(b) -> shuffle(a + b)."""
    nodes, readers = {node.name: node for node in net.graph.nodes}, _readers(net.graph)
    for node in net.graph.nodes:
        parts = [nodes.get(name) for name in node.inputs]
        match node, parts:
            case Add(), [PixelShuffle() as a, PixelShuffle() as b] if a.factor == b.factor and a.name != b.name:
                if readers[a.name] == readers[b.name] == 1:
                    net = _replace_sum(net, node, a, b)
    return net


def fold(net: Rewritten) -> Rewritten:
    """Constants and 1x1 convolutions into the neighbouring convolution, where that is exact."""
    while (pair := next(_foldable(net.graph), None)) is not None:
        net = _fold_pair(net, *pair)
    return net


def own(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> Rewritten:
    """The network with arrays for every node under its own name, shared ones too."""
    nodes = tuple(replace(node, weights="") if isinstance(node, Weighted) else node for node in graph.nodes)
    arrays = {
        f"{node.name}.{part}": weights[f"{node.owner}.{part}"] for node in graph.weighted() for part in node.parts()
    }
    return Rewritten(graph=replace(graph, nodes=nodes), weights=arrays)


def _rebuilt(graph: Graph, removed: set[str], last: str, build: Callable[[GraphBuilder], object]) -> Graph:
    """The graph without some nodes; where the last of them stood, what `build` adds: a node of that name at its end."""
    g = GraphBuilder(graph.in_channels)
    for node in graph.nodes:
        if node.name == last:
            build(g)
        elif node.name not in removed:
            g.copy(node)
    return g.graph(*graph.outputs)


def _with(net: Rewritten, graph: Graph, arrays: Mapping[str, NDArray[Any]], *, least_side: int = 1) -> Rewritten:
    """Another graph with the weights that it needs, in the dtype of the old ones."""
    dtype = np.result_type(*net.weights.values())
    there = {**net.weights, **{name: array.astype(dtype) for name, array in arrays.items()}}
    weights = {name: there[name] for name in graph.weight_shapes()}
    return Rewritten(graph=graph, weights=weights, least_side=max(least_side, net.least_side))


def _least_side(graph: Graph, name: str, px: int) -> int:
    """Side of the image at which a node has that many pixels a side."""
    return next(side for side in count(1) if min(graph.shapes(side, side)[name][1:]) >= px)


def _readers(graph: Graph) -> Counter[str]:
    """How many nodes, or outputs of the graph, read a node."""
    return Counter([name for node in graph.nodes for name in node.inputs] + list(graph.outputs))


def _affine_runs(graph: Graph) -> list[list[Primitive]]:
    """Runs of affine nodes, each the only reader of the one before; as long as possible."""
    readers, runs = _readers(graph), dict[str, list[Primitive]]()
    for node in graph.nodes:
        if is_affine(node):
            before = runs.pop(node.inputs[0], []) if readers[node.inputs[0]] == 1 else []
            runs[node.name] = [*before, node]
    return list(runs.values())


def _replace_chain(net: Rewritten, chain: Chain) -> Rewritten:
    """The shuffle takes the name of the chain's last node; convolutions are called after it and their place."""
    last, source = chain.nodes[-1].name, chain.nodes[0].inputs[0]
    places = PLACES if chain.rim else ((0, 0),)
    kernels = {f"{last}.{ROWS[y]}_{COLUMNS[x]}": kernel_at(chain, net.weights, (y, x)) for y, x in places}

    def build(g: GraphBuilder) -> None:
        parts = {place: _at_place(g, name, chain, place) for place, name in zip(places, kernels, strict=True)}
        cells = parts[0, 0]
        if chain.rim:
            rows = [g.concat(f"{last}.{ROWS[y]}", *(parts[y, x] for x in COLUMNS), axis=3) for y in ROWS]
            cells = g.concat(f"{last}.rows", *rows, axis=2)
        g.pixel_shuffle(last, cells, chain.factor)

    graph = _rebuilt(net.graph, {node.name for node in chain.nodes}, last, build)
    arrays = {f"{name}.weight": kernel for name, (kernel, _) in kernels.items()}
    arrays |= {f"{name}.bias": constant for name, (_, constant) in kernels.items()}
    least = _least_side(net.graph, source, chain.radius + 1) if chain.rim else 1
    return _with(net, graph, arrays, least_side=least)


def _at_place(g: GraphBuilder, name: str, chain: Chain, place: Place) -> str:
    """Adds the convolution of one place: the inside, a border without its corners, or a corner."""
    source, side = chain.nodes[0].inputs[0], 2 * chain.radius + 1
    cells = chain.nodes[-1].channels * chain.factor**2
    if place == (0, 0):
        return g.conv(name, source, cells, side, padding=chain.radius - chain.rim)
    strip: dict[int, Span] = {-1: (0, chain.radius + 1), 0: EVERYTHING, 1: (-chain.radius - 1, None)}
    border: dict[int, Span] = {-1: (0, 1), 0: (1, -1), 1: (-1, None)}
    y, x = place
    region = g.crop(f"{name}.strip", source, rows=strip[y], columns=strip[x])
    return g.crop(f"{name}.border", g.conv(name, region, cells, side), rows=border[y], columns=border[x])


def _stencil(node: Resize) -> tuple[NDArray[np.float64], bool] | None:
    """Weights (factor, 2·RADIUS+1) of the pixels around each, and whether the edge is mirrored or repeated; None: other."""
    size, factor = 4 * RADIUS, node.factor
    matrix = upscaling_matrix(size, factor, node.kernel)
    weights = matrix[factor * RADIUS : factor * (RADIUS + 1), : 2 * RADIUS + 1]
    for mirrored in (True, False):
        padded = np.pad(np.eye(size), ((RADIUS, RADIUS), (0, 0)), mode="symmetric" if mirrored else "edge")
        again = np.concatenate([weights @ padded[y : y + 2 * RADIUS + 1] for y in range(size)])
        if np.abs(again - matrix).max() <= 1e-15 * size:
            return weights, mirrored
    return None


def _replace_resize(net: Rewritten, node: Resize, weights: NDArray[np.float64], mirrored: bool) -> Rewritten:
    channels, factor, side = node.channels, node.factor, 2 * RADIUS + 1
    kernel = np.zeros((channels, factor, factor, channels, side, side))
    kernel[range(channels), :, :, range(channels)] = np.einsum("iy,jx->ijyx", weights, weights)
    arrays = {f"{node.name}.stencil.weight": kernel.reshape(-1, channels, side, side)}

    def build(g: GraphBuilder) -> None:
        x = _padded(g, f"{node.name}.rows", node.inputs[0], "rows", mirrored)
        x = _padded(g, f"{node.name}.columns", x, "columns", mirrored)
        x = g.conv(f"{node.name}.stencil", x, channels * factor**2, side, padding=0, bias=False)
        g.pixel_shuffle(node.name, x, factor)

    least = _least_side(net.graph, node.inputs[0], RADIUS)
    return _with(net, _rebuilt(net.graph, {node.name}, node.name, build), arrays, least_side=least)


def _padded(g: GraphBuilder, name: str, x: str, side: str, mirrored: bool) -> str:
    """RADIUS more rows or columns at both ends."""
    near = [min(i, RADIUS - 1) if mirrored else 0 for i in reversed(range(RADIUS))]
    spans: list[Span] = [(i, i + 1) for i in near] + [(-1 - i, -i or None) for i in reversed(near)]
    edges = [g.crop(f"{name}.{i}", x, **{side: span}) for i, span in enumerate(spans)]
    return g.concat(name, *edges[:RADIUS], x, *edges[RADIUS:], axis=2 if side == "rows" else 3)


def _replace_sum(net: Rewritten, node: Add, a: PixelShuffle, b: PixelShuffle) -> Rewritten:
    def build(g: GraphBuilder) -> None:
        g.pixel_shuffle(node.name, g.add(f"{node.name}.cells", a.inputs[0], b.inputs[0]), a.factor)

    return _with(net, _rebuilt(net.graph, {node.name, a.name, b.name}, node.name, build), {})


def _foldable(graph: Graph) -> Iterator[tuple[Primitive, Primitive]]:
    """Neighbours of which one can take in the other exactly."""
    nodes, readers = {node.name: node for node in graph.nodes}, _readers(graph)
    for second in graph.nodes:
        first = nodes.get(second.inputs[0])
        if first is None or readers[first.name] != 1:
            continue
        match first, second:
            case (Scale(), Conv(groups=1)) | (Conv(groups=1), Scale()):
                yield first, second
            case Conv(groups=1), Conv(groups=1, kernel=1, stride=1, padding=0):
                yield first, second
            case Conv(groups=1, kernel=1, stride=1, padding=0, bias=bias), Conv(groups=1, padding=padding):
                if not (bias and padding):
                    yield first, second


def _fold_pair(net: Rewritten, first: Primitive, second: Primitive) -> Rewritten:
    """Two nodes become one convolution, under the name of the second."""
    a, bias_a = _matrices(net, first)
    b, bias_b = _matrices(net, second)
    body = second if isinstance(first, Scale) or (isinstance(second, Conv) and second.kernel > 1) else first
    assert isinstance(body, Conv)
    conv = replace(body, name=second.name, inputs=first.inputs, channels=len(b), in_channels=a.shape[1], bias=True)
    weight = np.einsum("omyx,miuv->oiyxuv", b, a).reshape(len(b), a.shape[1], body.kernel, body.kernel)
    arrays = {f"{second.name}.weight": weight, f"{second.name}.bias": bias_b + b.sum((2, 3)) @ bias_a}
    graph = _rebuilt(net.graph, {first.name, second.name}, second.name, lambda g: g.copy(conv))
    return _with(net, graph, arrays)


def _matrices(net: Rewritten, node: Primitive) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias of a convolution, or of the 1x1 convolution that a constant is; float64."""
    if isinstance(node, Scale):
        return node.factor * np.eye(node.channels)[:, :, None, None], np.zeros(node.channels)
    assert isinstance(node, Conv)
    bias = net.weights[f"{node.owner}.bias"] if node.bias else np.zeros(node.channels)
    return net.weights[f"{node.owner}.weight"].astype(np.float64), bias.astype(np.float64)
