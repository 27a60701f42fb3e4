"""Image files that cannot be used are refused with the reason, truncated and damaged ones too."""

import contextlib
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from shared.errors import PairError
from shared.images.pixels import read_image

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (12, 18, 3), dtype=np.uint16)
ALPHA8 = RNG.integers(0, 256, (12, 18), dtype=np.uint8)
ALPHA16 = RNG.integers(0, 65536, (12, 18), dtype=np.uint16)


def pillow_bytes(array: np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def tiff_bytes(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **{"photometric": "rgb"} | options)
    return file.getvalue()


def two_pages() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB8).save(file, "TIFF", save_all=True, append_images=[Image.fromarray(RGB8)])
    return file.getvalue()


def with_nan() -> np.ndarray:
    values = (RGB16 / 65535).astype(np.float32)
    values[3, 4, 1] = np.nan
    return values


def cmyk_jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB8).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def animation() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB8).save(file, "WEBP", save_all=True, append_images=[Image.fromarray(255 - RGB8)])
    return file.getvalue()


UNUSABLE = {
    "empty": (b"", "the file is empty"),
    "text": (b"no image at all, but long enough", "not recognised"),
    "gif": (pillow_bytes(ALPHA8, "GIF"), "not recognised"),
    "bmp": (pillow_bytes(RGB8, "BMP"), "not recognised"),
    "cmyk jpeg": (cmyk_jpeg(), "colour mode CMYK; expected grey or RGB"),
    "cmyk 16": (tiff_bytes(RNG.integers(0, 99, (8, 8, 4), np.uint16), photometric="separated"), "SEPARATED"),
    "premultiplied": (tiff_bytes(np.dstack([RGB16, ALPHA16]), extrasamples=["assocalpha"]), "4 samples a pixel"),
    "32 bit": (tiff_bytes(RGB16.astype(np.uint32)), "samples of uint32"),
    "nan": (tiff_bytes(with_nan()), "1 samples are NaN or infinite"),
    "0 to 255": (tiff_bytes(RGB8.astype(np.float32)), r"floats from 0 to 255; expected \[0, 1\]"),
    "two pages": (two_pages(), "2 full-size pages"),
    "animation": (animation(), "an animation"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files_are_refused_with_their_name(tmp_path: Path, name: str):
    data, message = UNUSABLE[name]
    path = tmp_path / "bad image"
    path.write_bytes(data)
    with pytest.raises(PairError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "expected" in str(caught.value)


WHOLE = {
    "png 8": pillow_bytes(RGB8),
    "png 16": cv2.imencode(".png", RGB16)[1].tobytes(),
    "jpeg": pillow_bytes(RGB8, "JPEG"),
    "webp": pillow_bytes(RGB8, "WEBP"),
    "tiff 8": pillow_bytes(RGB8, "TIFF"),
    "tiff 8 lzw": pillow_bytes(RGB8, "TIFF", compression="tiff_lzw"),
    "tiff 16": tiff_bytes(RGB16),
    "tiff 16 deflate": tiff_bytes(RGB16, compression="zlib"),
    "tiff 16 lzw": cv2.imencode(".tif", RGB16, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes(),
    "tiff float": tiff_bytes((RGB16 / 65535).astype(np.float32)),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_files_are_refused(tmp_path: Path, kind: str):
    path = tmp_path / "image"
    path.write_bytes(WHOLE[kind])
    read_image(path)  # control: whole, it is read
    for part in np.linspace(1, 0.9 * len(WHOLE[kind]), 25).astype(int):
        path.write_bytes(WHOLE[kind][:part])
        with pytest.raises(PairError):
            read_image(path)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path: Path, kind: str):
    rng = np.random.default_rng(1)
    path = tmp_path / "image"
    for _ in range(60):
        data = bytearray(WHOLE[kind])
        for at in rng.integers(0, min(len(data), 400), 3):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(PairError):
            assert read_image(path).pixels.ndim == 3
