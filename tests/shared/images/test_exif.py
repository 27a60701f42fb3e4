"""EXIF blocks against Pillow's own reader and writer."""

import struct

import pytest
from PIL import Image

from shared.images.exif import made_upright, orientation


def block(value: int | None) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    if value is not None:
        exif[0x0112] = value
    exif.get_ifd(0x8769)[0x927C] = b"a maker note"
    return exif.tobytes()


def big_endian(value: int) -> bytes:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)
    return b"MM" + struct.pack(">HIH", 42, 8, 1) + entry + struct.pack(">I", 999)


@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_found_in_either_byte_order(value: int):
    assert orientation(block(value)) == value
    assert orientation(big_endian(value)) == value


def test_without_an_orientation_the_image_is_upright():
    for exif in (None, b"", b"Exif\0\0", b"no exif", block(None), block(9), block(0)):
        assert orientation(exif) == 1


def test_upright_blocks_keep_all_else():
    upright = Image.Exif()
    upright.load(made_upright(block(6)))
    assert upright[0x0112] == 1
    assert upright[0x010F] == "maker"
    assert upright.get_ifd(0x8769)[0x927C] == b"a maker note"
    assert made_upright(block(None)) == block(None)


def test_the_thumbnail_is_unlinked():
    assert made_upright(big_endian(8)) == big_endian(1)[:-4] + bytes(4)


def test_damaged_blocks_stay_as_they_are():
    whole = block(6)
    for size in range(len(whole)):
        part = whole[:size]
        if orientation(part) == 1:
            assert made_upright(part) == part
