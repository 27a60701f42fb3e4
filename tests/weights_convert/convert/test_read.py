"""Published checkpoints by their own names, whole or not at all; round trips to the bit."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from shared.cli.main import main
from shared.errors import UsageError, WeightsError
from shared.network.families import FAMILIES, build_graph, dual_graphs
from shared.network.initialization import random_weights
from shared.records.weights import load_weights, save_weights, weight_shapes
from shared.spec import make_spec_file, parse
from weights_convert.convert.read import differences, read_weights
from weights_convert.convert.write import write_weights


def own_weights(spec):
    weights = random_weights(build_graph(spec), 3)
    dual = {f"dual.{i}.{k}": v for i, g in enumerate(dual_graphs(spec)) for k, v in random_weights(g, i).items()}
    return weights | dual


@pytest.fixture
def own(tmp_path):
    """Our own weights file of a family and a scale."""

    def make(family, scale, **fields):
        row = next(row for row in FAMILIES if row.name == family)
        spec = row.example_specs(scale, **fields)[-1]
        path = tmp_path / f"{family}{scale}.safetensors"
        save_weights(path, own_weights(spec), spec, {"weights": "ema", "steps": 7})
        return path

    return make


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(16, 2, 3), (64, 10, 20), (128, 5, 10)])
def test_official_rcan_is_known_by_names_and_shapes(published, scale, size):
    from weights_convert.convert.upstream import Source, upstream_of

    shapes = published["rcan"](*size, scale)
    thin = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}  # no memory
    thin |= published["filled"]({name: shape for name, shape in shapes.items() if "_mean" in name})
    upstream = upstream_of(Source(arrays=thin, key="", file_format="torch zip"))
    spec = upstream.infer(thin)
    features, groups, blocks = size
    assert upstream.source.startswith("yulunzhang/RCAN")
    assert spec == parse({"family": "rcan", "scale": scale, "features": features, "groups": groups, "blocks": blocks})
    assert weight_shapes(spec)[0] == shapes


def test_counts_of_the_reference():
    """Tensors and parameters that were counted from the official code."""
    counts = {2: (1632, 15_444_667), 3: (1632, 15_629_307), 4: (1634, 15_592_379)}
    for scale, expected in counts.items():
        shapes = weight_shapes(parse("rcan", scale=scale))[0]
        assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes.values())) == expected
    for preset, expected in {"dual-regression-s": 4_804_041, "dual-regression-l": 9_825_869}.items():
        shapes = weight_shapes(parse(preset, scale=4))[0]
        assert sum(int(np.prod(shape)) for name, shape in shapes.items() if "_mean" not in name) == expected


@pytest.mark.parametrize("octaves", [1, 2])
def test_original_dual_regression_is_known_with_its_dual_models(published, tmp_path, dump, octaves):
    arrays = published["filled"](published["dual_regression"](16, 2, octaves), 1)
    models = [published["filled"](published["dual_model"](16), 10 + index) for index in range(octaves)]
    path = dump(tmp_path / "net", arrays)
    (tmp_path / "dual").write_bytes(pickle.dumps(models, protocol=4))
    alone = read_weights(path)
    both = read_weights(path, dual=tmp_path / "dual")
    assert alone.file.spec == parse({"family": "dual_regression", "scale": 2**octaves, "features": 16, "blocks": 2})
    assert alone.upstream.source.startswith("guoyongcs/DRN")
    assert_equal(alone.file.weights, arrays)
    assert_equal(both.file.weights, arrays | {f"dual.{i}.{n}": a for i, m in enumerate(models) for n, a in m.items()})


def test_paddlegan_is_known_by_its_wrapper(published, tmp_path):
    generator = published["filled"](published["dual_regression"](16, 1, 2), 1)
    models = {f"dual_model_{i}": published["filled"](published["dual_model"](16), i) for i in range(2)}
    (tmp_path / "x").write_bytes(pickle.dumps({"generator": generator, **models}, protocol=4))
    incoming = read_weights(tmp_path / "x")
    assert incoming.upstream.source.startswith("PaddlePaddle/PaddleGAN")
    assert_equal({n: a for n, a in incoming.file.weights.items() if not n.startswith("dual.")}, generator)
    assert np.array_equal(
        incoming.file.weights["dual.1.dual_module.1.weight"], models["dual_model_1"]["dual_module.1.weight"]
    )
    rcan = published["filled"](published["rcan"](16, 1, 2, 3), 1)
    (tmp_path / "y").write_bytes(pickle.dumps({"generator": rcan}, protocol=2))
    assert read_weights(tmp_path / "y").upstream.name == "PaddleGAN RCAN"


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_basicsr_names_become_the_official_ones(published, tmp_path, scale):
    arrays = published["filled"](published["basicsr"](32, 2, 3, scale), 1)
    (tmp_path / "x").write_bytes(pickle.dumps({"params": arrays}, protocol=4))
    incoming = read_weights(tmp_path / "x")
    weights = incoming.file.weights
    assert incoming.file.spec == parse({"family": "rcan", "scale": scale, "features": 32, "groups": 2, "blocks": 3})
    assert {name: array.shape for name, array in weights.items()} == published["rcan"](32, 2, 3, scale)
    pairs = {
        "conv_first.weight": "head.0.weight",
        "body.1.residual_group.2.rcab.2.bias": "body.1.body.2.body.2.bias",
        "body.0.residual_group.1.rcab.3.attention.3.weight": "body.0.body.1.body.3.conv_du.2.weight",
        "body.1.conv.weight": "body.1.body.3.weight",
        "conv_after_body.bias": "body.2.bias",
        "upsample.0.weight": "tail.0.0.weight",
        "conv_last.bias": "tail.1.bias",
    }
    assert all(np.array_equal(arrays[theirs], weights[ours]) for theirs, ours in pairs.items())
    assert weights["sub_mean.bias"].tolist() == np.float32([-255 * 0.4488, -255 * 0.4371, -255 * 0.4040]).tolist()
    written = write_weights(tmp_path / "y.pdparams", incoming.file, keys="basicsr")
    assert_equal(pickle.loads(written[0].read_bytes())["params"], arrays)  # noqa: S301  # written above


def test_names_of_two_projects_do_not_mix(published, tmp_path):
    arrays = published["filled"](published["basicsr"](16, 1, 1, 2), 1)
    mixed = arrays | {"head.0.weight": arrays["conv_first.weight"].copy()}  # would take the place of conv_first
    (tmp_path / "x").write_bytes(pickle.dumps(mixed, protocol=4))
    with pytest.raises(WeightsError, match=r"unexpected head\.0\.weight among BasicSR's names"):
        read_weights(tmp_path / "x")


@pytest.mark.parametrize(("mean", "tag"), [((0.4488, 0.4371, 0.4040), "div2k"), ((0.4690, 0.4490, 0.4036), "df2k")])
@pytest.mark.parametrize("value_range", [1, 255])
def test_mean_and_range_are_told_and_recorded(published, tmp_path, dump, mean, tag, value_range):
    arrays = published["filled"](published["rcan"](16, 1, 1, 2), 1, value_range, mean)
    file = read_weights(dump(tmp_path / "x", arrays)).file
    assert (file.spec.mean_shift, file.spec.value_range) == (tag, value_range)
    conventions = file.provenance["conventions"]
    assert conventions["value_range"] == value_range
    assert conventions["mean"] == pytest.approx(np.multiply(mean, value_range).tolist())
    assert 1e-4 < conventions["mean_matrix_off_identity"] < 1e-2
    assert f"0 to {value_range} in and out" in conventions["published"]
    assert file.provenance["source"]["names_from"].startswith("yulunzhang/RCAN")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"head.0.bias": None, "head.bias": np.zeros(16, np.float32)},
            r"missing head.0.bias \(16,\) \(nearest: head.bias\)",
        ),
        ({"head.0.bias": np.zeros(15, np.float32)}, r"head.0.bias has shape \(15,\), expected \(16,\)"),
        ({"extra": np.zeros(2, np.float32)}, r"unexpected extra \(2,\)"),
        ({"head.0.bias": np.full(16, np.nan, np.float32)}, "head.0.bias holds a NaN"),
        ({"head.0.bias": np.zeros(16, np.int64)}, "head.0.bias is int64"),
        ({"head.0.bias": np.full(16, 0.1)}, "float64 and holds numbers that float32 does not"),
    ],
)
def test_a_checkpoint_loads_whole_or_not_at_all(published, tmp_path, dump, capsys, change, message):
    arrays = published["filled"](published["rcan"](16, 1, 1, 2), 1)
    arrays = {name: array for name, array in (arrays | change).items() if array is not None}
    path = dump(tmp_path / "x.pdparams", arrays)
    with pytest.raises(WeightsError, match=message):
        read_weights(path)
    assert main(["convert", str(path), str(tmp_path / "out" / "y.safetensors")]) == 2
    assert "so nothing is loaded" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_exact_doubles_and_halves_are_taken(published, tmp_path, dump):
    arrays = published["filled"](published["rcan"](16, 1, 1, 2), 1)
    half = {name: array.astype(np.float16) for name, array in arrays.items()}
    for state in ({n: a.astype(np.float64) for n, a in arrays.items()}, half):
        file = read_weights(dump(tmp_path / "x", state)).file
        assert all(array.dtype == np.float32 for array in file.weights.values())
        assert all(np.array_equal(file.weights[name], array) for name, array in state.items())
    assert file.provenance["source"]["dtypes"] == ["float16"]


def test_all_differences_are_listed():
    shapes = {"a": (2,), "b": (3,), "c": (1,)}
    arrays = {"a": np.zeros(2, np.float32), "b": np.zeros(4, np.float32), "d": np.zeros(1, np.float32)}
    lines = differences(arrays, shapes)
    assert lines == ["missing c (1,)", "unexpected d (1,)", "b has shape (4,), expected (3,)"]
    assert differences({"a": arrays["a"]}, {"a": (2,)}) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda published: published["filled"](published["rcan"](16, 1, 1, 8)), "other scales have no family here"),
        (
            lambda published: {
                n: a for n, a in published["filled"](published["rcan"](16, 1, 1, 2)).items() if "_mean" not in n
            },
            "say it with --spec",
        ),
        (
            lambda published: published["filled"](published["rcan"](16, 1, 1, 2), mean=(0.1, 0.2, 0.9)),
            "near to no published mean",
        ),
        (lambda published: published["filled"](published["dual_regression"](16, 1, 3)), "×8 has no family here"),
        (
            lambda published: {"conv1.weight": np.zeros((3, 3), np.float32)},
            r"cannot be told from its names \(conv1.weight",
        ),
    ],
)
def test_what_cannot_be_told_is_said(published, tmp_path, dump, change, message):
    with pytest.raises(WeightsError, match=message):
        read_weights(dump(tmp_path / "x", change(published)))


def test_our_x3_dual_regression_is_no_original(own, tmp_path):
    path = own("dual_regression", 3)
    with pytest.raises(WeightsError, match="has no ×3"):
        write_weights(tmp_path / "x.pdparams", load_weights(path), keys="official")
    weights = load_weights(path).network
    (tmp_path / "bare").write_bytes(pickle.dumps(weights, protocol=4))
    with pytest.raises(WeightsError, match=r"A ×3 network is ours: say so with --spec"):
        read_weights(tmp_path / "bare")
    spec = load_weights(path).spec
    assert_equal(read_weights(tmp_path / "bare", spec=spec).file.weights, weights)


def test_what_an_upstream_would_compute_otherwise_is_not_written_in_its_names(own, tmp_path):
    path = own("rcan", 2, image_skip="bicubic")
    for keys in ("official", "basicsr", "paddlegan"):
        with pytest.raises(WeightsError, match="Write --keys"):
            write_weights(tmp_path / "x.pdparams", load_weights(path), keys=keys)
    with pytest.raises(WeightsError, match="were trained"):
        write_weights(tmp_path / "x.pdparams", load_weights(own("rcan", 3)), keys="basicsr")
    with pytest.raises(UsageError, match="no such names for drn; expected one of own"):
        write_weights(tmp_path / "x.pdparams", load_weights(own("drn", 2)), keys="official")
    with pytest.raises(UsageError, match=r"expected one of \.safetensors"):
        write_weights(tmp_path / "x.npz", load_weights(path))
    assert not list(tmp_path.glob("x*"))


def test_round_trips_lose_no_byte(own, tmp_path, family_scale):
    path = own(*family_scale)
    assert main(["convert", str(path), str(tmp_path / "a.pdparams")]) == 0
    assert main(["convert", str(tmp_path / "a.pdparams"), str(tmp_path / "b.safetensors")]) == 0
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("family", "keys"), [("rcan", "official"), ("rcan", "paddlegan"), ("dual_regression", "paddlegan")]
)
def test_round_trips_through_upstream_names_lose_no_byte(own, tmp_path, family, keys):
    path = own(family, 4)
    write_weights(tmp_path / "a.pdparams", load_weights(path), keys=keys)
    assert main(["convert", str(tmp_path / "a.pdparams"), str(tmp_path / "b.safetensors")]) == 0
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_official_dual_models_go_to_a_second_file(own, tmp_path):
    path = own("dual_regression", 4)
    written = write_weights(tmp_path / "a.pdparams", load_weights(path), keys="official")
    assert [file.name for file in written] == ["a.pdparams", "a.dual.pdparams"]
    with pytest.raises(WeightsError, match="dual models of its own"):
        read_weights(path, dual=written[1])
    again = read_weights(written[0], dual=written[1])
    assert_equal(again.file.weights, load_weights(path).weights)


def test_averaged_weights_are_told_from_raw_ones(published, tmp_path):
    raw, ema = (published["filled"](published["basicsr"](16, 1, 1, 2), seed) for seed in (1, 2))
    (tmp_path / "x").write_bytes(pickle.dumps({"params": raw, "params_ema": ema}, protocol=4))
    for key, arrays, told in (("params", raw, "raw"), ("params_ema", ema, "ema")):
        file = read_weights(tmp_path / "x", key=key).file
        assert file.provenance["weights"] == told
        assert np.array_equal(file.weights["head.0.weight"], arrays["conv_first.weight"])


def test_the_command_says_what_it_took_the_file_for(published, tmp_path, dump, capsys):
    path = dump(tmp_path / "x.pdparams", published["filled"](published["rcan"](16, 2, 1, 3), 1))
    assert main(["convert", str(path), str(tmp_path / "y.safetensors"), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["format"], value["names"], value["spec_from"]) == ("paddle pickle", "RCAN", "names and shapes")
    assert value["spec"]["architecture"]["groups"] == 2
    assert load_weights(tmp_path / "y.safetensors").spec.id == value["spec"]["id"]
    assert main(["convert", str(path), str(tmp_path / "z.safetensors")]) == 0
    assert "published as RGB, 0 to 255" in capsys.readouterr().out


def test_a_spec_given_is_the_one_that_counts(own, tmp_path, capsys):
    path = own("drn", 2)
    spec = load_weights(path).spec
    other = make_spec_file(parse({"family": "drn", "scale": 2, "features": 16, "blocks": 3, "stages": 2}))
    (tmp_path / "other.json").write_text(json.dumps(other.to_json()))
    (tmp_path / "spec.json").write_text(json.dumps(make_spec_file(spec).to_json()))
    (tmp_path / "bare").write_bytes(pickle.dumps(load_weights(path).weights, protocol=4))
    out = tmp_path / "y.safetensors"
    assert main(["convert", str(tmp_path / "bare"), str(out)]) == 2
    assert main(["convert", str(tmp_path / "bare"), str(out), "--spec", str(tmp_path / "other.json")]) == 2
    assert "missing body.2." in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "bare"), str(out), "--spec", str(tmp_path / "spec.json")]) == 0
    assert main(["convert", str(path), str(tmp_path / "z.pdparams"), "--spec", str(tmp_path / "other.json")]) == 2
    assert "leave --spec out" in capsys.readouterr().err
    assert_equal(load_weights(out).weights, load_weights(path).weights)


def test_an_edited_description_is_refused(own, tmp_path):
    path = own("rcan", 2)
    write_weights(tmp_path / "a.pdparams", load_weights(path))
    data = (tmp_path / "a.pdparams").read_bytes()
    for old, new in ((b'"blocks": 1', b'"blocks": 9'), (b'"schema"', b'"schemb"'), (b"rcan-x2-", b"rcan-x3-")):
        assert old in data
        (tmp_path / "b.pdparams").write_bytes(data.replace(old, new))
        with pytest.raises(WeightsError, match=r"edited or damaged|got schema None"):
            read_weights(tmp_path / "b.pdparams")


def test_the_commands_of_the_documentation_parse():
    import shlex

    from shared.cli.main import make_parser

    text = (Path(__file__).parents[3] / "docs" / "convert.md").read_text()
    lines = [line.split("#")[0] for line in text.splitlines() if line.startswith("    gpnas-sr ")]
    assert len(lines) == 5
    for line in lines:
        _, command, *words = shlex.split(line)
        make_parser((command,)).parse_args(words)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())
