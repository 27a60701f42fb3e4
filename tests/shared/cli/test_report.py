import json
import subprocess
import sys

import pytest

from shared.cli.main import main


@pytest.fixture
def search(tmp_path):
    """A search that has only begun."""
    folder = tmp_path / "runs" / "search"
    folder.mkdir(parents=True)
    header = {"schema": "gpnas-sr/journal/1", "config": {}, "space_sha256": "5" * 64, "data_sha256": "d" * 64}
    (folder / "journal.jsonl").write_text(json.dumps(header) + "\n")
    return folder


def test_the_page_is_written_and_the_rest_is_named(search, tmp_path, capsys):
    out = tmp_path / "new" / "report.html"
    assert main(["report", str(search.parent), "--out", str(out), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["report"] == str(out)
    assert value["bytes"] == out.stat().st_size
    assert (value["searches"], value["trainings"], value["ablations"]) == (["search"], [], [])
    assert {each["section"] for each in value["missing"]} >= {"results", "table", "pictures", "training"}
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_text_names_page_and_runs(search, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert main(["report", str(search), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert str(out) in text
    assert "search" in text
    assert "results, pictures, crops, table: gpnas-sr ablate" in text  # one command that makes four sections, said once
    assert text.count("gpnas-sr ablate") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "no such folder"),
        (["."], "expected journal.jsonl"),
        (["runs", "--out", "runs"], "this is a folder"),
        (["runs", "--examples", "-1"], "expected 0 or more"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_writes_nothing(search, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    if words == ["."]:
        monkeypatch.chdir(search)
        (search / "journal.jsonl").unlink()
    assert main(["report", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))


def test_no_framework_is_loaded(search, tmp_path):
    code = "import sys; from shared.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    words = ["report", str(search), "--out", str(tmp_path / "report.html")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "jinja2" in loaded
    assert not loaded & {"torch", "paddle", "search_paddle", "train_torch"}
