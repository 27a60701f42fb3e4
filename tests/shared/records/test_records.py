"""Files of earlier runs are read and written again with the same bytes; other schemas and broken fields are refused."""

import json
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.records.ablation import AblationTable
from shared.records.evaluation import Evaluation
from shared.records.journal import JournalHeader, read_journal
from shared.records.preparation import PreparationReport
from shared.records.record import Record, parse_record, parse_value, read_record
from shared.records.search_facts import SearchFacts
from shared.records.training_facts import TrainingFacts
from shared.records.training_log import read_log
from shared.records.trial import ORDER, ProxyResult, Trial

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = [
    (SearchFacts, GOLDEN / "search" / "run.json"),
    (TrainingFacts, GOLDEN / "train" / "train.json"),
    (AblationTable, GOLDEN / "train" / "ablation.json"),
]
LINE = json.loads((GOLDEN / "search" / "journal.jsonl").read_text().splitlines()[1])


@pytest.mark.parametrize(("model", "path"), FILES, ids=lambda value: getattr(value, "name", None))
def test_files_are_written_as_they_were_read(model: type[Record], path: Path) -> None:
    value = read_record(model, path).to_json()
    assert json.dumps(value, indent=2, ensure_ascii=False) + "\n" == path.read_text()
    assert json.dumps(dict(reversed(value.items()))) != json.dumps(value)  # the control: order counts


def test_lines_of_journals_and_logs_are_written_as_they_were_read() -> None:
    path = GOLDEN / "search" / "journal.jsonl"
    header, trials = read_journal(path)
    assert header is not None
    written = [json.dumps(each.to_json(), ensure_ascii=False) for each in (header, *trials)]
    assert sorted(written) == sorted(path.read_text().splitlines())
    for log in (GOLDEN / "train" / "logs").iterdir():
        assert [json.dumps(line.to_json()) for line in read_log(log)] == log.read_text().splitlines()


def test_the_answer_of_evaluate_keeps_its_form() -> None:
    value = json.loads((GOLDEN / "evaluate.answer.json").read_text())
    assert json.dumps(parse_value(Evaluation, value, "answer").to_json()) == json.dumps(value)


def test_every_field_of_a_trial_has_a_place_in_its_line() -> None:
    assert sorted(ORDER) == sorted(Trial.model_fields)


@pytest.mark.parametrize("model", [SearchFacts, TrainingFacts, AblationTable, JournalHeader, PreparationReport])
@pytest.mark.parametrize("schema", [{}, {"schema": "gpnas-sr/other/9"}])
def test_another_schema_is_refused_with_the_expected_one(model: type[Record], schema: dict[str, str]) -> None:
    expected = model.model_fields["schema_"].default
    with pytest.raises(
        UsageError, match=f"got schema .*, expected '{expected}'; a file of a newer version needs a newer"
    ):
        parse_record(model, json.dumps(schema).encode(), "file")


def test_a_line_of_an_earlier_version_lacks_what_came_later() -> None:
    old = {name: value for name, value in LINE.items() if name not in ("validation", "residuals")}
    trial = parse_value(Trial, old, "line")
    assert (trial.validation, trial.residuals) == ((), None)
    assert trial.score == LINE["score"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "odd"}, "status: got 'odd'"),
        ({"status": "stopped"}, "status stopped with score"),
        ({"status": "stopped", "score": None}, "a reason and no score for stopped"),
        ({"reason": "why"}, "expected a score and no reason for done"),
        ({"score": float("nan")}, "score: got nan"),
        ({"steps": "8"}, "steps: got '8'"),
        ({"stepps": 8}, "unknown field 'stepps' .*did you mean 'steps'"),
    ],
)
def test_a_trial_that_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=f"line 3: .*{message}"):
        parse_value(Trial, LINE | change, "line 3")
    parse_value(Trial, LINE, "line 3")


def test_a_result_without_its_curve_is_refused() -> None:
    result = {name: LINE[name] for name in ProxyResult.model_fields}
    parse_value(ProxyResult, result, "answer")
    del result["curve"]
    with pytest.raises(UsageError, match="field 'curve' is missing"):
        parse_value(ProxyResult, result, "answer")


@pytest.mark.parametrize(
    ("data", "message"), [(b"[1]", "got list"), (b"{", "expected a JSON object"), (b"\xff", "utf-8")]
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(UsageError, match=f"run.json: .*{message}"):
        read_record(SearchFacts, tmp_path / "run.json")
    with pytest.raises(UsageError, match="no such file"):
        read_record(SearchFacts, tmp_path / "absent.json")
