"""Image files that Pillow, OpenCV and tifffile wrote are read as they read them."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from shared.images.pixels import ImageFile, read_image
from shared.images.stream import write_image

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (12, 18, 3), dtype=np.uint16)
ALPHA8 = RNG.integers(0, 256, (12, 18), dtype=np.uint8)
ALPHA16 = RNG.integers(0, 65536, (12, 18), dtype=np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def smooth8() -> np.ndarray:
    return cv2.resize(RGB8[:3, :4], (36, 24), interpolation=cv2.INTER_LINEAR)


def save_pillow(path: Path, array: np.ndarray, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def decoded(path: Path, *, upright: bool = False) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image) if upright else image)


def save_tiff(path: Path, array: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, array, **{"photometric": "rgb"} | options)
    return path


def image_of(pixels: np.ndarray, **fields) -> ImageFile:
    return ImageFile(
        **{"path": Path("x.png"), "pixels": pixels, "alpha": None, "grey": False, "icc": None, "exif": None} | fields
    )


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("tif", {}), ("webp", {"lossless": True})])
def test_8_bit_rgb_and_rgba_are_read_exactly(tmp_path: Path, suffix: str, options: dict):
    image = read_image(save_pillow(tmp_path / f"a.{suffix}", RGB8, **options))
    np.testing.assert_array_equal(image.pixels, RGB8)
    assert (image.bits, image.alpha, image.grey, image.icc, image.exif) == (8, None, False, None, None)
    rgba = np.dstack([RGB8, np.maximum(ALPHA8, 1)])
    image = read_image(save_pillow(tmp_path / f"b.{suffix}", rgba, **options))
    np.testing.assert_array_equal(image.pixels, RGB8)
    np.testing.assert_array_equal(image.alpha, rgba[..., 3])


def test_jpeg_is_read_as_pillow_decodes_it(tmp_path: Path):
    path = save_pillow(tmp_path / "a.jpg", smooth8(), quality=90)
    np.testing.assert_array_equal(read_image(path).pixels, decoded(path))


def test_of_a_phones_several_pictures_the_first_is_read(tmp_path: Path):
    first = Image.fromarray(smooth8())
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.fromarray(smooth8()[:12])])
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg").pixels, decoded(tmp_path / "a.jpg"))
    assert read_image(tmp_path / "a.jpg").pixels.shape == smooth8().shape


def test_the_format_is_that_of_the_content_not_of_the_name(tmp_path: Path):
    path = save_pillow(tmp_path / "a.png", RGB8)
    renamed = path.rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(renamed).pixels, RGB8)


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg"])
def test_grey_fills_three_channels_and_is_remembered(tmp_path: Path, suffix: str):
    path = save_pillow(tmp_path / f"a.{suffix}", ALPHA8)
    image = read_image(path)
    assert image.grey
    np.testing.assert_array_equal(image.pixels, np.dstack([decoded(path)] * 3))


def test_grey_with_alpha(tmp_path: Path):
    path = save_pillow(tmp_path / "a.png", np.dstack([RGB8[..., 0], ALPHA8]))
    image = read_image(path)
    assert image.grey
    np.testing.assert_array_equal(image.pixels, np.dstack([RGB8[..., 0]] * 3))
    np.testing.assert_array_equal(image.alpha, ALPHA8)


def test_palettes_and_bilevel_images_become_8_bits(tmp_path: Path):
    palette = Image.fromarray(RGB8).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png").pixels, np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "clear.png", transparency=3)
    clear = read_image(tmp_path / "clear.png")
    np.testing.assert_array_equal(clear.alpha == 0, np.asarray(palette) == 3)
    Image.fromarray(ALPHA8 > 100).save(tmp_path / "bilevel.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bilevel.png").pixels[..., 0], (ALPHA8 > 100) * np.uint8(255))


def test_the_depth_comes_from_the_file_not_from_the_values(tmp_path: Path):
    dark = (RGB16 % 200).astype(np.uint16)  # every value would fit 8 bits
    cv2.imwrite(str(tmp_path / "a.png"), dark)
    image = read_image(tmp_path / "a.png")
    assert image.bits == 16
    np.testing.assert_array_equal(image.pixels, dark[..., ::-1])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png(tmp_path: Path, channels: int):
    bgr = np.dstack([RGB16[..., ::-1], ALPHA16])[..., :channels]
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    image = read_image(tmp_path / "a.png")
    expected = bgr[..., :3][..., ::-1] if channels > 1 else np.dstack([bgr] * 3)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.grey == (channels == 1)
    assert (image.alpha is not None) == (channels == 4)
    if channels == 4:
        np.testing.assert_array_equal(image.alpha, ALPHA16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"planarconfig": "separate"},
    ],
)
def test_16_bit_tiff(tmp_path: Path, options: dict):
    stored = np.moveaxis(RGB16, 2, 0) if "planarconfig" in options else RGB16
    image = read_image(save_tiff(tmp_path / "a.tif", stored, **options))
    assert image.bits == 16
    np.testing.assert_array_equal(image.pixels, RGB16)


def test_16_bit_tiff_packed_by_lzw(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.tif"), RGB16[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, RGB16)


def test_16_bit_tiff_with_alpha_grey_and_inverted_grey(tmp_path: Path):
    rgba = save_tiff(tmp_path / "a.tif", np.dstack([RGB16, ALPHA16]), extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(rgba).alpha, ALPHA16)
    np.testing.assert_array_equal(read_image(rgba).pixels, RGB16)
    for photometric, expected in (("minisblack", ALPHA16), ("miniswhite", 65535 - ALPHA16)):
        grey = read_image(save_tiff(tmp_path / "g.tif", ALPHA16, photometric=photometric))
        assert grey.grey
        np.testing.assert_array_equal(grey.pixels[..., 1], expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_tiff_is_rounded_to_16_bits(tmp_path: Path, dtype: type):
    values = (RGB16 / 65535).astype(dtype)
    image = read_image(save_tiff(tmp_path / "a.tif", values))
    np.testing.assert_array_equal(image.pixels, np.floor(values.astype(np.float64) * 65535 + 0.5))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["png 8", "png 16", "tiff 8", "tiff 16", "webp", "jpg"])
def test_orientation_is_applied_as_pillow_does(tmp_path: Path, kind: str, value: int):
    suffix = kind.split()[0]
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = value
    if kind == "tiff 16":
        save_tiff(path, RGB16, extratags=[(274, 3, 1, value, True)], metadata=None)
    elif kind == "png 16":
        write_image(path, RGB16, bits=16, like=image_of(RGB16, exif=exif.tobytes()))
    else:
        lossless = {"lossless": True} if kind == "webp" else {}
        save_pillow(path, smooth8() if kind == "jpg" else RGB8, exif=exif, **lossless)
    image = read_image(path)
    if suffix == "jpg":
        expected = decoded(path, upright=True)
    else:  # through two 8-bit images, as Pillow has no 16-bit colour
        stored = RGB16 if "16" in kind else RGB8
        halves = [Image.fromarray(part.astype(np.uint8)) for part in (stored & 255, stored >> 8)]
        for half in halves:
            half.getexif()[0x0112] = value
        low, high = (np.asarray(ImageOps.exif_transpose(half)).astype(stored.dtype) for half in halves)
        expected = low if stored.dtype == np.uint8 else low + 256 * high
    np.testing.assert_array_equal(image.pixels, expected)
    if image.exif is not None:
        block = Image.Exif()
        block.load(image.exif)
        assert block.get(0x0112, 1) == 1


@pytest.mark.parametrize("pixels", [RGB8, RGB16])
def test_exif_behind_the_pixels_of_a_png_counts(tmp_path: Path, pixels: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = 3
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    write_image(tmp_path / "a.png", pixels, bits=8 * pixels.itemsize)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:-12] + chunk + data[-12:])  # before IEND
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, pixels[::-1, ::-1])


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_the_colour_profile_is_read(tmp_path: Path, suffix: str):
    assert read_image(save_pillow(tmp_path / f"a.{suffix}", RGB8, icc_profile=PROFILE)).icc == PROFILE


def test_the_colour_profile_of_deep_files_is_read(tmp_path: Path):
    assert read_image(save_tiff(tmp_path / "a.tif", RGB16, iccprofile=PROFILE)).icc == PROFILE
    write_image(tmp_path / "a.png", RGB16, bits=16, like=image_of(RGB16, icc=PROFILE))
    image = read_image(tmp_path / "a.png")
    assert image.icc == PROFILE
    np.testing.assert_array_equal(image.pixels, RGB16)  # not converted
