"""The journal: what survives a kill, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from search_paddle.journal import Journal
from shared.errors import UsageError
from shared.records.journal import JournalHeader, read_journal
from shared.records.trial import Trial

HEADER = JournalHeader(config={"seed": 0, "proxy": {"steps": 3}}, space_sha256="ab", data_sha256="cd")


def trial(number: int, **fields: Any) -> Trial:
    return Trial(
        **{
            "trial": number,
            "round": 0,
            "id": f"drn-x2-{number:012x}",
            "point": {"family": "drn", "features": 16},
            "architecture": {"family": "drn"},
            "status": "done",
            "reason": None,
            "score": 29.123456789012345,
            "bicubic": 28.5,
            "psnr_rgb": {"a": 29.1},
            "predicted": {"mean": 29.0, "std": 0.5},
            "curve": ((0, 0.1), (2, 1 / 3)),
            "steps": 3,
            "seed": 0,
            "seconds": 1.5,
            "elapsed": 2.5,
            "cost": {"parameters": 10, "macs_per_pixel": 2.5},
            **fields,
        }
    )


def write(path: Path, numbers: range) -> None:
    with Journal.open(path, HEADER) as journal:
        for number in numbers:
            journal.append(trial(number))


def test_what_was_appended_is_read_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    write(path, range(2))
    with Journal.open(path, HEADER) as journal:
        assert journal.trials == {0: trial(0), 1: trial(1)}
        journal.append(trial(2, status="failed", score=None, reason="loss is nan"))
    header, trials = read_journal(path)
    assert header == HEADER
    assert [each.trial for each in trials] == [0, 1, 2]
    assert trials[0].curve == ((0, 0.1), (2, 1 / 3))
    assert trials[2].reason == "loss is nan"


def test_each_line_is_json_without_nan(tmp_path: Path) -> None:
    write(tmp_path / "j", range(1))
    with pytest.raises(ValueError, match="finite"):
        trial(1, score=float("nan"))
    lines = (tmp_path / "j").read_text().splitlines()
    assert [json.loads(line).get("trial") for line in lines] == [None, 0]


def test_cut_anywhere_it_reads_as_the_whole_lines_before_the_cut_and_goes_on(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write(whole, range(3))
    data = whole.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for cut in [*range(0, len(data), 17), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])]:
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(data[:cut])
        kept = max(sum(end <= cut for end in ends) - 1, 0)  # the header is no trial
        with Journal.open(path, HEADER) as journal:
            assert sorted(journal.trials) == list(range(kept)), cut
            for number in range(kept, 3):
                journal.append(trial(number))
        assert path.read_bytes() == data, cut


def test_reading_leaves_a_torn_journal_alone(tmp_path: Path) -> None:
    write(tmp_path / "j", range(2))
    data = (tmp_path / "j").read_bytes()[:-5]
    (tmp_path / "j").write_bytes(data)
    assert len(read_journal(tmp_path / "j")[1]) == 1
    assert (tmp_path / "j").read_bytes() == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line[:-20] + "\n", "line 2: .*expected a JSON object"),
        (lambda line: "[1]\n", "line 2: got list"),
        (lambda line: line.replace('"score"', '"scores"'), "line 2: .*unknown field 'scores'"),
        (lambda line: line.replace('"done"', '"failed"'), "line 2: status failed with score"),
        (lambda line: line.replace('"trial": 0', '"trial": 1'), "line 3: got trial 1 a second time"),
    ],
)
def test_a_broken_line_that_ends_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "j"
    write(path, range(2))
    header, first, second = path.read_text().splitlines(keepends=True)
    path.write_text(header + change(first) + second)
    with pytest.raises(UsageError, match=message):
        Journal.open(path, HEADER)
    with pytest.raises(UsageError, match=message):
        read_journal(path)


def test_another_searchs_journal_is_refused_by_the_names_that_differ_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, range(1))
    data = path.read_bytes() + b'{"torn'
    path.write_bytes(data)
    other = JournalHeader(config={"seed": 0, "proxy": {"steps": 4}}, space_sha256="ab", data_sha256="ef")
    with pytest.raises(UsageError, match="another search") as caught:
        Journal.open(path, other)
    assert "config.proxy.steps: 3 there, 4 here; data_sha256: 'cd' there, 'ef' here;" in str(caught.value)
    assert "space_sha256" not in str(caught.value)
    assert path.read_bytes() == data


def test_two_searches_cannot_write_one_journal(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", HEADER), pytest.raises(UsageError, match="another search writes it now"):
        Journal.open(tmp_path / "j", HEADER)
    Journal.open(tmp_path / "j", HEADER).__exit__(None, None, None)  # free again


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"schema": "gpnas-sr/journal/2"}\n')
    with pytest.raises(UsageError, match="'gpnas-sr/journal/2'"):
        read_journal(tmp_path / "j")
    with pytest.raises(UsageError, match="got schema 'gpnas-sr/journal/2', expected 'gpnas-sr/journal/1'"):
        Journal.open(tmp_path / "j", HEADER)


def test_a_search_killed_before_its_header_has_no_trials(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"schema": "gpnas-sr/jou')
    assert read_journal(tmp_path / "j") == (None, ())


def test_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_journal(tmp_path / "none")
