"""Image files against Pillow, OpenCV and tifffile: what they write is read, and what is written they read."""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from shared.data.images import ImageFile, check_writable, quantise, read_image, to_float, write_image
from shared.errors import NonFiniteError, PairError, UsageError
from shared.resize import resize

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


# ---- reading -------------------------------------------------------------------------------------------------------


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


# ---- refusals ------------------------------------------------------------------------------------------------------


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
    "one row": (pillow_bytes(RGB8[:1]), "18x1 pixels; expected at least 2"),
    "one pixel": (pillow_bytes(RGB8[:1, :1]), "1x1 pixels"),
    "one column, 16 bit": (tiff_bytes(RGB16[:, :1]), "1x12 pixels"),
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


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(PairError, match="no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(PairError, match="this is a folder"):
        read_image(tmp_path)


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


# ---- values --------------------------------------------------------------------------------------------------------


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


# ---- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("webp", 8)])
def test_written_files_hold_their_samples_and_keep_their_kind(tmp_path, suffix, bits, grey, alpha):
    colour, plane = (RGB8, ALPHA8) if bits == 8 else (RGB16, ALPHA16)
    colour = np.dstack([colour[..., 0]] * 3) if grey else colour
    like = image_of(colour, grey=grey, alpha=np.maximum(plane, 1) if alpha else None)
    path = tmp_path / "deep" / f"a.{suffix}"
    write_image(path, colour, bits=bits, like=like)
    image = read_image(path)
    assert (image.bits, image.grey, image.alpha is not None) == (bits, grey and suffix != "webp", alpha)
    np.testing.assert_array_equal(image.pixels, colour)
    if alpha:
        np.testing.assert_array_equal(image.alpha, like.alpha)


@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("webp", 8)])
def test_written_files_are_read_by_opencv(tmp_path: Path, suffix: str, bits: int):
    colour = RGB8 if bits == 8 else RGB16
    path = tmp_path / f"a.{suffix}"
    write_image(path, colour, bits=bits)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1], colour)
    grey = np.dstack([colour[..., 0]] * 3)
    write_image(path, grey, bits=bits, like=image_of(grey, grey=True))
    expected = grey[..., 0] if suffix != "webp" else grey
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)


def test_grey_with_alpha_at_16_bits_is_read_by_pillow(tmp_path: Path):
    grey = np.dstack([RGB16[..., 0]] * 3)
    write_image(tmp_path / "a.png", grey, bits=16, like=image_of(grey, grey=True, alpha=ALPHA16))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png")[..., -1], ALPHA16 >> 8)  # Pillow cuts to 8 bits


def test_jpeg_is_close_and_keeps_grey(tmp_path: Path):
    write_image(tmp_path / "a.jpg", smooth8(), bits=8)
    error = np.abs(read_image(tmp_path / "a.jpg").pixels.astype(int) - smooth8())
    assert error.max() <= 8
    grey = np.dstack([smooth8()[..., 0]] * 3)
    write_image(tmp_path / "g.jpg", grey, bits=8, like=image_of(grey, grey=True))
    with Image.open(tmp_path / "g.jpg") as image:
        assert image.mode == "L"


@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 16), ("jpg", 8), ("webp", 8)])
def test_profile_and_exif_are_written_where_pillow_finds_them(tmp_path: Path, suffix: str, bits: int):
    exif = Image.Exif()
    exif[0x0110] = "the camera"
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x829A] = 0.25
    source = save_pillow(tmp_path / "source.jpg", smooth8(), exif=exif, icc_profile=PROFILE)
    like = read_image(source)
    path = tmp_path / f"a.{suffix}"
    write_image(path, to_float(like.pixels), bits=bits, like=like)
    with Image.open(path) as image:
        assert image.size == (24, 36)  # upright: the sides are exchanged
        assert image.info["icc_profile"] == PROFILE
        if suffix != "tif":
            written = image.getexif()
            assert (written[0x0110], written.get(0x0112, 1)) == ("the camera", 1)
            assert written.get_ifd(0x8769)[0x829A] == 0.25


def test_alpha_is_enlarged_with_the_image(tmp_path: Path):
    like = image_of(RGB8, alpha=ALPHA8)
    write_image(tmp_path / "a.png", np.zeros((36, 54, 3), np.float32), bits=16, like=like)
    image = read_image(tmp_path / "a.png")
    expected = resize(ALPHA8[..., None] / 255, 3, antialias=False)[..., 0]
    np.testing.assert_allclose(image.alpha / 65535, expected.clip(0, 1), rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="54x35 from an image of 18x12"):
        write_image(tmp_path / "b.png", np.zeros((35, 54, 3)), bits=8, like=like)


def test_colour_written_as_grey_is_its_luma(tmp_path: Path):
    write_image(tmp_path / "a.png", RGB8, bits=8, like=image_of(RGB8, grey=True))
    luma = np.asarray(Image.fromarray(RGB8).convert("L")).astype(int)
    assert np.abs(read_image(tmp_path / "a.png").pixels[..., 0] - luma).max() <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_pixels_write_nothing(tmp_path: Path, bad: float):
    path = tmp_path / "a.png"
    write_image(path, RGB8, bits=8)
    before = path.read_bytes()
    pixels = to_float(RGB8)
    pixels[0, 0, 0] = bad
    for like in (None, image_of(RGB8, grey=True)):
        with pytest.raises(NonFiniteError, match="NaN or infinite"):
            write_image(path, pixels, bits=8, like=like)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "bits", "alpha", "message"),
    [
        ("a.bmp", 8, None, "suffix '.bmp'"),
        ("a", 8, None, "suffix ''"),
        ("a.jpg", 16, None, "JPEG holds 8"),
        ("a.webp", 16, None, "WebP holds 8"),
        ("a.png", 12, None, "PNG holds 8 or 16"),
        ("a.jpg", 8, ALPHA8, "alpha channel, which JPEG lacks"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_work(name, bits, alpha, message):
    with pytest.raises(UsageError, match=message):
        check_writable(Path(name), bits=bits, like=image_of(RGB8, alpha=alpha))


def test_sizes_and_shapes_that_cannot_be_written_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="16384x2 pixels; WebP holds 16383"):
        write_image(tmp_path / "a.webp", np.zeros((2, 16384, 3)), bits=8)
    with pytest.raises(UsageError, match=r"shape \(4, 4\)"):
        write_image(tmp_path / "a.png", np.zeros((4, 4)), bits=8)
