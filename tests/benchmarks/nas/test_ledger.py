"""Finished work is kept, whatever cuts a run off."""

import json

import pytest

from benchmarks.nas.ledger import Ledger, source_id

FIELDS = ("method", "seed")


def test_lines_are_found_again(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    Ledger(path, FIELDS).add({"method": "a", "seed": 1, "rank": 3})
    ledger = Ledger(path, FIELDS)
    assert ledger.has(method="a", seed=1)
    assert not ledger.has(method="a", seed=2)
    assert ledger.lines["a", 1]["rank"] == 3


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_cut_line_is_dropped_and_the_next_one_is_whole(tmp_path, kept):
    path = tmp_path / "lines.jsonl"
    ledger = Ledger(path, FIELDS)
    ledger.add({"method": "a", "seed": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    ledger = Ledger(path, FIELDS)
    assert list(ledger.lines) == [("a", 1)]
    ledger.add({"method": "b", "seed": 2})
    assert [json.loads(line)["method"] for line in path.read_text().splitlines()] == ["a", "b"]


def test_nan_is_refused_before_it_is_written(tmp_path):
    ledger = Ledger(tmp_path / "lines.jsonl", FIELDS)
    with pytest.raises(ValueError, match="JSON"):
        ledger.add({"method": "a", "seed": 1, "rank": float("nan")})
    assert Ledger(ledger.path, FIELDS).lines == {}


def test_the_source_id_follows_names_and_content(tmp_path):
    first = tmp_path / "a.py"
    first.write_text("x = 1\n")
    before = source_id(tmp_path)
    assert source_id(tmp_path, without=("a.py",)) != before
    (tmp_path / "notes.md").write_text("not code")
    assert source_id(tmp_path) == before
    first.write_text("x = 2\n")
    changed = source_id(tmp_path)
    first.rename(tmp_path / "b.py")
    assert len({before, changed, source_id(tmp_path)}) == 3
