"""Pair discovery on each layout, its traps, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.data.naming import folder_role
from shared.data.pairs import discover, list_images, ratio, read_pair
from shared.errors import PairError, UsageError


def write(path: Path, width: int, height: int, **save: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **save)
    return path


def names(folder: Path, scale: int | None = None) -> list[str]:
    return [pair.name for pair in discover([folder], scale=scale).pairs]


def test_lr_and_hr_folders_with_equal_stems(tmp_path):
    for stem in ("b", "a_LR4"):  # a suffix in both folders says nothing
        write(tmp_path / "LR" / f"{stem}.png", 20, 10)
        write(tmp_path / "HR" / f"{stem}.png", 60, 30)
    found = discover([tmp_path])
    assert [pair.name for pair in found.pairs] == ["a_LR4", "b"]
    assert (found.scale, found.skipped, found.layout) == (3, (), "LR and HR folders")
    assert found.pairs[0].lr == tmp_path / "LR" / "a_LR4.png"
    assert found.pairs[0].hr == tmp_path / "HR" / "a_LR4.png"


@pytest.mark.parametrize(
    ("lr", "hr", "name"),
    [
        ("Canon/Train/4/Canon_001_LR4.png", "Canon/Train/4/Canon_001_HR.png", "Canon_001"),  # RealSR V3
        ("x4/Train_x4/train_LR/P1_x1.png", "x4/Train_x4/train_HR/P1_x4.png", "P1"),  # DRealSR
        ("DIV2K_train_LR_bicubic/X4/0001x4.png", "DIV2K_train_HR/0001.png", "0001"),  # DIV2K
        ("DF2K/LR_bicubic/X4/abcx4.png", "DF2K/HR/abc.png", "abc"),
        ("X4/LR/000_LR.png", "X4/HR/000_HR.png", "000"),  # AIM 2020
        ("dataroot_lq/a.png", "dataroot_gt/a.png", "a"),  # BasicSR
        ("Set5/LRbicx4/a.png", "Set5/GTmod12/a.png", "a"),
        ("lr/box2.jpg", "hr/box2.webp", "box2"),
    ],
)
def test_layouts_people_bring(tmp_path, lr, hr, name):
    write(tmp_path / lr, 16, 12)
    write(tmp_path / hr, 64, 48)
    (pair,) = discover([tmp_path]).pairs
    assert (pair.name, pair.lr, pair.hr) == (name, tmp_path / lr, tmp_path / hr)


def test_partners_are_not_taken_from_another_part_of_the_set(tmp_path):
    for part, width in (("train", 40), ("test", 80)):
        write(tmp_path / f"{part}_LR" / "1_x1.png", width // 4, 10)
        write(tmp_path / f"{part}_HR" / "1_x4.png", width, 40)
    write(tmp_path / "train_LR" / "2_x1.png", 10, 10)
    write(tmp_path / "test_HR" / "2_x4.png", 40, 40)
    found = discover([tmp_path])
    assert {(pair.lr.parent.name, pair.hr.parent.name) for pair in found.pairs} == {
        ("train_LR", "train_HR"),
        ("test_LR", "test_HR"),
    }
    assert [item.name for item in found.skipped] == ["2", "2"]


def test_scenes_of_one_name_get_their_folders_in_front(tmp_path):
    for part in ("Train", "Test"):
        write(tmp_path / "Canon" / part / "4" / "Canon_001_LR4.png", 10, 10)
        write(tmp_path / "Canon" / part / "4" / "Canon_001_HR.png", 40, 40)
    assert names(tmp_path) == ["Test_4_Canon_001", "Train_4_Canon_001"]


def test_a_folder_given_twice_counts_once(tmp_path):
    write(tmp_path / "LR" / "a.png", 10, 10)
    write(tmp_path / "HR" / "a.png", 20, 20)
    assert len(discover([tmp_path, tmp_path / "LR", tmp_path]).pairs) == 1


def test_two_partners_are_refused_unless_the_scale_tells_them_apart(tmp_path):
    for scale in (2, 3):
        write(tmp_path / f"LR_bicubic_x{scale}" / "a.png", 60 // scale, 30)
    write(tmp_path / "LR_bicubic_x3" / "a.png", 20, 10)
    write(tmp_path / "LR_bicubic_x2" / "a.png", 30, 15)
    write(tmp_path / "HR" / "a.png", 60, 30)
    with pytest.raises(PairError, match=r"2 LR and 1 HR files.*give the scale"):
        discover([tmp_path])
    (pair,) = discover([tmp_path], scale=3).pairs
    assert pair.lr.parent.name == "LR_bicubic_x3"


def test_two_files_of_one_stem_are_refused_and_the_good_pair_kept(tmp_path):
    for stem in ("a", "b"):
        write(tmp_path / "LR" / f"{stem}.png", 10, 10)
        write(tmp_path / "HR" / f"{stem}.png", 20, 20)
    write(tmp_path / "HR" / "a.jpg", 20, 20)
    found = discover([tmp_path])
    assert [pair.name for pair in found.pairs] == ["b"]
    assert "2 HR files" in found.skipped[0].reason


def test_bad_pairs_are_skipped_with_a_reason_each_and_good_ones_kept(tmp_path):
    for stem in ("good", "ratio", "unreadable", "alone", "same"):
        write(tmp_path / "LR" / f"{stem}.png", 10, 10)
    for stem, side in (("good", 40), ("ratio", 38), ("single", 40), ("same", 10)):
        write(tmp_path / "HR" / f"{stem}.png", side, side)
    (tmp_path / "HR" / "unreadable.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    found = discover([tmp_path])
    assert [pair.name for pair in found.pairs] == ["good"]
    reasons = {item.name: item.reason for item in found.skipped}
    assert set(reasons) == {"ratio", "unreadable", "alone", "single", "same"}
    assert "HR 38x38" in reasons["ratio"]
    assert "no HR partner" in reasons["alone"]
    assert "no LR partner" in reasons["single"]
    assert "RealSR V1 and V2" in reasons["same"]
    assert "copy the file again" in reasons["unreadable"]


def test_another_scale_is_skipped_when_the_scale_is_given_and_refused_when_not(tmp_path):
    for stem, side in (("two", 20), ("four", 40)):
        write(tmp_path / "LR" / f"{stem}.png", 10, 10)
        write(tmp_path / "HR" / f"{stem}.png", side, side)
    with pytest.raises(PairError, match=r"1 of scale 2, 1 of scale 4.*give the scale"):
        discover([tmp_path])
    assert names(tmp_path, scale=4) == ["four"]
    assert names(tmp_path, scale=2) == ["two"]


def test_equal_sizes_alone_are_an_error_with_the_remedy(tmp_path):
    write(tmp_path / "LR" / "a.png", 40, 40)
    write(tmp_path / "HR" / "a.png", 40, 40)
    with pytest.raises(PairError, match=r"LR 40x40 and HR 40x40.*use RealSR V3"):
        discover([tmp_path])


def test_no_pairs_no_folder_no_scale(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        discover([tmp_path / "missing"])
    with pytest.raises(UsageError, match="scale 5"):
        discover([tmp_path], scale=5)
    write(tmp_path / "picture.png", 8, 8)
    with pytest.raises(PairError, match=r"expected folders LR and HR.*image files found: 1"):
        discover([tmp_path])


@pytest.mark.parametrize(
    ("lr", "hr", "scale"),
    [
        ((10, 20), (40, 80), 4),
        ((10, 20), (31, 62), 3),
        ((2, 2), (8, 8), 4),
        ((57, 86), (228, 344), 4),
        ((76, 114), (228, 344), 3),
    ],
)
def test_ratio_allows_the_pixels_that_benchmarks_cut_off(lr, hr, scale):
    assert ratio(lr, hr) == scale


@pytest.mark.parametrize(
    ("lr", "hr"), [((10, 10), (39, 40)), ((10, 10), (40, 60)), ((10, 10), (50, 50)), ((40, 40), (10, 10))]
)
def test_ratio_refuses_the_rest(lr, hr):
    with pytest.raises(PairError, match="expected HR = scale x LR"):
        ratio(lr, hr)


def test_read_pair_cuts_hr_at_the_right_and_the_bottom(tmp_path):
    write(tmp_path / "LR" / "a.png", 10, 12)
    write(tmp_path / "HR" / "a.png", 31, 38)
    (pair,) = discover([tmp_path]).pairs
    lr, hr = read_pair(pair, scale=3)
    whole = np.asarray(Image.open(pair.hr))
    assert (lr.shape, hr.shape) == ((12, 10, 3), (36, 30, 3))
    assert np.array_equal(hr, whole[:36, :30])
    assert not np.array_equal(hr, whole[-36:, -30:])  # known-wrong: cut at the top left
    with pytest.raises(PairError, match="expected HR 20x24"):
        read_pair(pair, scale=2)


def test_hidden_files_and_folders_are_not_listed(tmp_path):
    for name in ("a.png", ".a.png", ".hidden/b.png", "c.txt.png"):
        write(tmp_path / name, 4, 4)
    (tmp_path / "d.txt").write_text("no image")
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "c.txt.png"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("HR", "hr"),
        ("hr", "hr"),
        ("test_LR", "lr"),
        ("TestLRX2", "lr"),
        ("GTmod12", "hr"),
        ("Threads", None),
        ("chromosomes", None),
        ("LR_HR", None),
        ("alright", None),
    ],
)
def test_folder_role(name, role):
    assert folder_role(name) == role


def test_real_sets_are_recognised(real_data):
    realsr = discover([real_data / "pairs" / "realsr_x4"])
    assert (len(realsr.pairs), realsr.scale, realsr.skipped) == (70, 4, ())
    assert len(discover([real_data / "pairs" / "drealsr_x4"], scale=4).pairs) == 52
    both = discover([real_data / "pairs"])
    assert (len(both.pairs), len(both.skipped)) == (122, 20)  # the 20 of City100 have equal sizes
    assert len(discover([real_data / "set5"], scale=3).pairs) == 5
    with pytest.raises(PairError, match="3 LR and 1 HR"):
        discover([real_data / "set5"])
