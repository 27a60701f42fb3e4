import json

import pytest

from shared.errors import SpecError, UsageError, WeightsError
from shared.network.families import build_graph
from shared.network.initialization import initial_weights
from shared.records.archive import Archive
from shared.records.suite import Member, Suite, read_suite, write_suite
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse

SPECS = [
    parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 1}),
    parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1}),
]


@pytest.fixture
def folder(tmp_path):
    archive = Archive(tmp_path / "archive")
    members = []
    for spec in SPECS:
        weights = tmp_path / "members" / f"{spec.id}.safetensors"
        save_weights(weights, initial_weights(build_graph(spec)), spec, {})
        spec_path = archive.add(make_spec_file(spec))
        members.append(Member(spec=spec, spec_path=spec_path, weights_path=weights, weight=0.5))
    write_suite(tmp_path / "suite.json", Suite(scale=2, members=tuple(members)))
    return tmp_path


def edit(folder, change):
    value = json.loads((folder / "suite.json").read_text())
    change(value)
    (folder / "suite.json").write_text(json.dumps(value))


def test_a_suite_is_read_from_file_and_folder_and_moves_with_it(folder):
    suite = read_suite(folder)
    assert [member.spec for member in suite.members] == SPECS
    moved = folder.rename(folder.with_name("moved"))
    assert [m.weights_path.is_file() for m in read_suite(moved / "suite.json").members] == [True, True]


def test_one_weights_file_is_a_suite(folder):
    suite = read_suite(folder / "members" / f"{SPECS[0].id}.safetensors")
    assert (suite.scale, len(suite.members)) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema="gpnas-sr/suite/2"), "got schema 'gpnas-sr/suite/2'"),
        (lambda v: v["members"][0].update(wieght=1), "unknown field 'members.0.wieght'"),
        (lambda v: v["members"][0].update(weight=-1.0), "weight: got -1.0"),
        (lambda v: v.update(scale=4), "expected 4 in all"),
        (lambda v: v.update(members=[]), "members"),
        (lambda v: v["members"][0].update(spec=v["members"][1]["spec"]), "one of them was replaced"),
    ],
)
def test_a_wrong_suite_is_refused(folder, change, message):
    edit(folder, change)
    with pytest.raises(SpecError, match=message):
        read_suite(folder)


def test_all_weights_zero_is_refused(folder):
    edit(folder, lambda v: [m.update(weight=0.0) for m in v["members"]])
    with pytest.raises(UsageError, match="at least one positive"):
        read_suite(folder)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_suite(tmp_path / "none" / "suite.json")
    with pytest.raises(WeightsError, match="no such file"):
        read_suite(tmp_path / "none.safetensors")
