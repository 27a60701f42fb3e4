"""Exported networks compute what the float64 reference computes, at every size, and carry our names and what they are."""

import io
import json

import numpy as np
import onnx
import pytest
import torch

from shared.cli.main import main
from shared.errors import UsageError, WorkError
from shared.network.families import FAMILIES, build_graph
from shared.network.initialization import random_weights
from shared.network.reference import run
from shared.records.suite import Member as SuiteMember
from shared.records.suite import Suite, write_suite
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse
from train_torch.ensemble import load_suite, upscale
from train_torch.export import graph as export_graph
from train_torch.export.export import Member, check, export, read_members
from train_torch.export.graph import ResizeAnySize
from train_torch.export.onnx_file import OnnxNetwork, metadata_of, opset_of
from train_torch.layers import resize

pytestmark = pytest.mark.torch

CASES = [(family.name, scale) for family in FAMILIES for scale in (2, 3, 4)]


def spec_of(family, scale):
    row = next(row for row in FAMILIES if row.name == family)
    return row.example_specs(scale, image_skip="bicubic" if family == "rcan" else "none")[-1]


def member(family, scale, weight=1.0, seed=3):
    spec = spec_of(family, scale)
    weights = random_weights(build_graph(spec).inference(), seed)
    return Member(spec=spec, weights=weights, weight=weight, provenance={"weights": "raw"})


def noise(*shape):
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


def reference(member, image):
    graph = build_graph(member.spec).inference()
    return run(graph, member.weights, image)[graph.outputs[-1]]


def off(value, expected):
    assert value.shape == expected.shape
    return np.abs(value - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("kernel", ["cubic", "cubic_torch"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_resize_at_any_size_equals_the_matrix_products(factor, kernel):
    module = ResizeAnySize(factor, kernel, 5).double()
    module.weight = torch.tensor(export_graph.phase_kernels(factor, kernel)).repeat(5, 1, 1, 1)
    other = ResizeAnySize(factor, "cubic" if kernel == "cubic_torch" else "cubic_torch", 5).double()  # known wrong
    for height, width in [(1, 1), (1, 6), (2, 3), (3, 1), (5, 4), (9, 16)]:
        x = torch.rand(2, 5, height, width, dtype=torch.float64)
        expected = resize(x, factor, kernel)
        assert off(module(x).numpy(), expected.numpy()) <= 1e-14
        if min(height, width) > 1:
            assert off(other(x).numpy(), expected.numpy()) > 1e-3


@pytest.mark.parametrize(("family", "scale"), CASES)
def test_onnx_computes_the_reference_under_our_names(tmp_path, family, scale):
    source = member(family, scale)
    value = export([source], tmp_path / "x.onnx")
    model = onnx.load(tmp_path / "x.onnx")
    graph = build_graph(source.spec).inference()
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert [name for name in names if "/" not in name] == [node.name for node in graph.nodes]
    arrays = {array.name: tuple(array.dims) for array in model.graph.initializer}
    assert graph.weight_shapes().items() <= arrays.items()
    assert value["opset"] == opset_of(model) == 17
    sizes = [tuple(d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim) for i in model.graph.input]
    assert sizes == [("n", 3, "height", "width")]
    network = OnnxNetwork(tmp_path / "x.onnx")
    for shape in [(1, 3, 1, 1), (3, 3, 2, 9), (1, 3, 17, 1), (1, 3, 10, 14)]:
        image = noise(*shape)
        assert off(network(image), reference(source, image)) <= 2e-6


def test_onnx_says_what_it_is(tmp_path):
    source = member("rcan", 2)
    export([source], tmp_path / "x.onnx", opset=18)
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert parse(json.loads(properties["spec"])) == source.spec
    assert properties["id"] == source.spec.id
    assert properties["value_range"].startswith("[0, 1] in and out")
    ours = metadata_of(tmp_path / "x.onnx")
    assert ours["members"] == [
        {
            "id": source.spec.id,
            "architecture": source.spec.architecture(),
            "share": 1.0,
            "provenance": {"weights": "raw"},
        }
    ]


@pytest.mark.parametrize("opset", [15, 16, 18, 19, 20])
def test_the_opset_is_the_one_asked_for(tmp_path, opset):
    export([member("drn", 2)], tmp_path / "x.onnx", opset=opset)
    assert opset_of(onnx.load(tmp_path / "x.onnx")) == opset


def test_a_wrong_network_is_found_and_nothing_is_left(tmp_path, monkeypatch):
    source = member("rcan", 3)
    honest = export_graph._rows
    monkeypatch.setattr(
        export_graph, "_rows", lambda size, kernel, like: honest(size, "cubic_torch", like)
    )  # other edges
    with pytest.raises(WorkError, match=r"off by .* expected 5e-06 or less\. Nothing was written"):
        export([source], tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_check_refuses_nan_and_wrong_shapes():
    source = member("rcan", 2)
    honest = lambda image: reference(source, image)  # noqa: E731  # short
    assert all(entry["error"] == 0 for entry in check(honest, honest, [source]))
    for wrong in (lambda image: honest(image) * np.nan, lambda image: honest(image)[:, :, 1:]):
        with pytest.raises(WorkError):
            check(wrong, honest, [source])


def test_a_program_takes_any_size_and_says_what_it_is(tmp_path):
    source = member("rcan", 2)
    export([source], tmp_path / "x.pt2")
    extra = {"gpnas_sr": ""}
    program = torch.export.load(io.BytesIO((tmp_path / "x.pt2").read_bytes()), extra_files=extra).module()
    assert json.loads(extra["gpnas_sr"])["id"] == source.spec.id
    for shape in [(1, 3, 1, 5), (2, 3, 6, 11), (1, 3, 21, 4)]:
        image = noise(*shape)
        with torch.no_grad():
            assert off(program(torch.from_numpy(image)).numpy(), reference(source, image)) <= 2e-6


@pytest.fixture
def suite(tmp_path):
    """Three members of ×2, one without a share."""
    members = []
    for family, weight in (("rcan", 3.0), ("drn", 1.0), ("dual_regression", 0.0)):
        spec = spec_of(family, 2)
        spec_path = tmp_path / f"{family}.json"
        spec_path.write_text(json.dumps(make_spec_file(spec).to_json()))
        weights_path = tmp_path / f"{family}.safetensors"
        save_weights(weights_path, random_weights(build_graph(spec), 5), spec, {"weights": "ema"})
        members.append(SuiteMember(spec=spec, spec_path=spec_path, weights_path=weights_path, weight=weight))
    write_suite(tmp_path / "suite.json", Suite(scale=2, members=tuple(members)))
    return tmp_path / "suite.json"


def test_a_suite_becomes_the_weighted_mean(tmp_path, suite, capsys):
    assert main(["export", str(suite), str(tmp_path / "x.onnx"), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [entry["share"] for entry in value["members"]] == [0.75, 0.25]
    members, weights, scale = load_suite(suite)
    lr = noise(12, 9, 3)
    expected = upscale(members, lr, scale, weights, self_ensemble=False, patch_ensemble=False)
    network = OnnxNetwork(tmp_path / "x.onnx")
    found = network(lr.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    assert off(found, expected) <= 2e-6
    equal = upscale(
        members, lr, scale, [1, 1, 0], self_ensemble=False, patch_ensemble=False
    )  # known wrong: other shares
    assert off(found, equal) > 1e-3
    names = [node.name for node in onnx.load(tmp_path / "x.onnx").graph.node]
    assert f"{members_of(suite)[0]}/head.0" in names
    assert "mean.sum.1" in names


def members_of(suite):
    return [source.spec.id for source in read_members(suite)]


def test_a_spec_is_exported_untrained(tmp_path, capsys):
    spec = spec_of("drn", 2)
    (tmp_path / "spec.json").write_text(json.dumps(make_spec_file(spec).to_json()))
    assert main(["export", str(tmp_path / "spec.json"), str(tmp_path / "x.onnx")]) == 0
    assert "ONNX opset 17" in capsys.readouterr().out
    assert metadata_of(tmp_path / "x.onnx")["members"][0]["provenance"] == {"weights": "initial", "seed": 0}


@pytest.mark.parametrize(
    ("words", "message"),
    [(["x.pth"], "expected one of .onnx, .pt2"), (["x.onnx", "--opset", "21"], "opset 21: expected 15 to 20")],
)
def test_what_cannot_be_written_is_said_first(tmp_path, suite, capsys, words, message):
    assert main(["export", str(suite), str(tmp_path / words[0]), *words[1:]]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / words[0]).exists()


def test_untrained_suites_are_refused(tmp_path, suite):
    value = json.loads(suite.read_text())
    value["members"][0]["weights"] = None
    suite.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="has no weights yet"):
        read_members(suite)
