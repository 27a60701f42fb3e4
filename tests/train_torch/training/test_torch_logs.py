"""Logs that read as if the training had never stopped."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from shared.records.training_log import LogLine, read_log
from train_torch.training.logs import MemberLog

pytestmark = pytest.mark.torch


def line(step: int, loss: float) -> LogLine:
    return LogLine(
        step=step,
        loss=loss,
        terms={},
        learning_rate=1e-4,
        gradient_norm=0.1,
        psnr_rgb=None,
        best=None,
        seconds_per_step=0.1,
    )


def _write(path: Path, steps: range, *, start: int, tensorboard: Path | None = None) -> None:
    with MemberLog(path, tensorboard, step=start) as log:
        for step in steps:
            log.write(line(step, 1 / step))


def test_lines_after_the_step_gone_back_to_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.jsonl"
    _write(path, range(1, 6), start=0)
    _write(path, range(4, 8), start=3)
    assert [entry.step for entry in read_log(path)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_new_training_starts_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, range(1, 6), start=0)
    _write(path, range(1, 3), start=0)
    assert [entry.step for entry in read_log(path)] == [1, 2]


def test_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, range(1, 4), start=0)
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [entry.step for entry in read_log(path)] == [1, 2, 3]
    _write(path, range(4, 5), start=3)
    assert [entry.step for entry in read_log(path)] == [1, 2, 3, 4]


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="finite number"):
        line(1, float("nan"))


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    _write(tmp_path / "a.jsonl", range(1, 6), start=0, tensorboard=folder)
    _write(tmp_path / "a.jsonl", range(4, 8), start=3, tensorboard=folder)
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = events.Scalars("losses/total")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5, 6, 7]
    assert scalars[-1].value == pytest.approx(1 / 7)
