"""The two frameworks and the NumPy reference agree node by node, forward and backward; planted faults are found."""

import dataclasses
import itertools

import numpy as np
import pytest

from shared.families import FAMILIES, build_graph
from shared.graph import Conv, Graph, Resize
from shared.reference import run
from shared.spec import parse
from weights_convert.case import Case, make_case, read_case, write_case
from weights_convert.compare import (
    FLOAT64_GATE,
    dump_in_process,
    dump_reference,
    errors,
    first_divergence,
    scaled_error,
)

SMALL = {
    "drn": {"features": 16, "blocks": 3, "stages": 3, "ibsc_mode": "concat", "mean_shift": "df2k", "value_range": 255},
    "rcan": {"features": 16, "groups": 2, "blocks": 2, "image_skip": "bicubic"},
    "dual_regression": {"features": 16, "blocks": 1},
}
CASES = [
    make_case(parse({"family": family.name, "scale": scale, **SMALL[family.name]}), seed=7)
    for family, scale in itertools.product(FAMILIES, (2, 3, 4))
]
IDS = [case.spec.id for case in CASES]


@pytest.fixture(scope="module")
def torch_dumps():
    return dump_in_process("torch", CASES)


@pytest.fixture(scope="module")
def paddle_dumps():
    return dump_in_process("paddle", CASES)


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_torch_equals_the_reference_forward(torch_dumps, index):
    assert_equal(CASES[index], torch_dumps[index], dump_reference(CASES[index]))


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_paddle_equals_the_reference_forward(paddle_dumps, index):
    assert_equal(CASES[index], paddle_dumps[index], dump_reference(CASES[index]))


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_paddle_equals_torch_forward_and_backward(torch_dumps, paddle_dumps, index):
    assert paddle_dumps[index].keys() == torch_dumps[index].keys()
    assert_equal(CASES[index], paddle_dumps[index], torch_dumps[index])


@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_gradients_equal_finite_differences_of_the_reference(torch_dumps, index):
    """Directional derivative along a random direction of image and weights; ReLU kinks keep this coarse, hence 1e-5."""
    case, dump = CASES[index], torch_dumps[index]
    generator = np.random.default_rng(3)
    weights = {name: generator.standard_normal(array.shape) for name, array in case.weights.items()}
    image = generator.standard_normal(case.image.shape)
    step = 1e-7
    numeric = (loss(case, weights, image, step) - loss(case, weights, image, -step)) / (2 * step)
    analytic = np.vdot(dump["gradient/input"], image) + sum(np.vdot(dump[f"weight/{k}"], v) for k, v in weights.items())
    assert abs(numeric - analytic) <= 1e-5 * abs(analytic)


def loss(case: Case, weights: dict, image: np.ndarray, step: float) -> float:
    moved = {name: array.astype(np.float64) + step * weights[name] for name, array in case.weights.items()}
    graph = build_graph(case.spec)
    values = run(graph, moved, case.image + step * image)
    return float(sum(np.vdot(values[n], r) for n, r in zip(graph.outputs, case.cotangents, strict=True)))


def assert_equal(case: Case, dump: dict, reference: dict) -> None:
    found = errors(dump, reference)
    worst = max(found, key=found.get)
    assert found[worst] <= FLOAT64_GATE, f"{worst}: {found[worst]}"
    assert first_divergence(build_graph(case.spec), found) is None


def faulty(graph: Graph, name: str, **changes: object) -> Graph:
    nodes = tuple(dataclasses.replace(n, **changes) if n.name == name else n for n in graph.nodes)
    return dataclasses.replace(graph, nodes=nodes)


# Known-wrong controls: a fault planted in the reference must be found, at the node where it sits
RCAN, DRN, DUAL = CASES[3], CASES[2], CASES[8]
GRAPHS = {
    "skip from the wrong block": (DRN, "body.1.add", {"inputs": ("body.1.attention.multiply", "head")}),
    "inter-block skip from the wrong place": (
        DRN,
        "body.2.stages.1.ibsc",
        {"inputs": ("body.2.stages.0.2", "body.1.add")},
    ),
    "fusion order": (DRN, "body.0.concat", {"inputs": ("body.0.stages.1.2", "body.0.stages.0.2", "body.0.stages.2.2")}),
    "other cubic": (RCAN, "image_skip", {"kernel": "cubic_torch"}),
    "slope": (DUAL, "down.0.dual_module.0.1", {"slope": 0.1}),
    "range": (RCAN, "to_range", {"factor": 254.0}),
    "bias dropped": (RCAN, "body.0.body.1.body.0", {"bias": False}),
}


@pytest.mark.parametrize("fault", GRAPHS)
def test_a_fault_in_the_graph_is_found_at_its_node(torch_dumps, fault):
    case, node, changes = GRAPHS[fault]
    index = next(i for i, other in enumerate(CASES) if other is case)
    wrong = run(faulty(build_graph(case.spec), node, **changes), case.weights, case.image)
    found = errors({f"output/{name}": value for name, value in wrong.items()}, torch_dumps[index])
    assert first_divergence(build_graph(case.spec), found).node == node


@pytest.mark.parametrize("fault", ["transposed kernel", "one ulp"])
def test_a_fault_in_a_weight_is_found_at_its_node(torch_dumps, fault):
    name = "body.1.body.0.body.2"
    weights = dict(RCAN.weights)
    weight = weights[f"{name}.weight"]
    ulp = weight.copy()
    ulp.flat[5] = np.nextafter(weight.flat[5], np.float32(9))
    weights[f"{name}.weight"] = weight.transpose(0, 1, 3, 2) if fault == "transposed kernel" else ulp
    wrong = dump_reference(dataclasses.replace(RCAN, weights=weights))
    found = errors(torch_dumps[3] | wrong, torch_dumps[3])
    assert first_divergence(build_graph(RCAN.spec), found).node == name


def test_a_fault_in_a_gradient_alone_is_found_backward(torch_dumps):
    wrong = dict(torch_dumps[3])
    wrong["weight/head.0.bias"] = wrong["weight/head.0.bias"] * (1 + 1e-9)
    divergence = first_divergence(build_graph(RCAN.spec), errors(wrong, torch_dumps[3]))
    assert (divergence.node, divergence.direction) == ("head.0", "backward")


def test_scaled_error_refuses_what_is_not_finite():
    assert scaled_error(np.array([np.nan]), np.array([1.0])) == np.inf
    assert scaled_error(np.zeros(2), np.zeros(3)) == np.inf
    assert scaled_error(np.zeros(2), np.zeros(2)) == 0


def test_a_case_goes_through_its_file_unchanged(tmp_path):
    write_case(tmp_path / "case", DUAL)
    again = read_case(tmp_path / "case")
    assert again.spec == DUAL.spec
    assert all(np.array_equal(a, b) for a, b in zip(again.cotangents, DUAL.cotangents, strict=True))
    assert all(np.array_equal(again.weights[name], array) for name, array in DUAL.weights.items())


def test_cases_use_every_kind_of_node():
    kinds = {type(node) for case in CASES for node in build_graph(case.spec).nodes}
    assert {Conv, Resize} <= kinds
    assert len(kinds) == 11
