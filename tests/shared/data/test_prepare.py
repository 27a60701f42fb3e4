"""Folder to pack: what is kept, dropped, told; the same twice; nothing lost beside bad pairs."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from shared.data.check import check
from shared.data.pack import Pack
from shared.data.prepare import PrepareConfig, make_config, prepare, report_path
from shared.errors import PairError, UsageError
from shared.files import read_json

DEFAULT = PrepareConfig()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def add_pair(folder: Path, name: str, *, scale: int = 2, side: int = 24, lr: np.ndarray | None = None) -> None:
    rng = np.random.default_rng(sum(name.encode()))
    hr = rng.integers(0, 256, (scale * side, scale * side, 3), dtype=np.uint8)
    mean = hr.reshape(side, scale, side, scale, 3).mean((1, 3))
    save(folder / "HR" / f"{name}.png", hr)
    save(folder / "LR" / f"{name}.png", np.rint(mean).astype(np.uint8) if lr is None else lr)


@pytest.fixture
def folder(tmp_path):
    for name in ("Canon_1", "Canon_2", "Nikon_1", "Nikon_2"):
        add_pair(tmp_path / "pairs", name)
    return tmp_path / "pairs"


def test_pixels_split_and_facts_come_into_the_pack(tmp_path, folder):
    report = prepare([folder], tmp_path / "p.h5", config=PrepareConfig(validation=("*_2",)))
    assert (report.pairs, report.kept, report.rescued, report.train, report.validation) == (4, 4, 0, 2, 2)
    with Pack(tmp_path / "p.h5") as pack:
        assert pack.scale == 2
        assert pack.sha256 == report.sha256
        assert pack.pairs("train") == ("Canon_1", "Nikon_1")
        assert pack.pairs("validation") == ("Canon_2", "Nikon_2")
        for kind, read in (("LR", pack.lr), ("HR", pack.hr)):
            assert np.array_equal(read("Nikon_2"), np.asarray(Image.open(folder / kind / "Nikon_2.png")))
        facts = pack.facts("Canon_1")
        assert facts["ncc_rgb_lr"] > 0.999
        assert len(facts["shift"]) == 2
        assert facts["files"] == ["Canon_1.png", "Canon_1.png"]
        assert pack.damage() == ()
    stored = read_json(report_path(tmp_path / "p.h5"))
    assert stored == report.to_json()
    assert stored["images"][0]["name"] == "Canon_1"
    assert str(tmp_path) not in str(stored)  # tells nothing of the machine


def test_the_same_again_is_left_as_it_stands_and_a_change_is_not(tmp_path, folder):
    pack = tmp_path / "p.h5"
    first = prepare([folder], pack, config=DEFAULT)
    stamp = pack.stat().st_mtime_ns, report_path(pack).stat().st_mtime_ns
    again = prepare([folder], pack, config=DEFAULT)
    assert again == first.model_copy(update={"unchanged": True})
    assert stamp == (pack.stat().st_mtime_ns, report_path(pack).stat().st_mtime_ns)
    assert (
        prepare([folder], pack, config=PrepareConfig(validation=("Nikon_?",))).sha256 != first.sha256
    )  # another split
    other = prepare([folder], pack, config=PrepareConfig(exclude=("Canon_*",)))
    assert (other.unchanged, other.kept) == (False, 2)
    add_pair(folder, "Nikon_2", side=30)
    assert prepare([folder], pack, config=PrepareConfig(exclude=("Canon_*",))).unchanged is False


@pytest.mark.parametrize("harm", ["cut the pack", "change a pixel", "no report", "foreign report"])
def test_a_damaged_result_is_made_again(tmp_path, folder, harm):
    pack = tmp_path / "p.h5"
    first = prepare([folder], pack, config=DEFAULT)
    data = bytearray(pack.read_bytes())
    if harm == "cut the pack":
        pack.write_bytes(data[: len(data) // 2])
    elif harm == "change a pixel":
        pixels = np.asarray(Image.open(folder / "HR" / "Canon_1.png")).tobytes()
        data[data.index(pixels)] ^= 1
        pack.write_bytes(data)
    elif harm == "no report":
        report_path(pack).unlink()
    else:
        report_path(pack).write_text("{}")
    assert prepare([folder], pack, config=DEFAULT) == first
    with Pack(pack) as opened:
        assert opened.damage() == ()
        assert opened.sha256 == first.sha256


def test_bad_pairs_are_dropped_with_reasons_and_the_good_ones_kept(tmp_path, folder):
    add_pair(folder, "ratio", lr=np.zeros((23, 24, 3), np.uint8))
    add_pair(folder, "different", lr=np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    add_pair(folder, "truncated")
    truncated = folder / "HR" / "truncated.png"
    truncated.write_bytes(truncated.read_bytes()[:-3000])
    add_pair(folder, "pixel", side=1)
    add_pair(folder, "alone")
    (folder / "HR" / "alone.png").unlink()
    values = np.full((48, 48, 3), 0.5, np.float32)
    values[7, 7] = np.nan
    add_pair(folder, "nan")
    (folder / "HR" / "nan.png").unlink()
    tifffile.imwrite(folder / "HR" / "nan.tif", values, photometric="rgb")
    report = prepare([folder], tmp_path / "p.h5", config=DEFAULT)
    assert (report.pairs, report.kept) == (10, 4)
    reasons = {item.name: item.reason for item in report.dropped}
    assert set(reasons) == {"ratio", "different", "truncated", "pixel", "alone", "nan"}
    assert "LR 24x23 and HR 48x48" in reasons["ratio"]
    assert "expected 0.99 or more" in reasons["different"]
    assert "truncated" in reasons["truncated"]
    assert "got LR 1x1" in reasons["pixel"]
    assert "no HR partner" in reasons["alone"]
    assert "NaN" in reasons["nan"]
    with Pack(tmp_path / "p.h5") as pack:
        assert set(pack.pairs("train") + pack.pairs("validation")) == {"Canon_1", "Canon_2", "Nikon_1", "Nikon_2"}


def test_nothing_kept_is_an_error_and_writes_nothing(tmp_path, folder):
    with pytest.raises(PairError, match=r"no pair that can be kept.*Canon_1: got ncc_y_hr"):
        prepare([folder], tmp_path / "p.h5", config=PrepareConfig(ncc="ncc_y_hr", ncc_threshold=1))
    assert list(tmp_path.glob("p.h5*")) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"include": ("Sony_*",)}, r"leave none of 4 pairs.*Canon_1"),
        ({"exclude": ("*",)}, "leave none of 4 pairs"),
        ({"validation": ("Sony_*",)}, "matches none of 4 kept pairs"),
    ],
)
def test_patterns_that_match_nothing_are_refused(tmp_path, folder, fields, message):
    with pytest.raises(UsageError, match=message):
        prepare([folder], tmp_path / "p.h5", config=PrepareConfig(**fields))


def test_include_leaves_the_skipped_of_other_names_out(tmp_path, folder):
    add_pair(folder, "Canon_3")
    (folder / "HR" / "Canon_3.png").unlink()
    config = PrepareConfig(include=("Nikon_*",))
    assert prepare([folder], tmp_path / "p.h5", config=config).dropped == ()
    assert len(prepare([folder], tmp_path / "p.h5", config=DEFAULT).dropped) == 1


def test_deep_and_8_bit_images_are_kept_as_they_are(tmp_path, folder):
    deep = np.asarray(Image.open(folder / "HR" / "Canon_1.png")).astype(np.uint16) * 257
    (folder / "HR" / "Canon_1.png").unlink()
    tifffile.imwrite(folder / "HR" / "Canon_1.tif", deep, photometric="rgb")
    prepare([folder], tmp_path / "p.h5", config=DEFAULT)
    with Pack(tmp_path / "p.h5") as pack:
        assert np.array_equal(pack.hr("Canon_1"), deep)
        assert pack.lr("Canon_1").dtype == np.uint8


def test_another_file_is_not_overwritten(tmp_path, folder):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="something else than a pack"):
        prepare([folder], tmp_path / "thesis.txt", config=DEFAULT)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_unknown_fields_are_refused():
    with pytest.raises(UsageError, match="ncc_treshold"):
        make_config({"ncc_treshold": 0.9})


def test_check_finds_what_prepare_would_drop_and_a_shift(tmp_path, folder):
    assert check(folder)["problems"] == []
    add_pair(folder, "other", lr=np.full((24, 24, 3), 255, np.uint8))
    add_pair(folder, "alone")
    (folder / "LR" / "alone.png").unlink()
    lr = np.asarray(Image.open(folder / "LR" / "Nikon_1.png"))
    save(folder / "LR" / "Nikon_1.png", np.roll(lr, 2, axis=1))
    value = check(folder)
    reasons = {item["name"]: item["reason"] for item in value["problems"]}
    assert set(reasons) == {"other", "alone", "Nikon_1"}
    assert value["pairs"][2]["shift"] == pytest.approx([2, 0], abs=0.2)
    wide = check(folder, threshold=-1)
    assert {item["name"] for item in wide["problems"]} == {"alone", "Nikon_1"}  # the shift is found on its own


def test_check_finds_damage_in_a_pack(tmp_path, folder):
    pack = tmp_path / "p.h5"
    prepare([folder], pack, config=DEFAULT)
    assert check(pack)["problems"] == []
    data = bytearray(pack.read_bytes())
    data[data.index(np.asarray(Image.open(folder / "LR" / "Canon_1.png")).tobytes())] ^= 1
    pack.write_bytes(data)
    (problem,) = check(pack)["problems"]
    assert problem["name"] == "Canon_1"
    assert "damaged" in problem["reason"]
    with pytest.raises(UsageError, match="no such file"):
        check(tmp_path / "missing.h5")


def test_real_pairs_prepared_twice_are_the_same(tmp_path, real_data):
    source = real_data / "pairs" / "realsr_x4"
    reports = [prepare([source], tmp_path / name, config=DEFAULT, scale=4) for name in ("1.h5", "2.h5")]
    assert reports[0].sha256 == reports[1].sha256
    assert (reports[0].pairs, reports[0].kept, len(reports[0].dropped)) == (70, 62, 8)
    assert (reports[0].train, reports[0].validation) == (60, 2)
    assert reports[0].images == reports[1].images
