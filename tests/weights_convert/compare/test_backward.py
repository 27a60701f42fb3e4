"""The gradients of the NumPy reference against central differences of its outputs, for every primitive."""

import numpy as np
import pytest

from shared.network.graph import Graph
from shared.network.primitives import (
    Add,
    ChannelScale,
    Concat,
    Conv,
    Crop,
    GlobalMean,
    LayerNorm,
    LeakyRelu,
    Multiply,
    PixelShuffle,
    Primitive,
    Relu,
    Resize,
    Scale,
    Sigmoid,
)
from shared.network.reference import apply, run
from weights_convert.compare.backward import gradients, vjp

SHAPE = (2, 4, 5, 6)
NODES: list[tuple[Primitive, list[tuple[int, ...]]]] = [
    (Conv(name="y", inputs=("a",), channels=3, in_channels=4, kernel=3, padding=1), [SHAPE]),
    (Conv(name="y", inputs=("a",), channels=3, in_channels=4, kernel=3, padding=0, stride=3), [SHAPE]),
    (Conv(name="y", inputs=("a",), channels=5, in_channels=4, kernel=3, padding=1, stride=2, bias=False), [SHAPE]),
    (Conv(name="y", inputs=("a",), channels=3, in_channels=4, kernel=1, padding=0), [SHAPE]),
    (Conv(name="y", inputs=("a",), channels=6, in_channels=4, kernel=3, padding=1, groups=2), [SHAPE]),
    (Conv(name="y", inputs=("a",), channels=4, in_channels=4, kernel=3, padding=1, stride=2, groups=4), [SHAPE]),
    (LayerNorm(name="y", inputs=("a",), channels=4, eps=1e-6), [SHAPE]),
    (LayerNorm(name="y", inputs=("a",), channels=4, eps=0.5), [SHAPE]),
    (ChannelScale(name="y", inputs=("a",), channels=4), [SHAPE]),
    (Add(name="y", inputs=("a", "b"), channels=4), [SHAPE, SHAPE]),
    (Multiply(name="y", inputs=("a", "b"), channels=4), [SHAPE, SHAPE]),
    (Multiply(name="y", inputs=("a", "b"), channels=4), [SHAPE, (2, 4, 1, 1)]),
    (Concat(name="y", inputs=("a", "b"), channels=7), [SHAPE, (2, 3, 5, 6)]),
    (Concat(name="y", inputs=("a", "b"), channels=4, axis=2), [SHAPE, (2, 4, 2, 6)]),
    (Crop(name="y", inputs=("a",), channels=4, rows=(1, -1), columns=(2, None)), [SHAPE]),
    (Crop(name="y", inputs=("a",), channels=2, maps=(2, None)), [SHAPE]),
    (Scale(name="y", inputs=("a",), channels=4, factor=2.5), [SHAPE]),
    (Relu(name="y", inputs=("a",), channels=4), [SHAPE]),
    (LeakyRelu(name="y", inputs=("a",), channels=4, slope=0.2), [SHAPE]),
    (Sigmoid(name="y", inputs=("a",), channels=4), [SHAPE]),
    (GlobalMean(name="y", inputs=("a",), channels=4), [SHAPE]),
    (PixelShuffle(name="y", inputs=("a",), channels=1, factor=2), [SHAPE]),
    (Resize(name="y", inputs=("a",), channels=4, factor=3, kernel="cubic"), [SHAPE]),
]
IDS = [f"{type(node).__name__}-{index}" for index, (node, _) in enumerate(NODES)]


@pytest.mark.parametrize(("node", "shapes"), NODES, ids=IDS)
def test_the_vjp_is_the_slope_of_the_output(node, shapes):
    """Along a random direction of all inputs and weights: Σ R·(f(x + hd) - f(x - hd)) / 2h."""
    draw = np.random.default_rng(3).standard_normal
    inputs, directions = [draw(shape) for shape in shapes], [draw(shape) for shape in shapes]
    weights, moves = {}, {}
    for name, shape in node.weight_shapes().items():
        weights[name], moves[name] = draw(shape), draw(shape)
    cotangent = draw(apply(node, inputs, weights).shape)
    found, own = vjp(node, inputs, weights, cotangent)
    analytic = sum(np.vdot(g, d) for g, d in zip(found, directions, strict=True))
    analytic += sum(np.vdot(own[name], moves[name]) for name in weights)
    step = 1e-6

    def moved(sign: int) -> np.ndarray:
        at = [x + sign * step * d for x, d in zip(inputs, directions, strict=True)]
        return apply(node, at, {name: w + sign * step * moves[name] for name, w in weights.items()})

    numeric = np.vdot(cotangent, moved(1) - moved(-1)) / (2 * step)
    assert [g.shape for g in found] == shapes
    assert abs(numeric - analytic) <= 1e-7 * max(1, abs(analytic))


def test_known_wrong_control_a_vjp_that_forgets_the_mean_of_the_layer_norm():
    """The same slope with a gradient that treats mean and variance as constants."""
    draw = np.random.default_rng(3).standard_normal
    node, x, cotangent = LayerNorm(name="y", inputs=("a",), channels=4, eps=1e-6), draw(SHAPE), draw(SHAPE)
    weights = {"y.weight": draw((4, 1, 1)), "y.bias": draw((4, 1, 1))}
    deviation = np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
    forgetful = cotangent * weights["y.weight"] / deviation
    right = vjp(node, [x], weights, cotangent)[0][0]
    step, direction = 1e-6, draw(SHAPE)
    moved = [apply(node, [x + sign * step * direction], weights) for sign in (1, -1)]
    numeric = np.vdot(cotangent, moved[0] - moved[1]) / (2 * step)
    assert abs(numeric - np.vdot(right, direction)) <= 1e-7 * abs(numeric)
    assert abs(numeric - np.vdot(forgetful, direction)) > 1e-2 * abs(numeric)


def test_every_primitive_is_tested():
    assert {type(node) for node, _ in NODES} == set(Primitive.__args__)


def test_a_node_that_is_read_twice_gets_both_gradients():
    node = Scale(name="s", inputs=("input",), channels=1, factor=3.0)
    graph = Graph(nodes=(node, Multiply(name="y", inputs=("s", "s"), channels=1)), outputs=("y",), in_channels=1)
    image = np.full((1, 1, 2, 2), 0.5)
    found = {name: g for name, g, _ in gradients(graph, {}, run(graph, {}, image), {"y": np.ones((1, 1, 2, 2))})}
    assert np.allclose(found["input"], 2 * 9 * 0.5)  # y = (3x)²


def test_at_a_kink_the_gradient_is_the_frameworks():
    zero, one = np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1))
    assert vjp(Relu(name="y", inputs=("a",), channels=1), [zero], {}, one)[0][0].item() == 0
    assert vjp(LeakyRelu(name="y", inputs=("a",), channels=1, slope=0.2), [zero], {}, one)[0][0].item() == 0.2
