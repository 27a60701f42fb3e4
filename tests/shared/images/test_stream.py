"""Images written band by band: the file is that of the whole image, in memory that does not grow, whole or not at all."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import NonFiniteError, UsageError
from shared.images import tiff
from shared.images.pixels import ImageFile
from shared.images.stream import open_band_writer, write_image

RNG = np.random.default_rng(0)
FLOATS = RNG.uniform(-0.1, 1.1, (36, 24, 3)).astype(np.float32)  # some are clipped
FORMATS = [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("webp", 8)]


def like(shape: tuple[int, int], *, grey: bool, alpha: bool, bits: int) -> ImageFile:
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = RNG.integers(0, np.iinfo(dtype).max, (*shape, 3), dtype=dtype)
    plane = pixels[..., 0].copy() if alpha else None
    return ImageFile(path=Path("x.png"), pixels=pixels, alpha=plane, grey=grey, icc=None, exif=None)


def divided(image: np.ndarray, cuts: list[int]) -> Iterator[np.ndarray]:
    edges = [0, *sorted(cut % (len(image) + 1) for cut in cuts), len(image)]
    return (image[a:b] for a, b in pairwise(edges))


def write_bands(path: Path, bands: Iterator[np.ndarray], shape: tuple[int, ...], **options) -> Path:
    with open_band_writer(path, *shape[:2], **options) as out:
        for band in bands:
            out.write(band)
    return path


def stored(path: Path) -> np.ndarray:
    """Samples as other libraries read them: tifffile TIFF, Pillow 8 bits, OpenCV 16."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Image.open(path) as image:
        if image.mode in ("L", "LA", "RGB", "RGBA") and cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype == np.uint8:
            return np.asarray(image)
    deep = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return deep if deep.ndim == 2 else deep[..., [2, 1, 0, 3][: deep.shape[2]]]


def by_libtiff(path: Path, bits: int) -> np.ndarray:
    """A second reader of TIFF. OpenCV would multiply 8-bit colour by alpha."""
    if bits == 8:
        with Image.open(path) as image:
            return np.asarray(image)
    deep = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return deep if deep.ndim == 2 else deep[..., [2, 1, 0, 3][: deep.shape[2]]]


def rounded(image: np.ndarray, bits: int) -> np.ndarray:
    return np.floor(image.clip(0, 1).astype(np.float32) * np.float32(2**bits - 1) + np.float32(0.5))


@given(
    cuts=st.lists(st.integers(0, 36), max_size=6),
    kind=st.sampled_from(FORMATS),
    grey=st.booleans(),
    alpha=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_file_does_not_depend_on_the_bands(tmp_path_factory, cuts, kind, grey, alpha):
    suffix, bits = kind
    folder = tmp_path_factory.mktemp("bands")
    options = {"bits": bits, "like": like((12, 8), grey=grey, alpha=alpha, bits=bits)}
    write_image(folder / f"whole.{suffix}", FLOATS, **options)
    write_bands(folder / f"bands.{suffix}", divided(FLOATS, cuts), FLOATS.shape, **options)
    assert (folder / f"bands.{suffix}").read_bytes() == (folder / f"whole.{suffix}").read_bytes()


@pytest.mark.parametrize(("suffix", "bits"), FORMATS)
def test_other_libraries_read_the_rounded_image(tmp_path: Path, suffix: str, bits: int):
    path = write_bands(tmp_path / f"a.{suffix}", divided(FLOATS, [5, 6, 29]), FLOATS.shape, bits=bits)
    np.testing.assert_array_equal(stored(path), rounded(FLOATS, bits))
    swapped = np.concatenate([FLOATS[5:10], FLOATS[:5], FLOATS[10:]])  # control: bands in the wrong order
    path = write_bands(tmp_path / f"b.{suffix}", divided(swapped, [5, 6, 29]), FLOATS.shape, bits=bits)
    assert (stored(path) != rounded(FLOATS, bits)).any()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16)])
def test_many_strips_and_chunks(tmp_path: Path, suffix: str, bits: int, channels: int):
    """Noise does not pack: 0.7 MB and more are several chunks of PNG, strips of TIFF and slabs."""
    noise = RNG.integers(0, 2**bits, (901, 803, 3), dtype=np.uint8 if bits == 8 else np.uint16)
    noise = noise if channels > 2 else noise[..., :1].repeat(3, axis=2)
    model = like((901, 803), grey=channels < 3, alpha=channels % 2 == 0, bits=bits)
    path = write_bands(tmp_path / f"a.{suffix}", divided(noise, [1, 400, 700]), noise.shape, bits=bits, like=model)
    planes = [noise[..., : 1 if channels < 3 else 3], *([model.alpha[..., None]] if channels % 2 == 0 else [])]
    expected = np.concatenate(planes, axis=2)
    if (suffix, bits, channels) == ("png", 16, 2):  # which OpenCV alone reads, as B, G, R, alpha
        np.testing.assert_array_equal(stored(path)[..., [0, 3]], expected)
    else:
        np.testing.assert_array_equal(stored(path).reshape(expected.shape), expected)
    if suffix == "tif" and channels != 2:
        np.testing.assert_array_equal(by_libtiff(path, bits).reshape(expected.shape), expected)


def test_large_tiffs_have_wide_offsets(tmp_path: Path, monkeypatch):
    for limit, big in ((1000, True), (10**6, False)):
        monkeypatch.setattr(tiff, "CLASSIC", limit)  # 4 GiB in earnest
        path = write_bands(tmp_path / f"{limit}.tif", divided(FLOATS, [7]), FLOATS.shape, bits=16)
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff == big
            np.testing.assert_array_equal(file.asarray(), rounded(FLOATS, 16))
        opencv = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # libtiff
        np.testing.assert_array_equal(opencv[..., ::-1], rounded(FLOATS, 16))


def peak_bytes(path: Path, height: int) -> int:
    """Most memory that Python and NumPy held while an image was written in bands of 50 rows."""
    band = RNG.uniform(size=(50, 700, 3)).astype(np.float32)
    tracemalloc.start()
    write_bands(path, (band for _ in range(height // 50)), (height, 700), bits=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_memory_does_not_grow_with_the_height(tmp_path: Path, suffix: str):
    low, high = (peak_bytes(tmp_path / f"a.{suffix}", height) for height in (1600, 4000))
    assert high < low + 300_000  # the image grows by 6 MB
    whole = [peak_bytes(tmp_path / "a.jpg", height) for height in (1600, 4000)]
    assert whole[1] > whole[0] + 5_000_000  # control: a format that is written whole


def failing() -> Iterator[np.ndarray]:
    yield FLOATS[:20]
    raise KeyError("a network failed")


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path):
    for suffix, bits in FORMATS:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(b"old")
        with pytest.raises(KeyError):
            write_bands(path, failing(), FLOATS.shape, bits=bits)
        assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == len({suffix for suffix, _ in FORMATS})


def test_what_is_not_finite_in_a_later_band_leaves_the_old_file(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"old")
    bad = FLOATS[20:].copy()
    bad[3, 4, 1] = np.nan
    with pytest.raises(NonFiniteError):
        write_bands(tmp_path / "a.png", iter([FLOATS[:20], bad]), FLOATS.shape, bits=8)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]


def test_missing_and_surplus_rows_are_refused(tmp_path: Path):
    with (
        pytest.raises(UsageError, match="got 35 rows; expected 36: nothing is written"),
        open_band_writer(tmp_path / "a.png", 36, 24, bits=8) as out,
    ):
        out.write(FLOATS[1:])
    for rows in (FLOATS, FLOATS[:, 1:], FLOATS[..., 0]):
        with (
            pytest.raises(UsageError, match="rows of shape"),
            open_band_writer(tmp_path / "a.tif", 35, 24, bits=8) as out,
        ):
            out.write(rows)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_before_the_first_band(tmp_path: Path):
    with pytest.raises(KeyError), open_band_writer(tmp_path / "deep/a.png", 36, 24, bits=8):
        raise KeyError("a network failed")
    assert list(tmp_path.iterdir()) == []
