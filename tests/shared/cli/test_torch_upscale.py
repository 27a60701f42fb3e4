"""The command on real small suites: exit statuses, both outputs, each switch, and a run that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.archive import Archive
from shared.cli.main import main
from shared.families import build_graph
from shared.initialization import random_weights
from shared.spec import make_spec_file, parse
from shared.suite import Member, Suite, write_suite
from shared.weights import save_weights
from train_torch.ensemble import load_suite, upscale

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
    assert f"ignored 1 files that are no images by suffix, such as {photos / 'notes.txt'}" in text
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
    assert "expected a JSON file" in capsys.readouterr().err


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


def test_a_killed_run_goes_on_and_ends_with_the_same_files(suite, tmp_path, capsys):
    source, out, names = tmp_path / "in", tmp_path / "out", [f"{i:02}.png" for i in range(8)]
    source.mkdir()
    for i, name in enumerate(names):
        Image.fromarray(np.roll(RGB, i, axis=0)).save(source / name)
    words = [sys.executable, "-m", "shared.cli.main", *command(suite, source, out)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    while child.poll() is None and not list(out.glob("*.png")):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    made = {path: path.read_bytes() for path in out.glob("*.png")}
    assert 1 <= len(made) < len(names)
    (out / ".05.png.k2x9.tmp").write_bytes(b"half an image, as a kill while writing leaves it")

    value = value_of(capsys, suite, source, out)
    assert len(value["skipped"]) == len(made)
    assert len(value["done"]) == len(names) - len(made)
    whole = value_of(capsys, suite, source, tmp_path / "whole")
    assert len(whole["done"]) == len(names)
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == names
    assert all((out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)
    assert all(path.read_bytes() == data for path, data in made.items())
    assert len(value_of(capsys, suite, out, tmp_path / "next", "--no-self-ensemble")["done"]) == len(names)
