"""Settings of a training: strict, checked against the data's scale before the first step."""

from pathlib import Path

import pytest

from shared.errors import UsageError
from train_torch.config import TrainConfig, make_config, read_config


def test_defaults_are_the_papers() -> None:
    config = TrainConfig()
    assert (config.patch, config.augment, config.ms_ssim_levels) == (120, True, 5)
    assert config.l1_weight > 0
    assert config.ms_ssim_weight > 0


def test_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("stepps = 10\n")
    with pytest.raises(UsageError, match=r"train\.toml: unknown field 'stepps' \(did you mean 'steps'\?\)"):
        read_config(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": "10"}, "steps: got '10'"),
        ({"steps": True}, "steps: got True"),
        ({"steps": 0}, "steps: got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"learning_rate": 1e-4, "minimum_learning_rate": 1e-3}, "expected at most learning_rate 0.0001"),
        ({"steps": 10, "warmup": 10}, "expected fewer than steps 10"),
        ({"l1_weight": 0.0, "ms_ssim_weight": 0.0}, "nothing to learn from"),
        ({"ema_decay": 1.0}, "ema_decay: got 1.0"),
        ({"precision": "16-mixed"}, "precision: got '16-mixed'"),
    ],
)
def test_wrong_values_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_config(fields)


def test_toml_is_read_and_the_command_line_goes_over_it(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("steps = 10\nseed = 3\nlearning_rate = 1\n")
    config = read_config(path, steps=20, seed=None)
    assert (config.steps, config.seed, config.learning_rate) == (20, 3, 1.0)


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), ("steps 10", "expected TOML")])
def test_unreadable_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "train.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_config(path)


@pytest.mark.parametrize(
    ("patch", "scale", "levels", "allowed"), [(48, 4, 5, True), (43, 4, 5, False), (44, 4, 5, True), (40, 2, 3, True)]
)
def test_levels_are_checked_against_the_hr_crop(patch: int, scale: int, levels: int, allowed: bool) -> None:
    config = TrainConfig(patch=patch, ms_ssim_levels=levels)
    if allowed:
        config.check_scale(scale)
    else:
        with pytest.raises(UsageError, match=r"172 px.*need 176 px; set ms_ssim_levels = 4 at most, or patch = 44"):
            config.check_scale(scale)


def test_a_tiny_crop_is_told_to_drop_the_term_and_may() -> None:
    with pytest.raises(UsageError, match="set ms_ssim_weight = 0"):
        TrainConfig(patch=5, ms_ssim_levels=1).check_scale(2)
    TrainConfig(patch=5, ms_ssim_weight=0.0).check_scale(2)
