import json
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.report.read import read_runs
from shared.spec import read_spec_file


def members(folder):
    return [each["id"] for each in json.loads((folder / "suite.json").read_text())["members"]]


def test_every_kind_is_recognised_in_the_sub_folders_of_one(demo):
    runs = read_runs([demo])
    assert [run.label for run in (*runs.searches, *runs.trainings, *runs.ablations)] == ["search", "train", "ablation"]
    assert read_runs([demo / "ablation", demo / "search", demo / "train"]) == runs


def test_a_training_run_with_its_ablation_inside_is_both(demo):
    (demo / "ablation").rename(demo / "train" / "ablation")
    runs = read_runs([demo / "train"])
    assert (len(runs.searches), len(runs.trainings), len(runs.ablations)) == (0, 1, 1)


def test_a_folder_given_twice_counts_once(demo):
    assert len(read_runs([demo, demo / "search"]).searches) == 1


def test_labels_tell_runs_of_one_name_apart(demo, tmp_path):
    (tmp_path / "b").mkdir()
    (demo / "search").rename(tmp_path / "b" / "search")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "search").mkdir()
    (tmp_path / "a" / "search" / "journal.jsonl").write_bytes(
        (tmp_path / "b" / "search" / "journal.jsonl").read_bytes()
    )
    assert [run.label for run in read_runs([tmp_path / "b", tmp_path / "a"]).searches] == ["b/search", "a/search"]


def test_every_field_of_a_trial_is_read(demo):
    (search,) = read_runs([demo / "search"]).searches
    assert len(search.trials) == 12  # the line cut short at the end is no trial
    lines = (demo / "search" / "journal.jsonl").read_text().splitlines()[1:13]
    for trial, line in zip(search.trials, map(json.loads, lines), strict=True):
        assert {name: value for name, value in trial.to_json().items() if name in line} == line


def test_journal_lines_in_another_order_give_the_same(demo):
    path = demo / "search" / "journal.jsonl"
    (before,) = read_runs([demo / "search"]).searches
    header, *lines, _ = path.read_text().split("\n")
    path.write_text("\n".join([header, *reversed(lines), ""]))
    (after,) = read_runs([demo / "search"]).searches
    assert after.trials == before.trials


def test_training_keeps_the_order_of_its_members(demo):
    (training,) = read_runs([demo / "train"]).trainings
    ids = members(demo / "train")
    assert list(training.logs) == ids
    assert [line.step for line in training.logs[ids[0]]] == list(range(50, 2001, 50))  # without the torn last line
    assert training.specs == {each: read_spec_file(demo / "train" / "archive" / f"{each}.json") for each in ids}
    assert training.provenance[ids[1]]["software"]["torch"] == "2.13.0"


def test_unfinished_runs_are_read(demo):
    for name in ("search/suite.json", "search/run.json", "train/suite.json", "train/train.json"):
        (demo / name).unlink()
    runs = read_runs([demo])
    assert runs.searches[0].members == ()
    assert runs.searches[0].facts is runs.trainings[0].facts is None
    assert len(runs.trainings[0].logs) == 2


def test_examples_without_their_pictures_are_named(demo):
    (demo / "ablation" / "images" / "pair_1" / "hr.png").unlink()
    (ablation,) = read_runs([demo]).ablations
    assert [each.name for each in ablation.examples] == ["pair_0"]
    assert ablation.incomplete == ("pair_1",)


def test_a_folder_without_runs_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match=r"got a folder with notes\.txt; expected journal\.jsonl .* --out folder"):
        read_runs([tmp_path])
    with pytest.raises(UsageError, match="no such folder"):
        read_runs([tmp_path / "absent"])


LOG = "train/logs/<id>.jsonl"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("search/journal.jsonl", "journal/1", "journal/2", "expected 'gpnas-sr/journal/1'"),
        ("search/journal.jsonl", '"status": "failed"', '"status": "odd"', "line 7: status"),
        ("search/run.json", "search-run/1", "search-run/2", "got schema 'gpnas-sr/search-run/2'"),
        ("search/suite.json", '"members"', '"people"', "field 'members' is missing"),
        (LOG, '"step": 100,', '"step": "x",', "line 2: step"),
        ("ablation/ablation.json", "ablation/1", "ablation/2", "schema"),
        ("ablation/ablation.json", '"pair_1"]', '"../../search"]', "expected the name of a folder"),
    ],
)
def test_broken_files_are_refused_by_name(demo, name, old, new, message):
    path = demo / name.replace("<id>", members(demo / "train")[0])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=message) as caught:
        read_runs([demo])
    assert path.name in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x10\0\0\0\0\0\0\0not json at all", b"\2\0\0\0\0\0\0\0{}", b"\xff" * 64])
def test_a_broken_weights_file_is_refused_by_name(demo, data):
    path: Path = next((demo / "train" / "members").iterdir())
    path.write_bytes(data)
    with pytest.raises(UsageError, match=path.name):
        read_runs([demo])


def test_unknown_fields_of_later_writers_are_let_pass(demo):
    path = demo / "ablation" / "ablation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"later": 1}))
    assert read_runs([demo]).ablations[0].table.crop == 4
