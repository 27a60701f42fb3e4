"""Tile drift: against numbers worked out by hand, with a network that has none beside one that has."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shared.cli.main import main
from shared.errors import UsageError
from shared.images.pixels import quantise
from shared.images.stream import write_image
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse
from train_torch.evaluation.tiling import Sample, TileDrift, load_candidates, recommended, tile_drift
from train_torch.network import build, get_weights

pytestmark = pytest.mark.torch

RCAN = {"family": "rcan", "scale": 2, "features": 8, "groups": 1, "blocks": 1, "reduction": 4}


class Pooling(nn.Module):
    """Twice as large, plus a share of the mean of all it sees."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        return up / 2 + self.share * x.mean(dim=(2, 3), keepdim=True)


def halves(low: int = 51, high: int = 153) -> np.ndarray:
    """16 x 32 px, dark on the left and light on the right."""
    return np.repeat(np.repeat(np.array([[low, high]], np.uint8), 16, axis=0), 16, axis=1)[..., None].repeat(3, axis=2)


def sample(hr: np.ndarray | None = None) -> Sample:
    return Sample(name="halves", lr=halves(), hr=hr)


def test_drift_of_a_pooling_network_is_the_one_worked_out():
    """Tiles of 16 see means 0.2 and 0.6 in the place of 0.4: half of the difference is 0.1 everywhere."""
    (row,) = tile_drift(Pooling(0.5), [sample()], 2, tiles=[16], overlap=0)
    assert row.max_abs == pytest.approx(0.1, abs=1e-6)
    assert row.agreement_db == pytest.approx(20, abs=1e-4)
    assert (row.images, row.computed, row.change_db) == (1, 1.0, None)


def test_a_network_without_pooling_does_not_drift():
    for row in tile_drift(Pooling(0.0), [sample()], 2, tiles=[4, 8, 16], overlap=0):
        assert row.agreement_db == 100
        assert row.max_abs < 1e-6


def test_change_against_hr_has_the_sign_of_what_is_nearer():
    whole = quantise(np.repeat(np.repeat(halves() / 255 / 2 + 0.2, 2, axis=0), 2, axis=1))
    drift = np.where(np.arange(64)[None, :, None] < 32, -0.1, 0.1)
    tiled = quantise(whole / 255 + drift)
    for hr, sign in ((whole, -1), (tiled, 1)):
        (row,) = tile_drift(Pooling(0.5), [sample(hr)], 2, tiles=[16], overlap=0)
        assert row.change_db is not None
        assert row.change_db * sign > 5
        assert row.change_interval_db is None
    (row,) = tile_drift(Pooling(0.5), [sample(whole), sample(tiled)], 2, tiles=[16], overlap=0)
    low, high = row.change_interval_db
    assert low < row.change_db < high


def test_images_no_larger_than_a_tile_do_not_count_for_it():
    small = Sample(name="small", lr=halves()[:8, :12], hr=None)
    rows = tile_drift(Pooling(0.5), [sample(), small], 2, tiles=[31, 8, 10, 64], overlap=2)
    assert [(row.tile, row.images) for row in rows] == [(8, 2), (10, 2), (31, 1)]


@pytest.mark.parametrize(("tiles", "overlap", "match"), [([8], 8, "larger than the overlap"), ([64], 0, "no image")])
def test_tiles_that_measure_nothing_are_refused(tiles, overlap, match):
    with pytest.raises(UsageError, match=match):
        tile_drift(Pooling(0.5), [sample()], 2, tiles=tiles, overlap=overlap)


ROW = TileDrift(
    tile=0,
    images=1,
    computed=1,
    agreement_db=50,
    worst_agreement_db=40,
    max_abs=0.1,
    change_db=None,
    change_interval_db=None,
)


@pytest.mark.parametrize(
    ("changes", "best"), [((-0.1, -0.02, -0.01, 0.3), 96), ((0.0, -0.02, 0.0, 0.0), 96), ((0, 0, 0, -0.02), None)]
)
def test_recommended_is_where_all_larger_tiles_are_good_by_hr(changes, best):
    rows = [replace(ROW, tile=tile, change_db=c) for tile, c in zip((48, 64, 96, 120), changes, strict=True)]
    assert recommended(rows) == best


def test_without_hr_the_agreement_decides():
    rows = [replace(ROW, tile=tile, agreement_db=a) for tile, a in ((48, 59.9), (64, 60.0), (96, 70.0))]
    assert recommended(rows) == 64
    assert recommended(rows[:1]) is None


def test_candidates_come_from_presets_specs_and_weights(tmp_path):
    spec = parse(RCAN)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(make_spec_file(spec, None).to_json()))
    weights = tmp_path / "w.safetensors"
    save_weights(weights, get_weights(build(spec)), spec, {})
    for name, trained in ((path, False), (weights, True)):
        (candidate,) = load_candidates(name)
        assert (candidate.spec, candidate.trained, candidate.pools) == (spec, trained, True)
    assert load_candidates("dual-regression-s", 2)[0].spec.scale == 2
    silent = parse({**RCAN, "image_skip": "bicubic"})
    path.write_text(json.dumps(make_spec_file(silent, None).to_json()))
    with pytest.raises(UsageError, match="some of its initial weights are 0"):
        load_candidates(path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_weights(path, get_weights(build(parse(RCAN))), parse(RCAN), {})
    return path


def test_the_command_measures_images_and_recommends(weights, tmp_path, capsys):
    image = np.random.default_rng(0).uniform(0, 1, (24, 24, 3))
    write_image(tmp_path / "a.png", image, bits=8)
    words = ["check-tiling", str(weights), str(tmp_path / "a.png"), "--tiles", "8", "16", "--overlap", "4"]
    assert main([*words, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    (network,) = value["networks"]
    assert [row["tile"] for row in network["tiles"]] == [8, 16]
    assert network["global_pooling"]
    assert value["recommended"] == network["recommended"]
    assert main(words) == 0
    assert "largest difference" in capsys.readouterr().out


def test_the_command_measures_pairs(weights, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_image(tmp_path / "pairs" / "LR" / f"{name}.png", rng.uniform(0, 1, (24, 24, 3)), bits=8)
        write_image(tmp_path / "pairs" / "HR" / f"{name}.png", rng.uniform(0, 1, (48, 48, 3)), bits=8)
    words = [
        "check-tiling",
        str(weights),
        "--data",
        str(tmp_path / "pairs"),
        "--tiles",
        "12",
        "--overlap",
        "4",
        "--json",
    ]
    assert main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)["networks"][0]["tiles"]
    low, high = row["change_interval_db"]
    assert low <= row["change_db"] <= high
    assert row["images"] == 2


def test_images_and_pairs_together_or_neither_are_refused(weights, capsys):
    assert main(["check-tiling", str(weights)]) == 2
    assert main(["check-tiling", str(weights), "a.png", "--data", "b"]) == 2
    assert "expected LR images, or --data" in capsys.readouterr().err
