"""Evaluate and ablate on real small suites: every row against a direct computation; a killed ablation goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from shared.cli.main import main
from shared.data.source import open_pairs
from shared.errors import UsageError
from shared.images.pixels import quantise, read_image, to_float
from shared.images.stream import write_image
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.archive import Archive
from shared.records.suite import Member, Suite, write_suite
from shared.records.weights import save_weights
from shared.resize import bicubic_downscale, bicubic_upscale
from shared.spec import make_spec_file, parse
from train_torch.ensemble import load_suite, upscale
from train_torch.evaluation.evaluate import Levels, evaluate, select

pytestmark = pytest.mark.torch

SPECS = [
    parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 1, "image_skip": "bicubic"}),
    parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1, "image_skip": "bicubic"}),
    parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 2, "image_skip": "bicubic"}),
]
PAIRS = ("a_1", "a_2", "b_1")
GEOMETRY = ["--patch", "16", "--stride", "8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("suite")
    members = []
    for index, spec in enumerate(SPECS):
        weights = random_weights(build_graph(spec), index)
        weights = {name: array * (0.05 if name.startswith("tail.1") else 1) for name, array in weights.items()}
        path = root / "members" / f"{spec.id}.safetensors"
        save_weights(path, weights, spec, {})
        spec_path = Archive(root / "archive").add(make_spec_file(spec))
        members.append(Member(spec=spec, spec_path=spec_path, weights_path=path, weight=float(index + 1)))
    write_suite(root / "suite.json", Suite(scale=2, members=tuple(members)))
    generator = np.random.default_rng(0)
    for name in PAIRS:
        hr = np.clip(bicubic_upscale(generator.uniform(0, 1, (11, 10, 3)), 4), 0, 1)
        write_image(root / "pairs" / "HR" / f"{name}.png", hr, bits=8)
        write_image(root / "pairs" / "LR" / f"{name}.png", bicubic_downscale(hr, 2), bits=8)
    return root


def run(capsys, *words) -> dict:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def psnr(a: np.ndarray, b: np.ndarray, crop: int) -> float:
    difference = (a[crop:-crop, crop:-crop].astype(float) - b[crop:-crop, crop:-crop]) / 255
    return -10 * np.log10(np.mean(difference**2))


def test_evaluate_equals_the_direct_computation(folder, capsys):
    value = run(capsys, "evaluate", folder, "--data", folder / "pairs", *GEOMETRY)
    members, weights, _ = load_suite(folder)
    found = []
    for name in PAIRS:
        lr, hr = (read_image(folder / "pairs" / side / f"{name}.png").pixels for side in ("LR", "HR"))
        sr = upscale(members, to_float(lr), scale=2, weights=weights, patch=16, stride=8)
        found.append(psnr(quantise(sr), hr, 2))
    assert [image["name"] for image in value["images"]] == list(PAIRS)
    assert [image["psnr_rgb"] for image in value["images"]] == pytest.approx(found, abs=1e-9)
    assert value["psnr_rgb"] == pytest.approx(np.mean(found), abs=1e-9)
    assert value["crop"] == 2
    lr, hr = (read_image(folder / "pairs" / side / "a_1.png").pixels for side in ("LR", "HR"))
    assert value["images"][0]["bicubic"]["psnr_rgb"] == pytest.approx(psnr(quantise(bicubic_upscale(lr, 2)), hr, 2))
    other_crop = run(capsys, "evaluate", folder, "--data", folder / "pairs", *GEOMETRY, "--crop", "6")
    assert other_crop["psnr_rgb"] != value["psnr_rgb"]


@pytest.fixture(scope="module")
def ablation(folder):
    out = folder / "ablation"
    words = ["ablate", folder, "--data", folder / "pairs", "--out", out, *GEOMETRY, "--examples", "2"]
    assert main([*map(str, words), "--json"]) == 0
    return json.loads((out / "ablation.json").read_text())


def test_the_rows_are_those_of_table_1_and_the_levels(ablation):
    ids = [spec.id for spec in SPECS]
    both = ["self_ensemble", "patch_ensemble"]
    subsets = [[a] for a in ids] + [[ids[0], ids[1]], [ids[0], ids[2]], [ids[1], ids[2]], ids]
    expected = [(subset, both) for subset in subsets]
    expected += [(ids, ["patch_ensemble"]), (ids, ["self_ensemble"]), (ids, [])]
    expected += [([one], []) for one in ids]
    assert [(row["members"], row["levels"]) for row in ablation["rows"]] == expected


@pytest.mark.parametrize("index", range(13))
def test_every_row_equals_evaluate_of_its_members(folder, ablation, index):
    row = ablation["rows"][index]
    networks, weights, _ = load_suite(folder)
    kept = [i for i, spec in enumerate(SPECS) if spec.id in row["members"]]
    levels = Levels(
        self_ensemble="self_ensemble" in row["levels"],
        patch_ensemble="patch_ensemble" in row["levels"],
        patch=16,
        stride=8,
    )
    pairs = open_pairs(folder / "pairs", scale=2)
    found = evaluate([networks[i] for i in kept], [weights[i] for i in kept], pairs, levels=levels, crop=2)
    for metric in ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y"):
        assert row[metric] == pytest.approx(np.mean([getattr(image, metric) for image in found]), abs=1e-9)


def test_rows_differ_so_that_a_mixed_up_row_would_be_seen(ablation):
    assert len({row["psnr_rgb"] for row in ablation["rows"]}) == len(ablation["rows"])


def test_comparisons_are_paired_differences_of_the_rows(ablation):
    ids = [spec.id for spec in SPECS]
    whole = ablation["rows"][6]
    best = max(ablation["rows"][:3], key=lambda row: row["psnr_y"])
    entry = next(c for c in ablation["comparisons"] if c["metric"] == "psnr_y" and c["b"]["members"] == best["members"])
    assert entry["a"]["members"] == ids
    assert entry["gain"] == pytest.approx(whole["psnr_y"] - best["psnr_y"])
    assert entry["low"] <= entry["gain"] <= entry["high"]
    assert {tuple(c["b"]["members"]) for c in ablation["comparisons"]} >= {(), tuple(ids), tuple(best["members"])}


def test_pictures_are_those_of_the_rows(folder, ablation):
    assert len(ablation["examples"]) == 2
    for name in ablation["examples"]:
        files = {path.stem for path in (folder / "ablation" / "images" / name).iterdir()}
        assert files == {"lr", "hr", "bicubic", "ensemble", *(spec.id for spec in SPECS)}
        sr = read_image(folder / "ablation" / "images" / name / "ensemble.png").pixels
        hr = read_image(folder / "pairs" / "HR" / f"{name}.png").pixels
        stated = next(image for image in ablation["rows"][6]["images"] if image["name"] == name)
        assert psnr(sr, hr, 2) == pytest.approx(stated["psnr_rgb"])


def test_a_killed_ablation_goes_on_and_ends_the_same(folder, ablation, tmp_path):
    out = tmp_path / "ablation"
    words = ["ablate", folder, "--data", folder / "pairs", "--out", out, *GEOMETRY, "--examples", "2"]
    command = [sys.executable, "-m", "shared.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not list(out.glob("partial/*.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("partial/*.json")}
    assert kept
    assert not (out / "ablation.json").exists()
    assert main([*map(str, words), "--json"]) == 0
    assert json.loads((out / "ablation.json").read_text()) == ablation
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in kept.items())


def test_other_weights_are_measured_anew(folder, ablation, tmp_path):
    """Known-wrong control of the resume above: a partial result must not outlive what it was made from."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    spec = SPECS[0]
    weights = {name: 0.9 * array for name, array in random_weights(build_graph(spec), 9).items()}
    save_weights(copy / "members" / f"{spec.id}.safetensors", weights, spec, {})
    words = ["ablate", copy, "--data", copy / "pairs", "--out", copy / "ablation", *GEOMETRY, "--examples", "2"]
    assert main([*map(str, words), "--json"]) == 0
    again = json.loads((copy / "ablation" / "ablation.json").read_text())
    assert again["rows"][0]["psnr_rgb"] != ablation["rows"][0]["psnr_rgb"]
    assert again["rows"][1]["psnr_rgb"] == ablation["rows"][1]["psnr_rgb"]


def test_the_tables_read_well(folder, capsys):
    assert main(["evaluate", str(folder), "--data", str(folder / "pairs"), *GEOMETRY, "--include", "a_*"]) == 0
    text = capsys.readouterr().out
    assert "crop 2 px" in text
    assert "b_1" not in text
    words = ["ablate", str(folder), "--data", str(folder / "pairs"), *GEOMETRY, "--out", str(folder / "ablation")]
    assert main([*words, "--examples", "2"]) == 0
    text = capsys.readouterr().out
    assert "(no self_ensemble, no patch_ensemble)" in text
    assert "bicubic" in text


def test_patterns_that_fit_nothing_are_refused():
    with pytest.raises(UsageError, match="expected a pattern that fits names such as a, b"):
        select(["a", "b"], ["x*"])


def test_a_level_can_be_off_everywhere(folder, capsys, tmp_path):
    words = ["--data", folder / "pairs", *GEOMETRY, "--include", "b_*", "--examples", "0", "--out", tmp_path]
    value = run(capsys, "ablate", folder, *words, "--no-self-ensemble")
    assert [row["levels"] for row in value["rows"]] == [["patch_ensemble"]] * 7 + [[]] * 4
    reference = run(capsys, "evaluate", folder, *words[:-4], "--no-self-ensemble")
    assert value["rows"][6]["psnr_rgb"] == pytest.approx(reference["psnr_rgb"], abs=1e-9)
    assert all(entry["low"] is None for entry in value["comparisons"])  # one image has no interval


@pytest.mark.parametrize("command", ["evaluate", "ablate"])
def test_a_pair_too_small_for_its_crop_is_named_before_work(folder, capsys, tmp_path, command):
    words = [command, str(folder), "--data", str(folder / "pairs"), *GEOMETRY, "--crop", "15", "--include", "b_*"]
    assert main([*words, *(["--out", str(tmp_path)] if command == "ablate" else [])]) == 2
    message = capsys.readouterr().err
    assert "pair b_1: " in message
    assert "expected at least 11 a side" in message
    assert not list(tmp_path.iterdir())
