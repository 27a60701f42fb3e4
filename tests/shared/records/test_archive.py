import json

import pytest

from shared.errors import SpecError, UsageError
from shared.records.archive import Archive, diff
from shared.spec import make_spec_file, parse

DRN = make_spec_file(parse({"family": "drn", "scale": 4, "features": 32, "blocks": 2, "stages": 3}), {"run": "a"})
RCAN = make_spec_file(parse({"family": "rcan", "scale": 4, "features": 32, "groups": 2, "blocks": 3}))


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.add(DRN)
    archive.add(RCAN)
    return archive


def test_specs_come_back(archive):
    assert archive.ids() == sorted([DRN.id, RCAN.id])
    assert archive.read(DRN.id) == DRN
    assert archive.verify() == []


def test_a_second_find_keeps_the_first_file(archive):
    before = archive.path(DRN.id).read_bytes()
    archive.add(make_spec_file(DRN.spec, {"run": "b"}))
    assert archive.path(DRN.id).read_bytes() == before


def test_verify_finds_every_kind_of_damage(archive):
    value = DRN.to_json()
    value["architecture"]["blocks"] = 9
    archive.path(DRN.id).write_text(json.dumps(value))
    archive.path("rcan-x4-000000000000").write_text(json.dumps(RCAN.to_json()))
    archive.path("broken").write_text("{")
    problems = archive.verify()
    assert len(problems) == 3
    assert any("one of them was edited" in problem for problem in problems)
    assert any(f"expected the name {RCAN.id}.json" in problem for problem in problems)


def test_what_is_not_there_is_an_error(archive, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        archive.read("drn-x4-none")
    with pytest.raises(UsageError, match="no such folder"):
        Archive(tmp_path / "none").ids()
    archive.path(DRN.id).write_text("[]")
    with pytest.raises(SpecError):
        archive.add(DRN)


def test_diff_names_the_fields(archive):
    fields = diff(DRN, RCAN)
    assert fields["family"] == {"a": "drn", "b": "rcan"}
    assert fields["stages"] == {"a": 3, "b": None}
    assert "features" not in fields
    assert diff(DRN, DRN) == {}
