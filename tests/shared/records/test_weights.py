import numpy as np
import pytest

from shared.errors import WeightsError
from shared.network.families import build_graph, dual_graphs
from shared.network.initialization import initial_weights, random_weights
from shared.records.weights import load_weights, save_weights, write_arrays
from shared.spec import parse

SPEC = parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1})
DUAL = parse({"family": "dual_regression", "scale": 4, "features": 16, "blocks": 1})
WEIGHTS = random_weights(build_graph(SPEC), 1)


def test_weights_come_back_bit_for_bit(tmp_path):
    save_weights(tmp_path / "w.safetensors", WEIGHTS, SPEC, {"steps": 3})
    file = load_weights(tmp_path / "w.safetensors")
    assert file.spec == SPEC
    assert file.provenance == {"steps": 3}
    assert file.weights.keys() == WEIGHTS.keys()
    assert all(np.array_equal(file.weights[name], array) for name, array in WEIGHTS.items())


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, WEIGHTS, SPEC, {"steps": 3, "seed": 1, "data": "x"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_view_is_written_as_it_reads(tmp_path):
    name = "body.0.body.0.body.0.weight"
    view = WEIGHTS[name].transpose(1, 0, 3, 2)
    save_weights(tmp_path / "w", WEIGHTS | {name: view}, SPEC, {})
    assert np.array_equal(load_weights(tmp_path / "w").weights[name], view)


def test_dual_models_stand_beside_the_network(tmp_path):
    dual = {f"dual.{i}.{k}": v for i, g in enumerate(dual_graphs(DUAL)) for k, v in initial_weights(g, i).items()}
    network = initial_weights(build_graph(DUAL))
    save_weights(tmp_path / "w", network | dual, DUAL, {})
    file = load_weights(tmp_path / "w")
    assert file.network.keys() == network.keys()
    assert len(file.weights) == len(network) + 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.0.bias": None}, "missing head.0.bias"),
        ({"head.1.bias": np.zeros(3, np.float32)}, "unexpected head.1.bias"),
        ({"head.0.bias": np.zeros(15, np.float32)}, r"has shape \(15,\), expected \(16,\)"),
        ({"head.0.bias": np.zeros(16, np.int64)}, "is int64"),
        ({"head.0.bias": np.full(16, np.nan, np.float32)}, "NaN or an infinity"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, change, message):
    weights = {name: array for name, array in (WEIGHTS | change).items() if array is not None}
    with pytest.raises(WeightsError, match=message):
        save_weights(tmp_path / "w", weights, SPEC, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_cut_file_is_refused(tmp_path, length):
    path = tmp_path / "w"
    save_weights(path, WEIGHTS, SPEC, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        load_weights(path)


def test_foreign_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file(WEIGHTS, tmp_path / "foreign")
    with pytest.raises(WeightsError, match="convert foreign files first"):
        load_weights(tmp_path / "foreign")
    write_arrays(tmp_path / "newer", WEIGHTS, {"schema": "gpnas-sr/weights/9"})
    with pytest.raises(WeightsError, match="newer schema needs a newer"):
        load_weights(tmp_path / "newer")
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(tmp_path / "none")


def test_initial_weights_depend_on_seed_and_name_alone():
    small, deep = (build_graph(SPEC.model_copy(update={"groups": groups})) for groups in (1, 3))
    a, b, other = initial_weights(small, 5), initial_weights(deep, 5), initial_weights(small, 6)
    assert np.array_equal(a["head.0.weight"], b["head.0.weight"])
    assert not np.array_equal(a["head.0.weight"], other["head.0.weight"])


def test_initial_weights_are_pytorchs_uniform():
    weight = initial_weights(build_graph(parse("rcan", scale=2)))["body.0.body.0.body.0.weight"]
    bound = 1 / np.sqrt(64 * 9)
    assert np.abs(weight).max() <= bound
    assert np.abs(weight).max() > 0.999 * bound
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
