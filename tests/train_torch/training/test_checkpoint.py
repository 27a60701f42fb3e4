"""The state of an unfinished training, on disk."""

from pathlib import Path

import numpy as np
import pytest

from shared.errors import UsageError, WeightsError
from shared.records.weights import write_arrays
from train_torch.training.checkpoint import GROUPS, State, Validation, better, load_checkpoint, save_checkpoint

IDENTITY = {"id": "drn-x2-0123456789ab", "config": {"steps": 10, "learning_rate": 1e-4}, "data_sha256": "ab"}


def _state(step: int = 3) -> State:
    rng = np.random.default_rng(step)
    arrays = {group: {"head.weight": rng.random((2, 3), np.float32)} for group in GROUPS}
    return State(step=step, arrays=arrays, last=Validation(step=2, psnr_rgb=29.123456789012345), best=None)


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path, state = tmp_path / "a.safetensors", _state()
    save_checkpoint(path, state, IDENTITY)
    read = load_checkpoint(path, IDENTITY)
    assert read is not None
    assert (read.step, read.last, read.best) == (3, state.last, None)
    for group in GROUPS:
        assert np.array_equal(read.arrays[group]["head.weight"], state.arrays[group]["head.weight"])


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for step in (3, 4):
        save_checkpoint(tmp_path / "a.safetensors", _state(step), IDENTITY)
    read = load_checkpoint(tmp_path / "a.safetensors", IDENTITY)
    assert read is not None
    assert read.step == 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "a.safetensors", IDENTITY) is None


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", _state(), IDENTITY)
    other = {**IDENTITY, "config": {"steps": 11, "learning_rate": 1e-4}, "data_sha256": "cd"}
    with pytest.raises(UsageError, match=r"\(config.steps: 10 there, 11 here; data_sha256: 'ab' there, 'cd' here\)"):
        load_checkpoint(tmp_path / "a.safetensors", other)


def test_a_field_that_was_added_later_counts_as_its_default(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", _state(), IDENTITY)
    path, config = tmp_path / "a.safetensors", IDENTITY["config"]
    assert load_checkpoint(path, {**IDENTITY, "config": {**config, "warmup": 0}}) is not None
    with pytest.raises(UsageError, match=r"config\.warmup: 0 there, 1 here"):
        load_checkpoint(path, {**IDENTITY, "config": {**config, "warmup": 1}})


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {}, {"schema": "gpnas-sr/checkpoint/2"})
    with pytest.raises(UsageError, match="expected 'gpnas-sr/checkpoint/1'"):
        load_checkpoint(path, IDENTITY)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, _state(), IDENTITY)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        load_checkpoint(path, IDENTITY)


def test_the_first_of_equal_validations_is_best() -> None:
    first = Validation(step=1, psnr_rgb=30.0)
    assert better(None, first) == first
    assert better(first, Validation(step=2, psnr_rgb=30.0)) == first
    assert better(first, Validation(step=2, psnr_rgb=30.1)).step == 2
