"""The README's picture shows the window that it says, from the pictures of an ablation."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.demo_figure import GAP, LABEL, SIDE, ZOOM
from shared.images.pixels import read_image
from shared.images.stream import write_image

ROOT = Path(__file__).parents[2]


def test_each_column_shows_its_picture_in_the_window_where_the_ensemble_gains(tmp_path):
    ablation = json.loads((ROOT / "tests/golden/train/ablation.json").read_bytes())
    (tmp_path / "ablation.json").write_text(json.dumps({**ablation, "examples": ["one"]}))
    hr = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    bicubic = hr.copy()
    bicubic[40:148, 44:152] //= 2  # the ensemble is HR itself, so all it gains lies here
    scale = ablation["scale"]
    pictures = {"lr": hr[::scale, ::scale], "bicubic": bicubic, "ensemble": hr, "hr": hr}
    for name, pixels in pictures.items():
        write_image(tmp_path / "images" / "one" / f"{name}.png", pixels, bits=8)
    command = [
        sys.executable,
        "-m",
        "benchmarks.demo_figure",
        str(tmp_path),
        str(tmp_path / "out.png"),
        "--pairs",
        "one",
    ]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    picture = read_image(tmp_path / "out.png").pixels
    side = ZOOM * SIDE
    assert picture.shape == (LABEL + side, 4 * side + 3 * GAP, 3)
    columns = [picture[LABEL:, n * (side + GAP) : n * (side + GAP) + side] for n in range(4)]
    top, left = (40, 44)
    for column, shown in zip(columns[1:], (bicubic, hr, hr), strict=True):
        window = shown[top : top + SIDE, left : left + SIDE]
        assert np.array_equal(column, window.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1))
    assert not np.array_equal(columns[1], columns[2]), "the control: bicubic is not the ensemble"
    assert f"one window {left},{top}" in told
    shutil.rmtree(tmp_path / "images")
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode != 0
