"""Pairs to measure on, from packs and from folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from shared.data.pack import PackPair, write_pack
from shared.data.source import open_pairs
from shared.errors import UsageError

RNG = np.random.default_rng(0)
PAIRS = {name: [RNG.integers(0, 256, (8 * k, 10 * k, 3), dtype=np.uint8) for k in (1, 4)] for name in ("c", "a", "b")}


def fill_folder(folder: Path) -> Path:
    for name, images in PAIRS.items():
        for kind, image in zip(("LR", "HR"), images, strict=True):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{name}.png"), image[..., ::-1])
    return folder


def fill_pack(path: Path, *, split: str = "validation") -> Path:
    pairs = [
        PackPair(name=name, lr=lr, hr=hr, split="train" if name == "c" else split, facts={})
        for name, (lr, hr) in PAIRS.items()
    ]
    write_pack(path, pairs, scale=4, provenance={})
    return path


def damage(folder: Path, name: str) -> None:
    """Put a truncated JPEG, whose header is whole, in the place of an HR image."""
    (folder / "HR" / f"{name}.png").unlink()
    data = cv2.imencode(".jpg", PAIRS[name][1])[1].tobytes()
    (folder / "HR" / f"{name}.jpg").write_bytes(data[: len(data) // 2])


def assert_holds(source, names: tuple[str, ...]) -> None:
    assert (source.scale, source.names, len(source)) == (4, names, len(names))
    for _ in range(2):  # iterating again starts anew
        pairs = list(source)
        assert tuple(pair.name for pair in pairs) == names
        for pair in pairs:
            np.testing.assert_array_equal(pair.lr, PAIRS[pair.name][0])
            np.testing.assert_array_equal(pair.hr, PAIRS[pair.name][1])


def test_a_pack_gives_its_validation_pairs(tmp_path: Path):
    path = fill_pack(tmp_path / "pack.h5")
    for scale in (None, 4):
        source = open_pairs(path, scale=scale)
        assert_holds(source, ("a", "b"))
        assert source.skipped == ()


def test_a_folder_gives_all_its_pairs(tmp_path: Path):
    for scale in (None, 4):
        source = open_pairs(fill_folder(tmp_path), scale=scale)
        assert_holds(source, ("a", "b", "c"))
        assert source.skipped == ()


def test_a_damaged_pair_is_listed_and_the_others_are_kept(tmp_path: Path):
    damage(fill_folder(tmp_path), "b")
    source = open_pairs(tmp_path)
    assert_holds(source, ("a", "c"))
    ((name, reason),) = [(item.name, item.reason) for item in source.skipped]
    assert name == "b"
    assert "truncated" in reason


def test_a_missing_partner_is_listed(tmp_path: Path):
    fill_folder(tmp_path)
    (tmp_path / "LR" / "a.png").unlink()
    source = open_pairs(tmp_path)
    assert_holds(source, ("b", "c"))
    assert [item.name for item in source.skipped] == ["a"]


def test_nothing_readable_is_an_error(tmp_path: Path):
    fill_folder(tmp_path)
    for name in PAIRS:
        damage(tmp_path, name)
    with pytest.raises(UsageError, match="none of 3 pairs can be read"):
        open_pairs(tmp_path)


def test_what_is_neither_pack_nor_folder_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no such file"):
        open_pairs(tmp_path / "none")
    (tmp_path / "text").write_text("no pack")
    with pytest.raises(UsageError, match="expected a whole pack"):
        open_pairs(tmp_path / "text")


def test_packs_of_another_scale_or_without_validation_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="pairs of scale 4; expected 2"):
        open_pairs(fill_pack(tmp_path / "pack.h5"), scale=2)
    with pytest.raises(UsageError, match="no validation pair"):
        open_pairs(fill_pack(tmp_path / "train.h5", split="train"))


def test_real_pairs_are_found(real_data: Path):
    source = open_pairs(real_data / "pairs" / "realsr_x4")
    assert (source.scale, len(source), source.skipped) == (4, 70, ())
    assert next(iter(source)).hr.shape == (512, 512, 3)
