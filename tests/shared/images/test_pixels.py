"""Depth and rounding of pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import PairError, UsageError
from shared.images.pixels import quantise, read_image, to_float

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (12, 18, 3), dtype=np.uint16)


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(PairError, match="no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(PairError, match="this is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_single_pixels_rows_and_columns_are_read(tmp_path: Path, size: tuple[int, int]):
    pixels = RGB8[: size[0], : size[1]]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, pixels)


def test_to_float_divides_by_the_peak():
    for pixels, peak in ((RGB8, 255), (RGB16, 65535)):
        assert to_float(pixels).dtype == np.float32
        np.testing.assert_allclose(to_float(pixels), pixels / peak, rtol=1e-7)
    with pytest.raises(UsageError, match="float64"):
        to_float(RGB8 / 255)


@pytest.mark.parametrize(("bits", "peak"), [(8, 255), (16, 65535)])
def test_quantise_inverts_to_float_and_rounds_half_up(bits: int, peak: int):
    every = np.arange(peak + 1).astype(np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(quantise(to_float(every), bits), every)
    np.testing.assert_array_equal(quantise(every / peak, bits), every)
    assert quantise(np.array([-0.5, 0.5 / peak, 1.5 / peak, 7.0]), bits).tolist() == [0, 1, 2, peak]
    assert quantise(every, bits) is every


def test_quantise_changes_the_depth_of_integers():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantise(levels, 16), np.arange(256) * 257)
    np.testing.assert_array_equal(quantise(np.arange(256, dtype=np.uint16) * 257, 8), levels)
