import numpy as np
import pytest
import torch

from shared.errors import UsageError, WeightsError
from shared.records.archive import Archive
from shared.records.suite import Member, Suite, write_suite
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse
from train_torch.ensemble import load_suite
from train_torch.network import build, get_weights

pytestmark = pytest.mark.torch

SPECS = [
    parse({"family": "drn", "scale": 2, "features": 8, "blocks": 1, "stages": 2, "reduction": 4}),
    parse({"family": "rcan", "scale": 2, "features": 8, "groups": 1, "blocks": 1, "reduction": 4}),
]


def write_member(folder, spec, weight=1.0, *, weights_of=None):
    spec_path = Archive(folder / "archive").add(make_spec_file(spec, search=None))
    path = folder / "members" / f"{spec.id}.safetensors"
    saved = weights_of or spec
    save_weights(path, get_weights(build(saved, seed=3)), saved, {})
    return Member(spec=spec, spec_path=spec_path, weights_path=path, weight=weight)


@pytest.fixture
def folder(tmp_path):
    members = tuple(write_member(tmp_path, spec, weight) for spec, weight in zip(SPECS, (1.0, 3.0), strict=True))
    write_suite(tmp_path / "suite.json", Suite(scale=2, members=members))
    return tmp_path


def test_a_suite_gives_its_networks_weights_and_scale(folder):
    x = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    for path in (folder, str(folder / "suite.json")):
        members, weights, scale = load_suite(path)
        assert (list(weights), scale) == ([1.0, 3.0], 2)
        for network, spec in zip(members, SPECS, strict=True):
            expected = build(spec, seed=3)
            assert not network.training
            for name, array in get_weights(expected).items():
                assert np.array_equal(get_weights(network)[name], array)
            assert torch.allclose(network(x), expected(x), rtol=0, atol=1e-6)


def test_one_weights_file_is_a_suite(folder):
    (network,), weights, scale = load_suite(folder / "members" / f"{SPECS[0].id}.safetensors")
    assert (list(weights), scale) == ([1.0], 2)
    assert network(torch.zeros(1, 3, 4, 4)).shape == (1, 3, 8, 8)


def test_an_untrained_member_is_refused_with_the_remedy(folder):
    spec_path = folder / "archive" / f"{SPECS[0].id}.json"
    bare = Member(spec=SPECS[0], spec_path=spec_path, weights_path=None, weight=1.0)
    write_suite(folder / "suite.json", Suite(scale=2, members=(bare,)))
    with pytest.raises(UsageError, match=r"no weights yet.*gpnas-sr train"):
        load_suite(folder)


def test_weights_of_another_network_are_refused(tmp_path):
    wrong = write_member(tmp_path, SPECS[0], weights_of=SPECS[1])
    write_suite(tmp_path / "suite.json", Suite(scale=2, members=(wrong,)))
    with pytest.raises(UsageError, match=f"{SPECS[1].id}, the suite names {SPECS[0].id}"):
        load_suite(tmp_path)


def test_a_missing_weights_file_is_named(folder):
    (folder / "members" / f"{SPECS[1].id}.safetensors").unlink()
    with pytest.raises(WeightsError, match=f"{SPECS[1].id}.*no such file"):
        load_suite(folder)
