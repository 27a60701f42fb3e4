"""Every primitive of rewritten networks on Paddle against the reference executor, float64."""

import numpy as np
import paddle
import pytest

from search_paddle.network import build_graph, set_weights
from shared.network.families import FAMILIES
from shared.network.families import build_graph as graph_of
from shared.network.initialization import random_weights
from shared.network.primitives import Concat, Crop
from shared.network.reference import run
from shared.network.rewrites import faster

pytestmark = pytest.mark.paddle


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_rewritten_networks_equal_the_reference_node_by_node(family):
    graph = graph_of(family.example_specs(4, image_skip="bicubic")[-1])
    fast = faster(graph, {name: array.astype(np.float64) for name, array in random_weights(graph, 3).items()})
    assert {Concat, Crop} < {type(node) for node in fast.graph.nodes}
    image = np.random.default_rng(0).uniform(0, 1, (2, 3, 7, 9))
    network = build_graph(fast.graph, fast.weights)
    network.to(dtype="float64")
    set_weights(network, fast.weights)
    got, expected = network.node_outputs(paddle.to_tensor(image)), run(fast.graph, fast.weights, image)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert np.abs(got[name].numpy() - value).max() <= 1e-12 * np.abs(value).max(), name
