"""Logs that read as if the training had never stopped."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from train_torch.training.logs import MemberLog, read_log

pytestmark = pytest.mark.torch


def _write(path: Path, steps: range, *, start: int, tensorboard: Path | None = None) -> None:
    with MemberLog(path, tensorboard, step=start) as log:
        for step in steps:
            log.write({"step": step, "loss": 1 / step}, {"losses/total": 1 / step})


def test_lines_after_the_step_gone_back_to_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.jsonl"
    _write(path, range(1, 6), start=0)
    _write(path, range(4, 8), start=3)
    assert [line["step"] for line in read_log(path)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_new_training_starts_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, range(1, 6), start=0)
    _write(path, range(1, 3), start=0)
    assert [line["step"] for line in read_log(path)] == [1, 2]


def test_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, range(1, 4), start=0)
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in read_log(path)] == [1, 2, 3]
    _write(path, range(4, 5), start=3)
    assert [line["step"] for line in read_log(path)] == [1, 2, 3, 4]


def test_numbers_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with MemberLog(tmp_path / "a.jsonl", None, step=0) as log, pytest.raises(ValueError, match="JSON compliant"):
        log.write({"step": 1, "loss": float("nan")}, {})


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    _write(tmp_path / "a.jsonl", range(1, 6), start=0, tensorboard=folder)
    _write(tmp_path / "a.jsonl", range(4, 8), start=3, tensorboard=folder)
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = events.Scalars("losses/total")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5, 6, 7]
    assert scalars[-1].value == pytest.approx(1 / 7)
