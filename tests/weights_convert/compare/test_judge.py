"""Gates, limits and loaders, with no framework."""

import numpy as np
import pytest

from shared.errors import UsageError
from shared.network.graph import GraphBuilder
from shared.network.primitives import Conv, LayerNorm
from shared.network.reference import apply
from weights_convert.compare.dump.record import load_function
from weights_convert.compare.isolated import Isolated, cotangent_of, judge
from weights_convert.compare.judge import NOISE_FACTOR, Measurement, Noise, blame, first_divergence
from weights_convert.compare.limits import FLOAT64_GATE, isolated_limit, output_sum, scaled_error


def graph():
    g = GraphBuilder()
    return g.graph(g.relu("relu", g.conv("conv", "input", 2)))


def measured(node: str, column: str = "output", error: float = 0.0, limit: float = FLOAT64_GATE) -> Measurement:
    return Measurement(node=node, column=column, error=error, limit=limit)


def test_scaled_error_refuses_what_is_not_finite():
    assert scaled_error(np.array([np.nan]), np.array([1.0])) == np.inf
    assert scaled_error(np.array([1.0]), np.array([np.inf])) == np.inf
    assert scaled_error(np.zeros(2), np.zeros(3)) == np.inf
    assert scaled_error(np.zeros(2), np.zeros(2)) == 0
    assert scaled_error(np.full(2, 1e-3), np.zeros(2)) == 1e-3, "absolute where the reference is 0"


def test_what_is_not_finite_never_agrees_whatever_the_limit():
    assert not measured("conv", error=np.inf, limit=np.inf).agrees
    assert not measured("conv", error=np.nan).agrees
    assert measured("conv", error=1.0, limit=np.inf).agrees


def test_the_first_divergence_is_the_first_forward_and_the_last_node_backward():
    wrong = [measured("relu", error=1), measured("conv", error=1), measured("relu", "gradient", error=1)]
    assert first_divergence(graph(), wrong)[0].node == "conv"
    backward = [measured("conv", "gradient", error=1), measured("relu", "gradient", error=1)]
    assert first_divergence(graph(), backward)[0].node == "relu"
    assert first_divergence(graph(), [measured("conv")]) is None


def test_blame_prefers_what_errs_alone_to_what_inherits_an_error():
    spread = [measured("conv", error=1), measured("relu", error=1), measured("relu", "isolated output", error=1)]
    assert [item.node for item in blame(graph(), spread)] == ["relu"]
    assert [item.node for item in blame(graph(), spread[:2])] == ["conv"]
    assert [item.node for item in blame(graph(), [measured("input", error=1), *spread])] == ["input"]


def test_noise_gives_limits_that_grow_along_the_network_and_never_excuse_everything():
    noise = Noise(errors={"output/conv": 1e-6, "output/relu": 1e-9})
    assert noise.limit("output", ["conv", "relu"]) == pytest.approx(NOISE_FACTOR * 1e-6)
    assert noise.limit("output", []) == pytest.approx(NOISE_FACTOR * np.finfo(np.float32).eps)
    assert Noise(errors={"output/conv": 1.0}).limit("output", ["conv"]) == 1e-2


def test_a_sum_that_cancels_is_scaled_by_what_it_is_made_of():
    node = Conv(name="y", inputs=("a",), channels=1, in_channels=2, kernel=1, padding=0, bias=False)
    weights = {"y.weight": np.array([1.0, -1.0]).reshape(1, 2, 1, 1)}
    x = np.full((1, 2, 3, 3), 1.0)
    terms, size = output_sum(node, [x], weights)
    assert (terms, size) == (2, pytest.approx(np.sqrt(2)))
    assert isolated_limit(2, "float64") == FLOAT64_GATE
    assert isolated_limit(4 * 60 * 60 * 4, "float32") == pytest.approx(2 * isolated_limit(2, "float32"))


@pytest.mark.parametrize(("eps", "mean", "agrees"), [(1e-6, 0, True), (1e-6, 100, True), (1e-5, 0, False)])
def test_a_layer_norm_far_from_zero_is_scaled_by_what_its_mean_cancels(eps, mean, agrees):
    node = LayerNorm(name="y", inputs=("a",), channels=48, eps=1e-6)
    draw = np.random.default_rng(0).standard_normal
    weights = {"y.weight": np.ones((48, 1, 1), np.float32), "y.bias": np.zeros((48, 1, 1), np.float32)}
    x = (draw((2, 48, 20, 20)) + mean).astype(np.float32)
    centred = x - x.mean(axis=1, keepdims=True)
    value = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(eps))
    terms, size = output_sum(node, [x], weights)
    expected = apply(node, [x.astype(np.float64)], weights)
    assert (scaled_error(value, expected, size) <= isolated_limit(terms, "float32")) == agrees


def test_a_gradient_that_does_not_arrive_is_a_fault_of_the_isolated_node():
    node = graph().nodes[1]
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 3))
    gradient = cotangent_of(node, x.shape) * (x > 0)
    right = Isolated(output=np.maximum(x, 0), inputs=[gradient], weights={})
    detached = Isolated(output=np.maximum(x, 0), inputs=[None], weights={})
    assert all(row.error <= row.limit for row in judge(node, [x], {}, right, "float64"))
    assert [row.what for row in judge(node, [x], {}, detached, "float64") if row.error > row.limit] == ["input conv"]


def test_functions_are_found_by_module_and_by_file(tmp_path):
    (tmp_path / "net.py").write_text("def make():\n    return 7\n")
    assert load_function(f"{tmp_path}/net.py:make")() == 7
    assert load_function("shared.spec:parse").__name__ == "parse"
    for path, message in (
        (f"{tmp_path}/net.py:other", "has no function 'other'; it has make"),
        (f"{tmp_path}/none.py:make", "no such file"),
        ("no_such_package.net:make", "cannot be imported"),
        ("make", "expected package.module:function"),
    ):
        with pytest.raises(UsageError, match=message):
            load_function(path)
