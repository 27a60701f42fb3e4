"""Image files as values: read upright at the depth the file states, written back with what belongs to them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.data.decode import decode
from shared.data.encode import FORMATS, Format
from shared.errors import NonFiniteError, PairError, UsageError
from shared.files import write_bytes
from shared.resize import resize, to_unit

Bits = Literal[8, 16]

MIN_SIDE = 2  # a single row or column has no direction to interpolate along
DTYPES: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16}
GREY = np.array([0.299, 0.587, 0.114])  # Rec. ITU-R BT.601 luma, full range; of equal channels it is their value


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFile:
    """An image as it should be seen: the EXIF orientation is applied.

    Attributes:
        path: where it was read.
        pixels: (h, w, 3) uint8 or uint16; of a grey image the three channels are equal.
        alpha: (h, w) of the same dtype, not premultiplied, or None.
        grey: the file holds one colour channel.
        icc: its colour profile, or None. Pixels are not converted.
        exif: its EXIF block with orientation 1, or None. TIFF files have none here.
    """

    path: Path
    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    grey: bool
    icc: bytes | None
    exif: bytes | None

    @property
    def bits(self) -> Bits:
        """Depth of the samples: 8 or 16."""
        return 16 if self.pixels.dtype == np.uint16 else 8


def read_image(path: Path) -> ImageFile:
    """Read a PNG, TIFF, JPEG or WebP file.

    The depth is the file's: 8 bits (also for 1, 2, 4 bits and palettes), or 16 bits (also for floating-point TIFF in
    [0, 1], which is rounded to 16 bits).

    Raises:
        PairError: a missing, empty, truncated or damaged file, another format, CMYK, several pages, NaN, or fewer than
            2 pixels a side.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PairError(f"{path}: no such file; expected an image") from None
    except IsADirectoryError:
        raise PairError(f"{path}: this is a folder; expected an image file") from None
    decoded = decode(str(path), data)
    height, width, channels = decoded.samples.shape
    if min(height, width) < MIN_SIDE:
        raise PairError(f"{path}: {width}x{height} pixels; expected at least {MIN_SIDE} a side: leave it out")
    colours = decoded.samples[..., : channels - 1] if channels % 2 == 0 else decoded.samples
    return ImageFile(
        path=path,
        pixels=np.repeat(colours, 3, axis=2) if channels < 3 else np.ascontiguousarray(colours),
        alpha=np.ascontiguousarray(decoded.samples[..., -1]) if channels % 2 == 0 else None,
        grey=channels < 3,
        icc=decoded.icc,
        exif=decoded.exif,
    )


def to_float(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """uint8 or uint16 of any shape -> float32 in [0, 1], by division by 255 or 65535."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"pixels of {pixels.dtype}; expected uint8 or uint16")
    peak = np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32) / peak


def quantise(image: NDArray[Any], bits: Bits = 8) -> NDArray[Any]:
    """Pixels as a file of `bits` holds them: clipped to [0, 1], rounded half up.

    Args:
        image: any shape; floats, nominally in [0, 1], or uint8 or uint16.
        bits: 8 or 16.

    Returns:
        uint8 or uint16 of the same shape.

    Raises:
        NonFiniteError: NaN or infinity in the image.
    """
    if image.dtype == DTYPES[bits]:
        return image
    values = image if image.dtype.kind == "f" and image.dtype.itemsize > 2 else to_unit(image)
    if not np.isfinite(values).all():
        bad = np.count_nonzero(~np.isfinite(values))
        raise NonFiniteError(
            f"{bad} of {values.size} samples are NaN or infinite; expected numbers: nothing is written"
        )
    peak = np.iinfo(DTYPES[bits]).max
    return np.floor(np.clip(values, 0, 1) * peak + 0.5).astype(DTYPES[bits])


def write_image(path: Path, pixels: NDArray[Any], *, bits: Bits, like: ImageFile | None = None) -> None:
    """Write an image file, whole or not at all; its format follows the suffix of `path`.

    PNG and TIFF hold everything (TIFF no EXIF), WebP is lossless at 8 bits, JPEG is of quality 95 at full chroma.

    Args:
        path: .png, .tif, .tiff, .jpg, .jpeg or .webp; missing folders are made.
        pixels: (h, w, 3); floats, nominally in [0, 1] (clipped, rounded half up), or uint8 or uint16.
        bits: 8 or 16.
        like: the image this one was made from. Its greyness, profile and EXIF are kept, and so is its alpha, enlarged
            by bicubic to the size of `pixels`.

    Raises:
        UsageError: what `check_writable` finds, pixels of another shape, a size that is no multiple of `like`'s.
        NonFiniteError: NaN or infinity in the pixels.
    """
    target = check_writable(path, bits=bits, like=like)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UsageError(f"pixels of shape {pixels.shape}; expected (height, width, 3)")
    height, width = pixels.shape[:2]
    if max(height, width) > target.side:
        raise UsageError(
            f"{path}: {width}x{height} pixels; {target.name} holds {target.side} a side: write PNG or TIFF"
        )
    colours = quantise(_grey(pixels) if like and like.grey else pixels, bits)
    samples = [colours] if like is None or like.alpha is None else [colours, _alpha(like.alpha, (height, width), bits)]
    data = target.encode(np.concatenate(samples, axis=2), like.icc if like else None, like.exif if like else None)
    write_bytes(path, data)


def check_writable(path: Path, *, bits: int, like: ImageFile | None = None) -> Format:
    """The format of `path`, after checking that it can hold such an image: ask before long work, not after it.

    Raises:
        UsageError: an unknown suffix, another depth than 8 or 16, or a depth or alpha channel that the format lacks.
    """
    target = FORMATS.get(path.suffix.lower())
    if target is None:
        raise UsageError(f"{path}: suffix {path.suffix!r}; expected one of {', '.join(FORMATS)}")
    if bits not in target.bits:
        held = " or ".join(map(str, target.bits))
        raise UsageError(f"{path}: {bits} bits; {target.name} holds {held}: write PNG or TIFF")
    if like is not None and like.alpha is not None and not target.alpha:
        raise UsageError(
            f"{path}: {like.path} has an alpha channel, which {target.name} lacks: write PNG, TIFF or WebP"
        )
    return target


def _grey(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """(h, w, 3) -> (h, w, 1) in [0, 1]."""
    return np.asarray(to_unit(pixels) @ GREY[:, None])


def _alpha(alpha: NDArray[Any], size: tuple[int, int], bits: Bits) -> NDArray[Any]:
    (height, width), (tall, wide) = alpha.shape, size
    factor = Fraction(tall, height)
    if factor != Fraction(wide, width) or factor.denominator != 1:
        raise UsageError(f"pixels of {wide}x{tall} from an image of {width}x{height}; expected a whole multiple of it")
    plane = alpha[..., None]
    return quantise(plane if factor == 1 else resize(to_unit(plane), factor, antialias=False), bits)
