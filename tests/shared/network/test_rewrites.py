"""Rewritten graphs against the reference executor in float64, over every family and scale; each rule with a control."""

import dataclasses
import itertools

import numpy as np
import pytest

from shared.network.cost import graph_cost
from shared.network.families import FAMILIES, build_graph
from shared.network.graph import Graph, GraphBuilder
from shared.network.initialization import random_weights
from shared.network.linear_chains import Chain
from shared.network.primitives import INPUT, Conv, PixelShuffle, Resize
from shared.network.reference import run
from shared.network.rewrites import collapse, faster, fold, stencils
from shared.network.rewrites import own as as_it_is
from shared.spec import parse

GATE = 1e-12  # scaled; 2e-15 is measured
SPECS = [
    pytest.param(spec, id=f"{spec.family}-{place}-x{scale}-{skip}")
    for family, scale, skip in itertools.product(FAMILIES, (2, 3, 4), ("none", "bicubic"))
    for place, spec in enumerate(family.example_specs(scale, image_skip=skip))
]


def weights_of(graph: Graph, seed: int = 1) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float64) for name, array in random_weights(graph, seed).items()}


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height + 100 * width).uniform(0, 1, (2, channels, height, width))


def difference(graph: Graph, weights: dict, other: Graph, other_weights: dict, x: np.ndarray) -> float:
    expected, got = run(graph, weights, x)[graph.outputs[-1]], run(other, other_weights, x)[other.outputs[-1]]
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def convs_after_shuffles(graph: Graph) -> list[Conv]:
    """What the rules are made for: a convolution that reads a pixel shuffle."""
    shuffles = {node.name for node in graph.nodes if isinstance(node, PixelShuffle)}
    return [node for node in graph.nodes if isinstance(node, Conv) and node.inputs[0] in shuffles]


@pytest.mark.parametrize("spec", SPECS)
def test_rewritten_networks_equal_their_definition(spec):
    graph = build_graph(spec)
    weights = weights_of(graph)
    fast = faster(graph, weights)
    side = fast.least_side
    for height, width in ((side, side), (side, side + 5), (side + 1, side), (6, 5), (9, 12)):
        assert difference(graph, weights, fast.graph, fast.weights, image(height, width)) <= GATE
    if convs_after_shuffles(graph):
        collapsed = collapse(as_it_is(graph.inference(), weights)).graph
        assert graph_cost(collapsed).macs_per_pixel < graph_cost(graph.inference()).macs_per_pixel


@pytest.mark.parametrize("spec", SPECS)
def test_a_rim_that_is_not_corrected_would_be_seen(spec):
    """Known-wrong control: the inner kernel up to the border. Chains of 1x1 convolutions have no rim, and stay equal."""
    graph = build_graph(spec)
    weights = weights_of(graph)
    net = collapse(as_it_is(graph.inference(), weights))
    shapes, wrong = net.graph.shapes(9, 9), dict(net.weights)
    for conv in net.graph.weighted():
        for place in ("top_left", "top_inside", "bottom_right", "inside_right"):
            if conv.name.endswith(f".{place}"):
                inner = conv.name.removesuffix(place) + "inside_inside"
                wrong |= {f"{conv.name}.{part}": net.weights[f"{inner}.{part}"] for part in ("weight", "bias")}
    has_rim = any(node.name.endswith(".top_left") for node in net.graph.nodes)
    assert has_rim == any(conv.radius for conv in convs_after_shuffles(graph))
    assert (difference(graph, weights, net.graph, wrong, image(9, 9)) > 1e-4) == has_rim
    assert shapes[net.graph.outputs[-1]] == (3, 9 * spec.scale, 9 * spec.scale)


def tail(g: GraphBuilder, *, between: str | None = None) -> str:
    """An upsampler at x2, and what stands in its middle."""
    x = g.relu("body", g.conv("head", INPUT, 8))
    x = g.conv("up", x, 32)
    x = g.relu("middle", x) if between == "relu" else x
    x = g.pixel_shuffle("shuffle", x, 2)
    return g.conv("last", x, 3)


def test_an_activation_in_the_upsampler_is_left_alone():
    g = GraphBuilder()
    graph = g.graph(tail(g, between="relu"))
    net = collapse(as_it_is(graph, weights_of(graph)))
    assert net.graph == graph


def test_a_second_reader_in_the_upsampler_is_left_alone():
    g = GraphBuilder()
    x = tail(g)
    y = g.pixel_shuffle("other", "up", 2)
    graph = g.graph(g.add("sum", x, g.conv("last.other", y, 3)))
    weights = weights_of(graph)
    net = collapse(as_it_is(graph, weights))
    assert "up" in {node.name for node in net.graph.nodes}
    assert difference(graph, weights, net.graph, net.weights, image(7, 8)) <= GATE


def test_a_wide_rim_is_left_alone():
    """A 7x7 last convolution at x2 concerns two pixels at the border."""
    g = GraphBuilder()
    x = g.pixel_shuffle("shuffle", g.conv("up", g.relu("body", g.conv("head", INPUT, 8)), 64), 2)
    graph = g.graph(g.conv("last", x, 3, 7))
    assert collapse(as_it_is(graph, weights_of(graph))).graph == graph


@pytest.mark.parametrize(("biased", "rim"), [(True, 1), (False, 0)])
def test_a_constant_before_the_first_padding_makes_a_rim(biased, rim):
    """1x1 convolution, shuffle, 3x3 convolution: zeros around the image stay zeros unless the first adds something."""
    g = GraphBuilder()
    x = g.conv("a", g.relu("body", g.conv("head", INPUT, 16)), 64, 1, bias=biased)
    graph = g.graph(g.conv("b", g.pixel_shuffle("c", x, 2), 3))
    weights = weights_of(graph)
    assert Chain(nodes=graph.nodes[2:], in_channels=16).rim == rim
    net = collapse(as_it_is(graph, weights))
    assert "a" not in {node.name for node in net.graph.nodes}
    assert difference(graph, weights, net.graph, net.weights, image(6, 7)) <= GATE


def test_a_mean_shift_stays_before_padding_and_goes_without_it():
    for padding, folded in ((1, False), (0, True)):
        g = GraphBuilder()
        x = g.conv("shift", g.scale("range", INPUT, 255.0), 3, 1)
        graph = g.graph(g.scale("out", g.conv("head", x, 4, padding=padding), 0.1))
        weights = weights_of(graph)
        net = fold(as_it_is(graph, weights))
        assert len(net.graph.nodes) == (1 if folded else 2)
        assert difference(graph, weights, net.graph, net.weights, image(6, 7)) <= GATE
    conv = dataclasses.replace(next(n for n in net.graph.nodes if isinstance(n, Conv)), padding=1)
    wrong = dataclasses.replace(net.graph, nodes=(conv,))  # known-wrong control: folded all the same
    padded = dataclasses.replace(
        graph, nodes=tuple(dataclasses.replace(n, padding=1) if n.name == "head" else n for n in graph.nodes)
    )
    assert difference(padded, weights, wrong, net.weights, image(6, 7)) > 1e-3


@pytest.mark.parametrize(("kernel", "factor"), list(itertools.product(("cubic", "cubic_torch"), (2, 3, 4))))
def test_upscaling_as_a_convolution(kernel, factor):
    g = GraphBuilder()
    graph = g.graph(g.conv("last", g.resize("up", INPUT, factor, kernel), 3))
    weights = weights_of(graph)
    net = stencils(as_it_is(graph, weights))
    assert not any(isinstance(node, Resize) for node in net.graph.nodes)
    for size in ((2, 2), (2, 9), (7, 4)):
        assert difference(graph, weights, net.graph, net.weights, image(*size)) <= GATE
    other = {"cubic": "cubic_torch", "cubic_torch": "cubic"}[kernel]  # known-wrong control: the other edge and cubic
    swapped = dataclasses.replace(graph, nodes=(dataclasses.replace(graph.nodes[0], kernel=other), graph.nodes[1]))
    assert difference(swapped, weights, net.graph, net.weights, image(7, 4)) > 1e-4


def test_primitives_with_groups_or_weights_of_their_own_are_left_alone():
    def folded(groups: int) -> Graph:
        g = GraphBuilder(4)
        x = g.conv("depthwise", g.scale("range", INPUT, 2.0), 4, groups=groups)
        x = g.channel_scale("factor", g.conv("pointwise", g.layer_norm("norm", x, 1e-6), 4, 1))
        graph = g.graph(g.conv("last", g.scale("back", x, 0.5), 4, groups=groups))
        weights = weights_of(graph)
        net = faster(graph, weights)
        assert difference(graph, weights, net.graph, net.weights, image(6, 7, 4)) <= GATE
        return net.graph

    assert len(folded(2).nodes) == 7
    assert len(folded(1).nodes) == 5  # both constants went into a convolution


def test_weights_keep_their_precision_and_the_caller_keeps_his():
    graph = build_graph(parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1}))
    weights = random_weights(graph, 1)
    before = {name: array.copy() for name, array in weights.items()}
    fast = faster(graph, weights)
    assert {array.dtype for array in fast.weights.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(weights[name], before[name]) for name in before)
