"""The command on real small suites: exit statuses, both outputs, each switch, and a run that is killed."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.cli.main import main
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.archive import Archive
from shared.records.suite import Member, Suite, write_suite
from shared.records.weights import save_weights
from shared.spec import make_spec_file, parse
from train_torch.ensemble import load_suite, upscale
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import preset
from train_torch.ensemble.self_ensemble import TRANSFORMS

pytestmark = pytest.mark.torch

SPECS = [
    parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 1, "image_skip": "bicubic"}),
    parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1, "image_skip": "bicubic"}),
]
RGB = np.random.default_rng(0).integers(0, 256, (10, 13, 3), dtype=np.uint8)
GEOMETRY = ["--patch", "6", "--stride", "3"]


def make_suite(root: Path, *, factor: float = 1.0) -> Path:
    """Two networks of random weights; a large `factor` on them makes the networks overflow."""
    members = []
    for index, spec in enumerate(SPECS):
        weights = {name: array * np.float32(factor) for name, array in random_weights(build_graph(spec), index).items()}
        path = root / "members" / f"{spec.id}.safetensors"
        save_weights(path, weights, spec, {})
        spec_path = Archive(root / "archive").add(make_spec_file(spec))
        members.append(Member(spec=spec, spec_path=spec_path, weights_path=path, weight=index + 1.0))
    write_suite(root / "suite.json", Suite(scale=2, members=tuple(members)))
    return root / "suite.json"


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    return make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a", "sub/b", "sub/c"):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(RGB, ord(name[-1]), axis=1)).save(path)
    return tmp_path / "photos"


def command(*words: object) -> list[str]:
    return ["upscale", *map(str, words), *GEOMETRY]


def value_of(capsys, *words: object, status: int = 0) -> dict:
    assert main([*command(*words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_folder_as_json_and_again(suite, photos, tmp_path, capsys):
    value = value_of(capsys, suite, photos, tmp_path / "out")
    assert value["suite"] == str(suite)
    assert value["scale"] == 2
    assert {entry["output"] for entry in value["done"]} == {
        str(tmp_path / "out" / name) for name in ("a.png", "sub/b.png", "sub/c.png")
    }
    assert {(entry["width"], entry["height"]) for entry in value["done"]} == {(26, 20)}
    assert "exit_status" not in value
    again = value_of(capsys, suite, photos, tmp_path / "out")
    assert (again["done"], len(again["skipped"])) == ([], 3)
    assert len(value_of(capsys, suite, photos, tmp_path / "out", "--overwrite")["done"]) == 3


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (["--no-self-ensemble"], {"self_ensemble": False}),
        (["--no-patch-ensemble"], {"patch_ensemble": False}),
    ],
    ids=str,
)
def test_each_switch_reaches_the_ensemble(suite, photos, tmp_path, words, arguments):
    assert main(command(suite, photos / "a.png", tmp_path / "one.png", *words)) == 0
    members, weights, scale = load_suite(suite)
    lr = (decoded(photos / "a.png") / 255).astype(np.float32)

    def rounded(**options) -> np.ndarray:
        sr = upscale(members, lr, scale, weights, **{"patch": 6, "stride": 3} | options)
        return np.floor(np.clip(sr.astype(np.float64), 0, 1) * 255 + 0.5)

    np.testing.assert_array_equal(decoded(tmp_path / "one.png"), rounded(**arguments))
    others = [o for o in ({}, {"self_ensemble": False}, {"patch_ensemble": False}) if o != arguments]
    assert all((rounded(**other) != rounded(**arguments)).any() for other in others)


def test_a_single_weights_file_will_do(suite, photos, tmp_path, capsys):
    (weights, *_) = sorted((suite.parent / "members").iterdir())
    assert len(value_of(capsys, weights, photos / "a.png", tmp_path / "one.png")["done"]) == 1


def test_as_text(suite, photos, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub/c.png").write_bytes(b"there")
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:-60])
    (photos / "notes.txt").touch()
    assert main(command(suite, photos, out)) == 1
    text = capsys.readouterr().out
    assert f"{photos / 'a.png'} -> {out / 'a.png'}  26x20  " in text
    assert f"skipped 1 whose output exists, such as {out / 'sub/c.png'}; --overwrite" in text
    assert f"ignored 1 files without the suffix of an image, such as {photos / 'notes.txt'}" in text
    assert text.count(str(photos / "bad.png")) == 1
    assert "expected a whole image" in text
    assert text.endswith("x2: 2 done, 1 skipped, 1 failed\n")


def test_one_bad_file_gives_status_1_and_the_others(suite, photos, tmp_path, capsys):
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:-60])
    value = value_of(capsys, suite, photos, tmp_path / "out", status=1)
    assert len(value["done"]) == 3
    assert [entry["input"] for entry in value["failed"]] == [str(photos / "bad.png")]
    assert "exit_status" not in value


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("bad.png", "one.png", "expected a whole image"),
        ("none.png", "one.png", "no such file or folder"),
        ("", "one.png", "expected a folder"),
        ("sub", "../photos/sub", "among the inputs"),
        ("a.png", "one.bmp", "expected one of .png"),
    ],
)
def test_wrong_input_gives_status_2(suite, photos, tmp_path, capsys, source, target, message):
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:-60])
    assert main(command(suite, photos / source, tmp_path / "out" / target if target[0] != "." else photos / "sub")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert not (tmp_path / "out").exists()


def test_what_is_no_suite_gives_status_2(photos, tmp_path, capsys):
    assert main(command(tmp_path / "suite.json", photos, tmp_path / "out")) == 2
    assert (
        "no such file or folder; expected the folder of a run, a suite file, or a weights file"
        in capsys.readouterr().err
    )


def test_wrong_patches_give_status_2(suite, photos, tmp_path, capsys):
    assert main(["upscale", str(suite), str(photos), str(tmp_path / "out"), "--patch", "6", "--stride", "7"]) == 2
    assert "expected 1 <= stride <= patch" in capsys.readouterr().err


def test_networks_that_overflow_write_nothing_and_give_status_1(photos, tmp_path, capsys):
    broken = make_suite(tmp_path / "broken", factor=1e19)
    value = value_of(capsys, broken, photos, tmp_path / "out", status=1)
    assert (value["done"], len(value["failed"])) == ([], 3)
    assert main(command(broken, photos / "a.png", tmp_path / "out/a.png")) == 1
    assert "not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def started_run(words: list, out: Path) -> subprocess.Popen:
    """The command in a process of its own, as soon as it has begun to write."""
    before = set(out.iterdir()) if out.exists() else set()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and (not out.exists() or set(out.iterdir()) <= before):
        time.sleep(0.002)
    return child


def test_a_run_killed_at_any_moment_goes_on_and_ends_with_the_same_files(suite, tmp_path, capsys):
    """Moments drawn from the time in which an undisturbed run writes."""
    source, out, whole = tmp_path / "in", tmp_path / "out", tmp_path / "whole"
    source.mkdir()
    names = [f"{i}.{suffix}" for i in range(3) for suffix in ("png", "tif")]
    for i, name in enumerate(names):
        Image.fromarray(np.roll(RGB, i, axis=0).repeat(3, axis=1)).save(source / name)
    words = [sys.executable, "-m", "shared.cli.main"]
    child = started_run([*words, *command(suite, source, whole, "--uncertainty")], whole)
    began = time.monotonic()
    assert child.wait() == 0
    took = time.monotonic() - began
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert len(expected) == 2 * len(names)

    kills = 0
    for moment in np.random.default_rng(0).uniform(0, took, 2):  # each goes on where the last was stopped
        child = started_run([*words, *command(suite, source, out, "--uncertainty")], out)
        time.sleep(moment)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
        for path in out.glob("[!.]*"):  # whole, or not there
            assert path.read_bytes() == expected[path.name]
        images = [out / name for name in names if (out / name).exists()]
        assert all((out / f"{path.stem}.uncertainty{path.suffix}").exists() for path in images)
    assert kills
    (out / ".1.png.k2x9abcd.tmp").write_bytes(b"half an image, as a kill while writing leaves it")
    value_of(capsys, suite, source, out, "--uncertainty")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected  # and nothing else is left there
    assert len(value_of(capsys, suite, source, out, "--uncertainty")["skipped"]) == len(names)


# ---- streams, presets, limits --------------------------------------------------------------------------------------


def test_standard_input_to_standard_output(suite, photos, tmp_path):
    words = [sys.executable, "-m", "shared.cli.main", *command(suite, "-", "-")]
    piped = subprocess.run(words, input=(photos / "a.png").read_bytes(), capture_output=True, check=True)
    assert main(command(suite, photos / "a.png", tmp_path / "one.png")) == 0
    assert piped.stdout == (tmp_path / "one.png").read_bytes()  # and nothing else
    broken = subprocess.run(words, input=b"no image", capture_output=True, check=False)
    assert (broken.returncode, broken.stdout) == (2, b"")
    assert b"standard input: not recognised" in broken.stderr


def test_an_image_and_json_do_not_both_go_to_standard_output(suite, photos, capsys):
    assert main([*command(suite, photos / "a.png", "-"), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "expected one: name an output file" in captured.err


def test_quality_with_single_parts_changed(suite, photos, tmp_path):
    members, weights, _ = load_suite(suite)
    lr = (decoded(photos / "a.png") / 255).astype(np.float32)
    for words, plan in (
        (["--quality", "fast"], preset("fast", 2)),
        (["--quality", "balanced"], preset("balanced", 2)),
        (["--quality", "fast", "--patch", "6", "--stride", "4"], replace(preset("fast", 2), patch=6, stride=4)),
        (["--quality", "fast", "--self-ensemble"], replace(preset("fast", 2), transforms=TRANSFORMS)),
        (["--quality", "balanced", "--no-patch-ensemble"], replace(preset("balanced", 2), patch=None)),
    ):
        assert (
            main(["upscale", str(suite), str(photos / "a.png"), str(tmp_path / "one.png"), "--overwrite", *words]) == 0
        )
        sr = np.concatenate(list(upscale_bands(members, lr, plan, weights=weights)))
        expected = np.floor(np.clip(sr, 0, 1) * np.float32(255) + np.float32(0.5))
        np.testing.assert_array_equal(decoded(tmp_path / "one.png"), expected)


def test_the_value_tells_how_it_was_made(suite, photos, tmp_path, capsys):
    value = value_of(capsys, suite, photos / "a.png", tmp_path / "one.png", "--fusion", "robust", "--uncertainty")
    assert (value["quality"], value["fusion"]) == ("paper", "robust")
    assert value["done"][0]["uncertainty"] == str(tmp_path / "one.uncertainty.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory", "two"], "expected bytes such as 2GB"),
        (["--device", "abacus"], "device: got 'abacus'"),
        (["--quality", "fast", "--patch", "100"], "expected 1 <= stride <= patch"),
    ],
)
def test_what_cannot_be_done_gives_status_2(suite, photos, tmp_path, capsys, words, message):
    assert main(["upscale", str(suite), str(photos), str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_budget_that_cannot_hold_the_work_is_refused_with_the_numbers(suite, photos, tmp_path, capsys):
    assert main(command(suite, photos / "a.png", tmp_path / "out.png", "--memory", "10MB")) == 2
    assert "memory: got 10 MB, expected at least" in capsys.readouterr().err
    Image.fromarray(RGB.repeat(40, axis=0).repeat(40, axis=1)).save(tmp_path / "large.png")
    assert main(command(suite, tmp_path / "large.png", tmp_path / "out.jpg", "--memory", "5MB")) == 2
    assert "expected more than the 8 MB that reading the next image and packing JPEG" in capsys.readouterr().err
    assert not list(tmp_path.glob("out.*"))
