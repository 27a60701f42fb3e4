"""Files through the ensemble, one after the other: what is reported, bad files, and going on."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

from shared.errors import NonFiniteError, OutOfMemoryError, PairError, UsageError, WorkError
from tests.train_torch.upscale.pictures import (
    RGB8,
    RGB16,
    SMALL,
    Diverging,
    Hungry,
    Nearest,
    decoded,
    ensemble,
    levels,
    planned,
    pngs,
    upscaled,
    written,
)
from train_torch.ensemble.plan import PassPlan
from train_torch.upscale.files import upscale_files

pytestmark = pytest.mark.torch


def test_the_value_tells_size_and_time(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    (entry,) = value["done"]
    assert (entry["width"], entry["height"]) == (28, 18)
    assert entry["seconds"] > 0
    assert {**value, "done": []} == {"scale": 2, "done": [], "skipped": [], "failed": [], "ignored": []}


@pytest.mark.parametrize(
    "through", [SMALL, levels(self_ensemble=False, patch_ensemble=False)], ids=["patches", "whole"]
)
def test_progress_counts_the_megapixels_of_every_output(tmp_path: Path, capsys, through: PassPlan):
    source = pngs(tmp_path / "in", a=RGB8.repeat(8, axis=1).repeat(8, axis=0))
    (source / "bad.png").write_bytes((source / "a.png").read_bytes()[:-60])  # its header tells pixels that never come
    tifffile.imwrite(source / "deep.tif", RGB16.transpose(1, 0, 2), photometric="rgb")
    value = upscale_files(ensemble(Nearest(), Nearest(), through=through), planned(source, tmp_path / "out"))
    assert (len(value["done"]), len(value["failed"])) == (2, 1)
    megapixels = 4 * 9 * 14 * (64 + 64 + 1) / 1e6
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"upscaling: {megapixels:.2f}/{megapixels:.2f} megapixels, ")
    assert " megapixels a second, 0 s left" in last


def test_a_bad_file_is_reported_and_the_others_are_done(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8, c=RGB8)
    (source / "d.png").write_bytes(b"no image")
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:-60])
    (source / "notes.txt").touch()
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["output"]).name for entry in value["done"]] == ["a.png", "c.png"]
    reasons = {Path(entry["input"]).name: entry["reason"] for entry in value["failed"]}
    assert set(reasons) == {"b.png", "d.png"}
    assert "expected a whole image: copy it again" in reasons["b.png"]
    assert "not recognised" in reasons["d.png"]
    assert value["ignored"] == [str(source / "notes.txt")]
    assert written(tmp_path / "out") == ["a.png", "c.png"]
    np.testing.assert_array_equal(decoded(tmp_path / "out/c.png"), upscaled(RGB8))


def test_not_one_good_image_is_wrong_input(tmp_path: Path):
    source = pngs(tmp_path / "in")
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(b"no image")
    with pytest.raises(PairError, match=r"none of 2 images can be used.*a\.png.*b\.png"):
        upscale_files(ensemble(), planned(source, tmp_path / "out"))
    with pytest.raises(PairError, match="not recognised"):
        upscale_files(ensemble(), planned(source / "a.png", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nothing_that_is_not_finite_is_written(tmp_path: Path):
    white = RGB8.copy()
    white[4, 4, 1] = 255
    source = pngs(tmp_path / "in", a=RGB8, white=white)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/white.png").write_bytes(b"older")
    value = upscale_files(ensemble(Diverging()), planned(source, tmp_path / "out"), overwrite=True)
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["white.png"]
    assert "not finite" in value["failed"][0]["reason"]
    assert (tmp_path / "out/white.png").read_bytes() == b"older"
    assert written(tmp_path / "out") == ["a.png", "white.png"]
    with pytest.raises(NonFiniteError):
        upscale_files(ensemble(Diverging()), planned(source / "white.png", tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_failed_work_on_every_good_image_is_not_wrong_input(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    (source / "b.png").write_bytes(b"no image")
    value = upscale_files(ensemble(Hungry()), planned(source, tmp_path / "out"))
    assert value["done"] == []
    reasons = [entry["reason"] for entry in value["failed"]]
    assert "can't allocate memory" in reasons[0]
    assert "by patches" in reasons[0]
    with pytest.raises(OutOfMemoryError, match="can't allocate memory"):
        upscale_files(ensemble(Hungry()), planned(source / "a.png", tmp_path / "out"))


def test_other_faults_of_a_network_are_not_taken_for_memory(tmp_path: Path):
    class Faulty(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program") as caught:
        upscale_files(ensemble(Faulty()), planned(pngs(tmp_path / "in", a=RGB8), tmp_path / "out"))
    assert not isinstance(caught.value, WorkError)


def test_a_place_that_cannot_be_written_fails_that_file_alone(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    pngs(source / "sub", b=RGB8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").write_bytes(b"a file where a folder should be")
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["b.png"]
    assert os.strerror(errno.EEXIST) in value["failed"][0]["reason"]
    with pytest.raises(WorkError, match="expected a place with room"):
        upscale_files(ensemble(), planned(source / "a.png", tmp_path / "out/sub/deeper/a.png"))


@pytest.mark.parametrize(
    ("target", "message"), [("a.jpg", "JPEG lacks"), ("wide.webp", "16386x4 pixels; WebP holds 16383")]
)
def test_what_the_format_cannot_hold_is_refused_before_the_networks_run(tmp_path: Path, target: str, message: str):
    wide = np.zeros((2, 8193, 4), np.uint8) if target == "wide.webp" else np.dstack([RGB8, RGB8[..., 0]])
    Image.fromarray(wide).save(tmp_path / "in.png")
    network = Hungry()
    with pytest.raises(UsageError, match=message):
        upscale_files(ensemble(network), planned(tmp_path / "in.png", tmp_path / target))


def test_what_exists_is_skipped_unless_asked_for(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8, b=RGB8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_bytes(b"mine")
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert value["skipped"] == [{"input": str(source / "a.png"), "output": str(tmp_path / "out/a.png")}]
    assert (tmp_path / "out/a.png").read_bytes() == b"mine"
    again = upscale_files(ensemble(Hungry()), planned(source, tmp_path / "out"))
    assert (len(again["skipped"]), again["done"], again["failed"]) == (2, [], [])
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"), overwrite=True)
    assert (len(value["done"]), value["skipped"]) == (2, [])
    np.testing.assert_array_equal(decoded(tmp_path / "out/a.png"), upscaled(RGB8))


def test_an_output_folder_inside_the_input_is_not_upscaled_again(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    for _ in range(2):
        upscale_files(ensemble(), planned(source, source / "out"), overwrite=True)
    assert written(source) == ["a.png", "out/a.png"]


def test_a_file_that_the_system_refuses_to_read_fails_alone(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    (source / "loop.png").symlink_to("loop.png")  # permissions would not stop root, a link to itself does
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["loop.png"]
    assert os.strerror(errno.ELOOP) in value["failed"][0]["reason"]
    assert "expected an image file" in value["failed"][0]["reason"]
