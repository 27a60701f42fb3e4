"""What a training refuses: other settings in its folder, wrong names, data that do not fit."""

from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.spec import parse
from tests.train_torch.training.runs import CONFIG, DRN, DUAL, RCAN, spec_file
from train_torch.config import TrainConfig
from train_torch.training.run import train_suite

pytestmark = pytest.mark.torch


def test_another_configuration_is_refused_with_its_fields(run: Path, pack: Path) -> None:
    other = CONFIG.model_copy(update={"steps": 8, "seed": 1, "log_every": 7})
    with pytest.raises(UsageError, match=r"config\.steps: 6 there, 8 here; config\.seed: 0 there, 1 here\)"):
        train_suite([run], pack=pack, out=run, config=other)


def test_leaving_a_member_out_is_refused(run: Path, pack: Path) -> None:
    spec = run / "archive" / f"{parse(DRN).id}.json"
    with pytest.raises(UsageError, match=rf"holds {parse(RCAN).id}, {parse(DUAL).id} too"):
        train_suite([spec], pack=pack, out=run, config=CONFIG)


def test_the_folder_of_another_run_is_refused(tmp_path: Path, pack: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds run\.json of another run"):
        train_suite([spec_file(tmp_path / "specs", DRN)], pack=pack, out=tmp_path, config=CONFIG)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nowhere"], "no such file or folder; expected .* preset: drn-star"),
        (["drn-star", "drn-star"], "named 2 times"),
    ],
)
def test_wrong_sources_are_refused(names: list[str], message: str, tmp_path: Path, pack: Path) -> None:
    with pytest.raises(UsageError, match=message):
        train_suite(names, pack=pack, out=tmp_path / "out", config=CONFIG)


def test_a_spec_of_another_scale_is_refused(tmp_path: Path, pack: Path) -> None:
    spec = spec_file(tmp_path, {**DRN, "scale": 4})
    with pytest.raises(UsageError, match="got data of x2, expected x4"):
        train_suite([spec], pack=pack, out=tmp_path / "out", config=CONFIG)


def test_a_crop_larger_than_the_pictures_is_refused(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(UsageError, match="smaller patch"):
        train_suite([spec_file(tmp_path, DRN)], pack=pack, out=tmp_path / "out", config=TrainConfig(patch=120, steps=2))
