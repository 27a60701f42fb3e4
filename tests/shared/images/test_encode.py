"""Image files that are written whole: what they hold, against Pillow and OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from shared.errors import NonFiniteError, UsageError
from shared.images.pixels import ImageFile, read_image, to_float
from shared.images.stream import check_writable, write_image
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


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def image_of(pixels: np.ndarray, **fields) -> ImageFile:
    return ImageFile(
        **{"path": Path("x.png"), "pixels": pixels, "alpha": None, "grey": False, "icc": None, "exif": None} | fields
    )


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


def test_alpha_is_upscaled_with_the_image(tmp_path: Path):
    like = image_of(RGB8, alpha=ALPHA8)
    write_image(tmp_path / "a.png", np.zeros((36, 54, 3), np.float32), bits=16, like=like)
    image = read_image(tmp_path / "a.png")
    expected = resize(ALPHA8[..., None] / 255, 3, antialias=False)[..., 0]
    np.testing.assert_allclose(image.alpha / 65535, expected.clip(0, 1), rtol=0, atol=1e-5)


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
    ("name", "size", "bits", "alpha", "message"),
    [
        ("a.bmp", (12, 18), 8, None, "suffix '.bmp'"),
        ("a", (12, 18), 8, None, "suffix ''"),
        ("a.jpg", (12, 18), 16, None, "JPEG holds 8"),
        ("a.webp", (12, 18), 16, None, "WebP holds 8"),
        ("a.png", (12, 18), 12, None, "PNG holds 8 or 16"),
        ("a.jpg", (12, 18), 8, ALPHA8, "alpha channel, which JPEG lacks"),
        ("a.webp", (12 * 1024, 18 * 1024), 8, None, "18432x12288 pixels; WebP holds 16383"),
        ("a.jpg", (12 * 900, 18 * 900), 8, None, "16200x10800 pixels; JPEG is written whole, at most 107 megapixels"),
        ("a.webp", (12 * 600, 18 * 600), 8, None, "WebP is written whole, at most 34 megapixels: write PNG or TIFF"),
        ("a.png", (35, 54), 8, ALPHA8, "54x35 pixels from an image of 18x12"),
        ("a.png", (36, 36), 8, None, "36x36 pixels from an image of 18x12"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_work(name, size, bits, alpha, message):
    with pytest.raises(UsageError, match=message):
        check_writable(Path(name), *size, bits=bits, like=image_of(RGB8, alpha=alpha))


def test_what_is_no_image_cannot_be_written(tmp_path: Path):
    with pytest.raises(UsageError, match=r"shape \(4, 4\)"):
        write_image(tmp_path / "a.png", np.zeros((4, 4)), bits=8)
