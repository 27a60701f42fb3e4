"""Weights and suites of an earlier version: the same pictures, scores and converted bytes."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from shared.cli.main import main
from shared.images.pixels import read_image

pytestmark = pytest.mark.torch

HERE = Path(__file__).parent


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_picture_is_the_same(tmp_path, capsys):
    answer(capsys, "upscale", HERE / "train", HERE / "lr.png", tmp_path / "sr.png")
    now, before = (read_image(path).pixels.astype(int) for path in (tmp_path / "sr.png", HERE / "sr.png"))
    assert np.abs(now - before).max() <= 1, "float32 sums of another CPU may round one level off"
    assert np.mean(now != before) < 1e-3


@pytest.mark.parametrize("command", ["evaluate", "ablate"])
def test_scores_are_the_same(command, tmp_path, capsys):
    out = ["--out", tmp_path / "ablation"] if command == "ablate" else []
    now = answer(capsys, command, HERE / "train", "--data", HERE / "pack.h5", *out)
    before = json.loads((HERE / f"{command}.answer.json").read_text())
    compare(now, before, command)


def compare(now: object, before: object, place: str) -> None:
    """Every key of before is there; numbers to 1e-5 (dB, SSIM), but for times; paths are this test's own."""
    if isinstance(before, dict):
        assert isinstance(now, dict)
        for key in before.keys() - {"out", "suite", "data", "seconds"}:
            compare(now[key], before[key], f"{place}.{key}")
    elif isinstance(before, list):
        assert isinstance(now, list)
        for index, (new, old) in enumerate(zip(now, before, strict=True)):
            compare(new, old, f"{place}[{index}]")
    elif isinstance(before, float):
        assert now == pytest.approx(before, rel=0, abs=1e-4), place
    else:
        assert now == before, place


@pytest.mark.parametrize("suffix", [".pdparams", ".pth"])
def test_converted_files_have_the_same_bytes(suffix, tmp_path, capsys):
    recorded = json.loads((HERE / "converted.json").read_text())
    out = tmp_path / f"converted{suffix}"
    answer(capsys, "convert", HERE / "train" / "members" / recorded["source"], out)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == recorded["sha256"][suffix]
