"""Every primitive of rewritten networks on Torch against the reference executor, float64; and the half-precision trunk."""

import numpy as np
import pytest
import torch

from shared.network.architecture import ArchSpec
from shared.network.families import FAMILIES
from shared.network.families import build_graph as graph_of
from shared.network.graph import Graph, GraphBuilder
from shared.network.initialization import random_weights
from shared.network.primitives import INPUT, Concat, Crop
from shared.network.reference import run
from shared.network.rewrites import faster
from train_torch.network import build_graph, node_outputs, set_weights

pytestmark = pytest.mark.torch

IMAGE = np.random.default_rng(0).uniform(0, 1, (2, 3, 7, 9))


SPECS = [
    pytest.param(spec, id=f"{family.name}-{place}")
    for family in FAMILIES
    for place, spec in enumerate(family.example_specs(4, image_skip="bicubic"))
]


def rewritten(spec: ArchSpec) -> tuple[Graph, dict[str, np.ndarray]]:
    graph = graph_of(spec)
    fast = faster(graph, {name: array.astype(np.float64) for name, array in random_weights(graph, 3).items()})
    return fast.graph, fast.weights


def outputs(graph: Graph, weights: dict) -> dict[str, np.ndarray]:
    module = build_graph(graph, weights).double()
    set_weights(module, weights)
    with torch.no_grad():
        return {name: value.numpy() for name, value in node_outputs(module, graph, torch.from_numpy(IMAGE)).items()}


@pytest.mark.parametrize("spec", SPECS)
def test_rewritten_networks_equal_the_reference_node_by_node(spec):
    graph, weights = rewritten(spec)
    assert {Concat, Crop} < {type(node) for node in graph.nodes}
    got, expected = outputs(graph, weights), run(graph, weights, IMAGE)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert np.abs(got[name] - value).max() <= 1e-12 * np.abs(value).max(), name


@pytest.mark.parametrize("span", [(0, 3), (-3, None), (1, -1), (2, None)])
def test_crops_count_as_python_does(span):
    g = GraphBuilder()
    graph = g.graph(g.concat("both", g.crop("a", INPUT, rows=span), g.crop("b", INPUT, rows=span), axis=3))
    start, stop = span
    expected = np.concatenate([IMAGE[:, :, start:stop]] * 2, axis=3)
    assert np.array_equal(outputs(graph, {})["both"], expected)
    assert np.array_equal(run(graph, {}, IMAGE)["both"], expected)
    assert graph.shapes(7, 9)["both"] == expected.shape[1:]


def test_half_precision_is_where_it_was_asked_for():
    g = GraphBuilder()
    x = g.relu("relu", g.conv("a", INPUT, 16))
    graph = g.graph(g.conv("b", x, 3))
    weights = random_weights(graph, 0)
    x = torch.from_numpy(IMAGE.astype(np.float32))
    with torch.no_grad():
        exact = build_graph(graph, weights)(x)
        got = build_graph(graph, weights, half={"a", "relu"})(x)
        all_half = build_graph(graph, weights, half={"a", "relu", "b"})(x)
    assert (got.dtype, all_half.dtype) == (torch.float32, torch.bfloat16)
    assert 0 < (got - exact).abs().max() <= 2**-8 * exact.abs().max()
    assert (got - exact).abs().max() < (all_half - exact).abs().max()


@pytest.mark.parametrize("spec", SPECS)
def test_writing_over_spent_inputs_changes_nothing(spec):
    graph, weights = rewritten(spec)
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    x = torch.from_numpy(IMAGE.astype(np.float32))
    kept = x.clone()
    module = build_graph(graph, weights, in_place=True)
    with torch.no_grad():
        assert torch.equal(module(x), build_graph(graph, weights)(x))
    assert torch.equal(x, kept)
    assert "add_" in {n.target for n in module.graph.nodes if n.op == "call_method"}


def test_an_input_that_is_read_again_is_not_written_over():
    g = GraphBuilder()
    x = g.conv("a", INPUT, 3)
    y = g.relu("b", x)
    z = g.relu("c", g.crop("view", y, rows=(0, 2)))
    twice = g.add("e", z, z)
    graph = g.graph(g.concat("d", x, g.add("f", y, x), z, twice, axis=2))
    weights = random_weights(graph, 0)
    x = torch.from_numpy(IMAGE.astype(np.float32))
    with torch.no_grad():
        assert torch.equal(build_graph(graph, weights, in_place=True)(x), build_graph(graph, weights)(x))
