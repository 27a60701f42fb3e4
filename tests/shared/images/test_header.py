"""Sizes from headers alone, against what Pillow shows; damaged pixels do not matter."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from shared.errors import PairError
from shared.images.header import image_size

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def exif(value: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = value
    return block


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_sizes_are_those_of_the_upright_picture(tmp_path: Path, suffix: str, value: int):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif(value))
    with Image.open(path) as image:
        assert image_size(path) == ImageOps.exif_transpose(image).size


def test_16_bit_tiff(tmp_path: Path):
    for value, expected in ((1, (30, 20)), (6, (20, 30))):
        path = tmp_path / f"{value}.tif"
        tifffile.imwrite(path, PIXELS.astype(np.uint16), photometric="rgb", extratags=[(274, "H", 1, value, True)])
        assert image_size(path) == expected


def test_exif_behind_the_pixels_of_a_png_counts_and_no_pixel_is_decoded(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") + 4
    data[at : at + 200] = bytes(200)
    block = exif(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    path.write_bytes(bytes(data[:-12]) + chunk + bytes(data[-12:]))
    with pytest.raises((OSError, SyntaxError)), Image.open(path) as image:  # control: whoever decodes fails
        image.load()
    assert image_size(path) == (20, 30)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0", b"II*\0\0\0"])
def test_what_has_no_header_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PairError, match="expected a readable PNG"):
        image_size(tmp_path / "a.png")
