"""Torch, Paddle and the NumPy reference agree node by node, forward, backward and in training; planted faults are named.

All questions share one process per framework and setting, so this file costs about as much as starting the frameworks.
"""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.errors import WorkError
from shared.network.families import FAMILIES, build_graph
from shared.network.primitives import Primitive
from shared.spec import parse
from weights_convert.compare.case import make_case, read_case, write_case
from weights_convert.compare.compare import FRAMEWORKS, Question, Subject, compare
from weights_convert.compare.page import render_page
from weights_convert.compare.recipe import Recipe
from weights_convert.compare.verdict import blamed_steps, verdict

OWN = parse({"family": "rcan", "scale": 2, "features": 8, "groups": 2, "blocks": 1, "reduction": 4})
FAULTS = Path(__file__).parents[3] / "benchmarks" / "compare"
SPECS = [
    spec
    for family, scale in itertools.product(FAMILIES, (2, 3, 4))
    for spec in family.example_specs(scale, image_skip="bicubic" if scale == 3 else "none")
]
IN_FLOAT32 = [family.example_specs(4)[-1] for family in FAMILIES]
# One of each kind: input, layout, weight, primitive, mode, wiring, gradient alone, and our own families
PLANTED = [
    *("rgb_bgr", "kh_kw_transposed", "bias_missing", "align_corners", "norm_eps_1e-6", "relu_after_second_conv"),
    *("one_weight_bf16", "one_weight_ulp", "hard_sigmoid", "shuffle_order", "skip_detached"),
    *("ibsc_wrong_stage", "fusion_order", "mean_shift_twice", "layer_norm_eps", "layer_norm_over_pixels"),
    *("layer_norm_unbiased_variance", "groups_mixed", "groups_shuffled", "gate_halves_swapped", "gate_interleaved"),
    *("attention_before_gate", "beta_for_gamma", "channel_scale_detached"),
]
PLANTED_IN_TRAINING = ["gradients_not_cleared", "weight_left_out", "schedule_one_step_early", "ema_one_step_late"]
PLANTED_IN_TRAINING += ["dual_loss_weights"]
RECIPE = Recipe(steps=2, batch=2, height=7, width=6)


def load_faults():
    """The catalogue of the benchmark; it imports no framework."""
    specification = importlib.util.spec_from_file_location("faults", FAULTS / "faults.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["faults"] = module
    specification.loader.exec_module(module)
    return module


faults = load_faults()


def questions():
    """Name -> question; all of them are answered at once."""
    found = {}
    for spec, kind in itertools.product(SPECS, FRAMEWORKS):
        found[f"healthy {spec.id} {kind} float64"] = Question(case=make_case(spec, seed=7), subject=Subject(kind=kind))
    for spec, kind in itertools.product(IN_FLOAT32, FRAMEWORKS):
        common = {"subject": Subject(kind=kind), "control": kind == "torch"}  # one process less
        found[f"healthy {spec.id} {kind} float32"] = Question(case=make_case(spec, dtype="float32"), **common)
        for dtype in ("float64", "float32"):
            case = make_case(spec, dtype=dtype)
            found[f"training {spec.id} {kind} {dtype}"] = Question(case=case, recipe=RECIPE, passes=False, **common)
    cases = {net: make_case(spec, seed=3) for net, spec in faults.SPECS.items()}
    for name, kind in itertools.product(["healthy_norm", *PLANTED, *PLANTED_IN_TRAINING], FRAMEWORKS):
        path = str(FAULTS / f"faults_{kind}.py:{name}")
        case = cases[faults.FAULTS[name].net if name in faults.FAULTS else "rcan"]
        if name in PLANTED_IN_TRAINING:
            subject = Subject(kind=kind, training=path)
            question = Question(case=case, subject=subject, recipe=RECIPE, passes=False, control=False)
        else:
            question = Question(case=case, subject=Subject(kind=kind, network=path))
        found[f"{name} {kind}"] = question
    case = make_case(OWN)
    for function in ("make", "make_wrong"):
        subject = Subject(kind="module", network=str(Path(__file__).parent / f"own_rcan.py:{function}"))
        found[f"own {function}"] = Question(case=case, subject=subject)
    found["against torch"] = Question(
        case=make_case(OWN), subject=Subject(kind="paddle"), against="torch", recipe=RECIPE, control=False
    )
    return found


QUESTIONS = questions()


@pytest.fixture(scope="module")
def answers():
    return dict(zip(QUESTIONS, compare(list(QUESTIONS.values())), strict=True))


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith(("healthy", "training", "against"))])
def test_healthy_networks_and_trainings_are_equal(answers, name):
    answer = answers[name]
    assert answer.equal, (answer.blamed, answer.steps)
    assert answer.divergence is None


def test_a_module_of_the_users_own_is_compared_by_its_output_and_the_names_it_shares(answers):
    answer = answers["own make"]
    assert answer.equal
    names = {item.node for item in answer.measurements}
    assert {"from_range", "body.1.body.0.body.2", "tail.1"} <= names
    wrong = answers["own make_wrong"]
    assert not wrong.equal
    assert wrong.divergence[0].node == "body.1.body.0.body.1"


def test_every_array_of_the_network_is_compared(answers):
    answer, graph = answers[f"healthy {SPECS[0].id} torch float64"], build_graph(SPECS[0])
    for column in ("output", "gradient"):
        assert {item.node for item in answer.measurements if item.column == column} == {
            "input",
            *(n.name for n in graph.nodes),
        }
    for column in ("held", "weights", "isolated weights"):
        assert {item.array for item in answer.measurements if item.column == column} == set(graph.weight_shapes())
    isolated = {(item.node, item.array) for item in answer.measurements if item.column == "isolated inputs"}
    assert isolated == {(node.name, f"input {x}") for node in graph.nodes for x in node.inputs}


@pytest.mark.parametrize("kind", FRAMEWORKS)
@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_of_the_network_is_blamed_on_its_node(answers, fault, kind):
    answer = answers[f"{fault} {kind}"]
    assert not answer.equal
    assert {item.node for item in answer.blamed} <= set(faults.FAULTS[fault].nodes)


@pytest.mark.parametrize("kind", FRAMEWORKS)
@pytest.mark.parametrize("fault", PLANTED_IN_TRAINING)
def test_a_fault_of_the_training_is_blamed_on_its_step(answers, fault, kind):
    answer = answers[f"{fault} {kind}"]
    assert not answer.equal
    assert {(item.step, item.part) for item in blamed_steps(answer)} <= set(faults.FAULTS[fault].parts)


def test_a_detached_skip_shows_backward_alone(answers):
    divergence, direction = answers["skip_detached torch"].divergence
    assert direction == "backward"
    assert all(item.agrees for item in answers["skip_detached torch"].measurements if item.column == "output")
    assert divergence.error > 0.01


def test_the_weight_left_out_is_named(answers):
    for kind in FRAMEWORKS:
        assert {item.array for item in answers[f"weight_left_out {kind}"].steps if item.step == 1} == {"tail.1.weight"}


def test_known_wrong_control_the_output_alone_at_1e_3_misses_faults(answers):
    """What most comparisons look at lets some of the same faults pass."""
    missed = {
        fault
        for fault, kind in itertools.product(PLANTED, FRAMEWORKS)
        if [m.error for m in answers[f"{fault} {kind}"].measurements if m.column == "output"][-1] <= 1e-3
    }
    assert {"one_weight_bf16", "one_weight_ulp", "norm_eps_1e-6", "skip_detached"} <= missed


def test_the_verdict_is_json_with_what_users_rely_on(answers):
    name = "hard_sigmoid paddle"
    value = json.loads(json.dumps(verdict([QUESTIONS[name]], [answers[name]]), allow_nan=False))
    node = "body.0.body.1.body.3.conv_du.3"
    assert (value["equal"], value["dtype"]) == (False, "float64")
    assert (value["first_divergence"]["node"], value["first_divergence"]["direction"]) == (node, "forward")
    assert [item["node"] for item in value["blame"]] == [node]
    healthy = f"healthy {SPECS[0].id} torch float64"
    value = verdict([QUESTIONS[healthy]], [answers[healthy]])
    assert value["equal"]
    assert value["first_divergence"] is None
    assert 0 < value["max_scaled_error"] <= 1e-12


def test_the_page_stands_alone_and_names_the_fault(answers):
    page = render_page([QUESTIONS["hard_sigmoid torch"]], [answers["hard_sigmoid torch"]])
    assert "body.0.body.1.body.3.conv_du.3" in page
    assert "different" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    training = f"training {IN_FLOAT32[0].id} torch float64"
    assert "same framework on two threads" in render_page([QUESTIONS[training]], [answers[training]])


def test_a_case_goes_through_its_file_unchanged(tmp_path):
    case = make_case(IN_FLOAT32[2])
    write_case(tmp_path / "case", case)
    again = read_case(tmp_path / "case")
    assert again.spec == case.spec
    assert all(np.array_equal(a, b) for a, b in zip(again.cotangents, case.cotangents, strict=True))
    assert all(np.array_equal(again.weights[name], array) for name, array in case.weights.items())


def test_the_test_image_is_lopsided():
    image = make_case(SPECS[0]).image
    assert image.shape[2] != image.shape[3]
    assert image.shape[2] % 2 == image.shape[3] % 2 == 1
    means = image.mean(axis=(2, 3))
    assert np.abs(means[:, :, None] - means[:, None, :])[:, ~np.eye(3, dtype=bool)].min() > 0.02


def test_cases_use_every_primitive_of_the_families():
    kinds = {type(node) for spec in SPECS for node in build_graph(spec).nodes}
    assert kinds == set(Primitive.__args__)


def test_a_worker_that_fails_says_why(tmp_path):
    (tmp_path / "net.py").write_text("def make():\n    raise KeyError('nothing here')\n")
    question = Question(case=make_case(OWN), subject=Subject(kind="module", network=f"{tmp_path}/net.py:make"))
    with pytest.raises(WorkError, match="nothing here"):
        compare([question])
