"""`data simulate`, `data prepare`, `data check`, one after the other on the same files, by exit status and value."""

import json

import numpy as np
import pytest
from PIL import Image

from shared.cli import data
from shared.cli.main import main


@pytest.fixture
def simulated(tmp_path):
    """A simulated set of three pairs of two photographs."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, width in (("a", 100), ("b", 200)):
        coarse = Image.fromarray(rng.integers(0, 256, (12, width // 8, 3), dtype=np.uint8))
        coarse.resize((width, 100), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{name}.png")
    arguments = ["data", "simulate", str(tmp_path / "photos"), "--scale", "2", "--out", str(tmp_path / "set")]
    assert main([*arguments, "--size", "96"]) == 0
    return tmp_path / "set"


def value_of(capsys, arguments, status=0):
    capsys.readouterr()
    assert main(["data", *map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_simulate_tells_the_next_command_and_that_it_was_done(simulated, capsys):
    value = value_of(capsys, ["simulate", simulated.parent / "photos", "--scale", 2, "--out", simulated, "--size", 96])
    assert value["unchanged"] is True
    assert [pair["name"] for pair in value["pairs"]] == ["a_0", "b_0", "b_1"]
    assert "3 pairs of scale 2 were there already" in data.render_simulate(value)
    assert "3 pairs of scale 2 written to" in data.render_simulate({**value, "unchanged": False})
    assert f"gpnas-sr data prepare {simulated}" in data.render_simulate(value)


def test_simulate_options_override_the_file(simulated, capsys):
    config = simulated.parent / "c.toml"
    config.write_text("seed = 3\nsize = 60\n[camera]\njpeg = false\n")
    out = simulated.parent / "other"
    arguments = ["simulate", simulated.parent / "photos", "--scale", 4, "--out", out, "--config", config, "--seed", 5]
    value = value_of(capsys, [*arguments, "--count", 1])
    assert (value["config"]["seed"], value["config"]["size"], value["config"]["camera"]["jpeg"]) == (5, 60, False)
    assert len(value["pairs"]) == 1


def test_simulate_refuses_what_is_wrong_with_status_2(simulated, capsys):
    out = ["--out", str(simulated.parent / "new")]
    photos = str(simulated.parent / "photos")
    for arguments, message in (
        ([photos, "--scale", "5", *out], "got scale 5, expected one of"),
        ([photos, "--scale", "2", "--size", "10", *out], "size: got 10"),
        (["missing", "--scale", "2", *out], "no such folder"),
        ([photos, "--scale", "4", "--out", str(simulated)], "made from other photographs, scale or configuration"),
    ):
        assert main(["data", "simulate", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_prepare_lists_what_it_dropped_and_ends_with_0(simulated, capsys):
    (simulated / "HR" / "b_1.png").write_bytes((simulated / "HR" / "b_1.png").read_bytes()[:1000])
    pack = simulated.parent / "p.h5"
    value = value_of(capsys, ["prepare", simulated, "--out", pack, "--group", "(.+)_", "--ncc-threshold", 0.9])
    assert (value["pairs"], value["kept"], value["rescued"]) == (3, 2, 0)
    assert [item["name"] for item in value["dropped"]] == ["b_1"]
    assert value["pack"] == str(pack)
    text = data.render_prepare(value)
    assert "3 pairs: 2 kept (1 train, 1 validation), 1 dropped" in text
    assert "dropped b_1: " in text
    again = value_of(capsys, ["prepare", simulated, "--out", pack, "--group", "(.+)_", "--ncc-threshold", 0.9])
    assert again == {**value, "unchanged": True}


def test_prepare_takes_patterns(simulated, capsys):
    pack = simulated.parent / "p.h5"
    arguments = ["prepare", simulated, "--out", pack, "--ncc-threshold", 0.9, "--validation", "b_0"]
    value = value_of(capsys, [*arguments, "--include", "a_*", "--include", "b_*", "--exclude", "b_1"])
    assert value["kept"] == 2
    assert [image["name"] for image in value["images"] if image["split"] == "validation"] == ["b_0"]


def test_prepare_ends_with_2_where_nothing_is_kept(simulated, capsys):
    pack = simulated.parent / "p.h5"
    assert main(["data", "prepare", str(simulated), "--out", str(pack), "--ncc-threshold", "1"]) == 2
    assert "no pair that can be kept" in capsys.readouterr().err
    assert main(["data", "prepare", str(simulated), "--out", str(pack), "--scale", "3"]) == 2
    assert "got HR = 2 x LR, expected 3 x LR" in capsys.readouterr().err
    assert not pack.exists()


def test_check_ends_with_0_or_2_and_lists_every_pair(simulated, capsys):
    value = value_of(capsys, ["check", simulated, "--ncc-threshold", 0.9])
    assert [pair["name"] for pair in value["pairs"]] == ["a_0", "b_0", "b_1"]
    assert value["problems"] == []
    assert data.render_check(value).endswith("problems: 0")
    (simulated / "LR" / "b_1.png").unlink()
    value = value_of(capsys, ["check", simulated, "--ncc-threshold", 0.9], status=2)
    assert [item["name"] for item in value["problems"]] == ["b_1"]
    assert "problem b_1: got HR" in data.render_check(value)
    assert main(["data", "check", str(simulated / "LR" / "a_0.png")]) == 2  # neither pack nor folder
