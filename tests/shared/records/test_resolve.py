"""Every word that a command takes for networks: what it stands for, and how a wrong one is refused."""

import json

import pytest

from shared.errors import SpecError, UsageError, WeightsError
from shared.network.families import build_graph
from shared.network.initialization import initial_weights
from shared.records.archive import Archive
from shared.records.resolve import load_member, resolve, spec_file
from shared.records.suite import Member, Suite, write_suite
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse

SPECS = [
    parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 1}),
    parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1}),
]


@pytest.fixture
def run(tmp_path):
    """A run folder: the first member is trained, the second one is not."""
    archive = Archive(tmp_path / "archive")
    paths = [archive.add(make_spec_file(spec, {"run": "r"})) for spec in SPECS]
    weights = tmp_path / "w.safetensors"
    save_weights(weights, initial_weights(build_graph(SPECS[0])), SPECS[0], {})
    members = (
        Member(spec=SPECS[0], spec_path=paths[0], weights_path=weights, weight=0.7),
        Member(spec=SPECS[1], spec_path=paths[1], weights_path=None, weight=0.3),
    )
    write_suite(tmp_path / "suite.json", Suite(scale=2, members=members))
    return tmp_path


@pytest.mark.parametrize("name", ["", "suite.json", "renamed.json"])
def test_a_folder_and_a_suite_file_stand_for_its_members(run, name):
    (run / "renamed.json").write_text((run / "suite.json").read_text())
    found = resolve(run / name)
    assert (found.kind, [member.spec for member in found.members]) == ("suite", SPECS)
    assert [member.weight for member in found.members] == [0.7, 0.3]
    assert spec_file(found.members[1]).search == {"run": "r"}


def test_a_weights_file_carries_its_spec(run):
    found = resolve(run / "w.safetensors")
    assert (found.kind, found.one().spec) == ("weights", SPECS[0])
    assert load_member(found.one()).spec == SPECS[0]
    assert spec_file(found.one()).id == SPECS[0].id


def test_a_spec_file_and_a_bare_architecture_have_no_weights(run):
    bare = run / "bare.json"
    bare.write_text(json.dumps(SPECS[0].architecture()))
    for path in (run / "archive" / f"{SPECS[0].id}.json", bare):
        found = resolve(str(path))
        assert (found.kind, found.one().spec, found.one().weights_path) == ("spec", SPECS[0], None)
    assert spec_file(resolve(bare).one()).search is None


def test_a_preset_takes_the_scale_of_the_caller(run):
    assert resolve("drn-star", scale=3).one().spec == parse("drn-star", scale=3)
    assert resolve(run, scale=3).members[0].spec.scale == 2  # the others have their own
    with pytest.raises(UsageError, match=r"no scale of its own; got none, expected --scale 2, 3 or 4"):
        resolve("drn-star")


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("nowhere", UsageError, r"no such file or folder; expected .* preset: drn-star"),
        ("drn-sta", UsageError, r"did you mean 'drn-star'"),
        ("nowhere.safetensors", WeightsError, r"no such file; expected a weights file"),
        ("archive", UsageError, r"no suite\.json in it; expected the folder of a finished search or training"),
        ("foreign.pth", UsageError, r"gpnas-sr convert"),
        ("list.json", SpecError, r"got a JSON list"),
        ("other.json", SpecError, r"got schema 'other/1', expected 'gpnas-sr/spec/1'"),
    ],
)
def test_what_is_none_of_them_is_refused(run, monkeypatch, word, error, message):
    monkeypatch.chdir(run)
    (run / "foreign.pth").write_bytes(b"\x80\x02}q\x00.")
    (run / "list.json").write_text("[]")
    (run / "other.json").write_text('{"schema": "other/1"}')
    with pytest.raises(error, match=message):
        resolve(word)


def test_one_network_is_not_several(run):
    with pytest.raises(UsageError, match=rf"got a suite of 2 networks \({SPECS[0].id}, .*expected one"):
        resolve(run).one()


def test_weights_are_those_of_the_member(run):
    trained, untrained = resolve(run).members
    assert load_member(trained).weights.keys() == initial_weights(build_graph(SPECS[0])).keys()
    with pytest.raises(UsageError, match=r"no weights yet.*gpnas-sr train"):
        load_member(untrained)
    swapped = Member(spec=SPECS[1], spec_path=None, weights_path=trained.weights_path, weight=1.0)
    with pytest.raises(UsageError, match=f"{SPECS[0].id}, the suite names {SPECS[1].id}; one was replaced"):
        load_member(swapped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"family": "rcan", "scale": 4, "features": 16, "groups": 1, "blocks": 1' + "0" * 30 + "}",
            "blocks: got 1000",
        ),
        ('{"family": "rcan", "scale": 4, "fetures": 16, "groups": 1, "blocks": 1}', "did you mean 'features'"),
        ("[" * 100_000 + "]" * 100_000, "nested without end"),
        ('{"family": "rcan", "scale', "Unterminated string"),
    ],
    ids=["huge number", "typo", "deep", "cut"],
)
def test_a_broken_json_file_is_named_with_its_own_fault(tmp_path, text, message):
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        resolve(path)
    assert str(path) in str(raised.value)


def test_a_suite_of_a_newer_version_is_refused_as_a_suite(tmp_path):
    path = tmp_path / "newer.json"
    path.write_text('{"schema": "gpnas-sr/suite/9", "scale": 4, "members": []}')
    with pytest.raises(SpecError, match="got schema 'gpnas-sr/suite/9', expected 'gpnas-sr/suite/1'"):
        resolve(path)
