"""`gpnas-sr compare` from its arguments to its exit status."""

import json
from pathlib import Path

import pytest

from shared.cli.main import main
from shared.files import write_json
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse

SPEC = parse({"family": "rcan", "scale": 2, "features": 8, "groups": 2, "blocks": 1, "reduction": 4})
OWN = Path(__file__).parents[1] / "compare" / "own_rcan.py"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "member.safetensors"
    save_weights(path, random_weights(build_graph(SPEC), 1), SPEC, {})
    return path


def test_a_wrong_module_gives_status_1_json_and_a_page(weights, tmp_path, capsys):
    page = tmp_path / "page.html"
    status = main(["compare", str(weights), "--module", f"{OWN}:make_wrong", "--html", str(page), "--json"])
    value = json.loads(capsys.readouterr().out)
    assert status == 1
    assert (value["equal"], value["dtype"], value["first_divergence"]["direction"]) == (False, "float64", "forward")
    assert value["blame"][0]["node"] == value["first_divergence"]["node"] == "body.1.body.0.body.1"
    assert "different" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rcan"], "has no scale of its own"),
        (["SPEC", "--size", "48"], "expected height x width"),
        (["SPEC", "--onnx", "x.onnx", "--dtype", "float64"], "expected float32"),
        (["SPEC", "--onnx", "x.onnx", "--module", "a:b"], "expected one of them"),
        (["SPEC", "--module", "a:b", "--steps", "3"], "leave --steps out"),
        (["SPEC", "--steps", "0"], "expected at least 1"),
        (["SPEC", "--batch", "0"], "expected at least 1"),
        (["SPEC", "--weights", "none.safetensors"], "no such file"),
        (["none.json"], "no such file"),
    ],
)
def test_wrong_usage_gives_status_2_and_says_what_is_expected(arguments, message, tmp_path, capsys):
    spec = tmp_path / "spec.json"
    write_json(spec, make_spec_file(SPEC).to_json())
    assert main(["compare", *(str(spec) if word == "SPEC" else word for word in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_broken_onnx_file_gives_status_2(weights, tmp_path, capsys):
    broken = tmp_path / "broken.onnx"
    broken.write_text("no protobuf")
    assert main(["compare", str(weights), "--onnx", str(broken)]) == 2
    message = capsys.readouterr().err
    assert "expected an ONNX network" in message or "gpnas-sr[export]" in message


def test_weights_of_another_network_are_refused(weights, capsys):
    assert main(["compare", "rcan", "--scale", "2", "--weights", str(weights)]) == 2
    assert "expected those of rcan-x2" in capsys.readouterr().err
