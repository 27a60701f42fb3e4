"""Simulated sets: deterministic, complete, done once, and honest about what was skipped."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.data.pairs import discover, read_pair
from shared.errors import UsageError
from shared.files import read_json
from shared.metrics import psnr_rgb
from shared.resize import bicubic_upscale, resize
from shared.simulation.photographs import Photograph, builtin, find_photographs
from shared.simulation.pieces import cut, plan
from shared.simulation.simulate import RECORD, SimulationConfig, generator, make_config, read_fields, simulate

SMALL = SimulationConfig(size=96)


def photograph(path: Path, width: int, height: int, dtype: type = np.uint8) -> Path:
    coarse = np.random.default_rng(width).random((height // 8 + 3, width // 8 + 3, 3))
    pixels = np.clip(resize(coarse, Fraction(8), antialias=False)[:height, :width], 0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    photograph(tmp_path / "photos" / "a.png", 150, 100)
    photograph(tmp_path / "photos" / "b.png", 210, 200)
    return find_photographs(tmp_path / "photos")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_set_is_written_with_its_record(tmp_path, photos):
    out = tmp_path / "set"
    record = simulate(photos, out, scale=4, config=SMALL)
    found = discover([out])
    assert [pair.name for pair in found.pairs] == ["a_0", "a_1", "b_0"]  # 1.56 and 1.04 pieces of a, b reduced by 2
    assert (found.scale, found.skipped) == (4, ())
    assert record["unchanged"] is False
    assert {**read_json(out / RECORD), "unchanged": False} == record
    for pair, told in zip(found.pairs, sorted(record["pairs"], key=lambda pair: pair["name"]), strict=True):
        lr, hr = read_pair(pair, scale=4)
        assert hr.shape == (96, 96, 3)
        bicubic = np.clip(bicubic_upscale(lr, 4), 0, 1)
        assert told["bicubic_psnr_rgb"] == pytest.approx(psnr_rgb(bicubic, hr, crop=4))
        assert 0.6 <= told["camera"]["blur_sigma"] <= 0.7


def test_the_same_request_gives_the_same_bytes_and_is_done_once(tmp_path, photos):
    first = simulate(photos, tmp_path / "1", scale=2, config=SMALL)
    simulate(photos, tmp_path / "2", scale=2, config=SMALL)
    assert files(tmp_path / "1") == files(tmp_path / "2")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "1").rglob("*")}
    again = simulate(photos, tmp_path / "1", scale=2, config=SMALL)
    assert again == {**first, "unchanged": True}
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "1").rglob("*")}
    simulate(photos, tmp_path / "3", scale=2, config=SimulationConfig(size=96, seed=1))
    lr, hr = (
        {name: data for name, data in files(tmp_path / "3").items() if name.startswith(kind)} for kind in ("LR", "HR")
    )
    assert all(files(tmp_path / "1")[name] != data for name, data in lr.items())
    assert all(files(tmp_path / "1")[name] == data for name, data in hr.items())


def test_a_damaged_or_unfinished_set_is_made_whole(tmp_path, photos):
    simulate(photos, tmp_path / "set", scale=2, config=SMALL)
    whole = files(tmp_path / "set")
    (tmp_path / "set" / "LR" / "a_0.png").write_bytes(b"")
    assert simulate(photos, tmp_path / "set", scale=2, config=SMALL)["unchanged"] is False
    assert files(tmp_path / "set") == whole
    (tmp_path / "set" / RECORD).unlink()  # as if it had been stopped
    (tmp_path / "set" / "HR" / "b_0.png").unlink()
    simulate(photos, tmp_path / "set", scale=2, config=SMALL)
    assert files(tmp_path / "set") == whole


def test_a_pair_does_not_depend_on_the_other_pairs(tmp_path, photos):
    simulate(photos, tmp_path / "both", scale=2, config=SMALL)
    simulate(photos[1:], tmp_path / "one", scale=2, config=SMALL)
    simulate(photos, tmp_path / "two", scale=2, config=SimulationConfig(size=96, count=2))
    both = files(tmp_path / "both")
    assert all(both[name] == data for name, data in files(tmp_path / "one").items())
    assert sorted(files(tmp_path / "two")) == ["HR/a_0.png", "HR/b_0.png", "LR/a_0.png", "LR/b_0.png"]
    assert all(both[name] == data for name, data in files(tmp_path / "two").items())


def test_noise_of_two_pairs_differs():
    draws = [
        generator(*key).random()
        for key in [(0, "a", "noise"), (0, "b", "noise"), (0, "a", "camera"), (1, "a", "noise")]
    ]
    assert len(set(draws)) == 4
    assert generator(0, "a", "noise").random() == draws[0]


def test_other_files_are_never_mixed_in(tmp_path, photos):
    simulate(photos, tmp_path / "set", scale=2, config=SMALL)
    with pytest.raises(UsageError, match="made from other photographs, scale or configuration"):
        simulate(photos, tmp_path / "set", scale=4, config=SMALL)
    photograph(tmp_path / "own" / "HR" / "mine.png", 96, 96)
    with pytest.raises(UsageError, match=r"mine\.png: got a file that is not of these pairs"):
        simulate(photos, tmp_path / "own", scale=2, config=SMALL)


def test_photographs_that_cannot_be_used_are_skipped_with_a_reason(tmp_path, photos):
    folder = tmp_path / "photos"
    photograph(folder / "tiny.png", 47, 200)
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    record = simulate(find_photographs(folder), tmp_path / "set", scale=2, config=SMALL)
    reasons = {item["name"]: item["reason"] for item in record["skipped"]}
    assert set(reasons) == {"tiny", "cut"}
    assert "47x200 px, expected at least 48" in reasons["tiny"]
    assert "truncated" in reasons["cut"]
    assert len(record["pairs"]) == 3
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(UsageError, match=r"no usable photograph \(1 found\)"):
        simulate([Photograph(name="cut", path=folder / "cut.png")], tmp_path / "set", scale=2, config=SMALL)
    assert not (tmp_path / "set").exists()


def test_pieces_reach_from_border_to_border(tmp_path):
    photo = Photograph(name="p", path=photograph(tmp_path / "p.png", 251, 110))
    pieces, _ = plan([photo], scale=3, size=100, reduction=4)
    assert [(piece.name, piece.x, piece.y, piece.width, piece.height) for piece in pieces] == [
        ("p_0", 0, 5, 99, 99),
        ("p_1", 76, 5, 99, 99),
        ("p_2", 152, 5, 99, 99),
    ]
    whole = np.asarray(Image.open(photo.path))
    assert np.array_equal(cut(pieces[1]), whole[5:104, 76:175])
    (small,), _ = plan([photo], scale=4, size=300, reduction=2)
    assert (small.width, small.height, small.x, small.y) == (248, 108, 1, 1)


def test_a_reduction_averages_light(tmp_path):
    stripes = np.zeros((192, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    (piece,), _ = plan([Photograph(name="s", path=tmp_path / "stripes.png")], scale=4, size=96, reduction=2)
    assert piece.reduction == 2
    assert np.unique(cut(piece)).tolist() == [188]  # sRGB of half the light; known-wrong: 128, half the value


def test_the_builtin_photographs_give_over_thirty_pairs_and_none_dominates():
    pieces, skipped = plan(
        builtin(), scale=4, size=SimulationConfig().size, reduction=SimulationConfig().photo_reduction
    )
    names = [piece.photograph.name for piece in pieces]
    assert len(pieces) == 35
    assert skipped == []
    assert len(set(names[:8])) == 8  # the first eight are of eight photographs
    assert max(names.count(name) for name in names) <= 9


def test_simulated_pairs_resemble_real_ones(tmp_path):
    record = simulate(builtin(), tmp_path / "set", scale=4, config=SimulationConfig(count=8))
    bicubic = [pair["bicubic_psnr_rgb"] for pair in record["pairs"]]
    assert 24 < np.mean(bicubic) < 30


def test_configuration_files(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("size = 96\n[camera]\nmosaic = true\nblur_sigma = [1, 2]\n")
    config = make_config(read_fields(path), "c.toml")
    assert (config.size, config.camera.mosaic, config.camera.blur_sigma) == (96, True, (1.0, 2.0))
    with pytest.raises(UsageError, match=r"unknown field 'sise', did you mean 'size'|unknown field 'sise'"):
        make_config({"sise": 96}, "c.toml")
    with pytest.raises(UsageError, match=r"c\.toml: .*lower one first"):
        make_config({"camera": {"blur_sigma": [2, 1]}}, "c.toml")
    path.write_text("size = ")
    with pytest.raises(UsageError, match="expected a TOML file"):
        read_fields(path)
    with pytest.raises(UsageError, match="expected a TOML file"):
        read_fields(tmp_path / "missing.toml")
