"""Write image files band by band: memory does not depend on the height, and a file appears only when it is complete."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.files import replacing
from shared.images.encode import FORMATS, Encoder, Format
from shared.images.exif import PREFIX
from shared.images.layout import ImageLayout
from shared.images.pixels import Bits, ImageFile, quantise
from shared.resize import bicubic_rows, to_unit

SLAB = (
    1 << 18
)  # px that are rounded and packed at a time, ours: temporary arrays stay at some MB for bands of any height
WHOLE_BYTES = 1 << 30  # ours: most memory for a format that is not written by rows
GREY = (0.299, 0.587, 0.114)  # Rec. ITU-R BT.601 luma, full range; of equal channels it is their value


@contextmanager
def open_band_writer(
    path: Path, height: int, width: int, *, bits: Bits, like: ImageFile | None = None
) -> Iterator["BandWriter"]:
    """Write an image file from bands of rows, completely or not at all. The suffix of `path` gives the format.

    The first band opens a temporary file beside `path`; when the block ends, that file is synced and renamed. If the block
    raises, an earlier file at `path` stays. The bytes do not depend on how the rows are divided into bands.

    PNG and TIFF store everything (TIFF no EXIF), and need memory for some rows only. WebP (lossless, 8 bits) and JPEG (quality
    95, full-resolution chroma) need memory for the whole image.

    Args:
        path: .png, .tif, .tiff, .jpg, .jpeg or .webp; missing folders are made.
        height: of the whole image, px.
        width: of the whole image, px.
        bits: 8 or 16.
        like: the image that this one was made from. It stays grey if that was grey; colour profile and EXIF are kept; its alpha
            channel is upscaled by bicubic interpolation.

    Raises:
        UsageError: what `check_writable` refuses; or rows are missing at the end of the block.

    Example:
        >>> with open_band_writer(Path("x.png"), 2, 3, bits=8) as out:  # doctest: +SKIP
        ...     for row in (0, 1):
        ...         out.write(np.full((1, 3, 3), 0.5))
    """
    target = check_writable(path, height, width, bits=bits, like=like)
    layout = ImageLayout(
        height=height,
        width=width,
        channels=(1 if like and like.grey else 3) + (like is not None and like.alpha is not None),
        bits=bits,
        icc=like.icc if like else None,
        exif=like.exif.removeprefix(PREFIX) if like and like.exif else None,
    )
    with ExitStack() as stack:
        writer = BandWriter(
            path, layout, like, start=lambda: target.encoder(stack.enter_context(replacing(path)), layout)
        )
        yield writer
        writer.finish()


class BandWriter:
    """Takes the bands of one image, from top to bottom. `open_band_writer` makes it."""

    def __init__(
        self, path: Path, layout: ImageLayout, like: ImageFile | None, *, start: Callable[[], Encoder]
    ) -> None:
        self.path, self.layout, self.like = path, layout, like
        self.filled = 0
        self._start = start
        self._encoder: Encoder | None = None

    def write(self, rows: NDArray[Any]) -> None:
        """The next rows.

        Args:
            rows: (r, w, 3); floats, nominally in [0, 1] (clipped, rounded half up), or uint8 or uint16.

        Raises:
            UsageError: another shape, or more rows than the image has.
            NonFiniteError: NaN or infinity in the rows.
        """
        expected = (self.layout.height, self.layout.width)
        if rows.ndim != 3 or rows.shape[1:] != (expected[1], 3) or self.filled + len(rows) > expected[0]:
            raise UsageError(
                f"{self.path}: rows of shape {rows.shape} after {self.filled}; expected (rows, {expected[1]}, 3), "
                f"{expected[0]} rows in all"
            )
        height = max(1, SLAB // expected[1])
        for first in range(0, len(rows), height):
            self._write(rows[first : first + height])

    def finish(self) -> None:
        """End the file; `open_band_writer` calls it."""
        if self._encoder is None or self.filled != self.layout.height:
            raise UsageError(f"{self.path}: got {self.filled} rows; expected {self.layout.height}: nothing is written")
        self._encoder.finish()

    def _write(self, rows: NDArray[Any]) -> None:
        grey = self.layout.channels < 3
        planes = [quantise(_grey(rows) if grey else rows, self.layout.bits)]
        if self.like is not None and self.like.alpha is not None:
            planes.append(_alpha(self.like.alpha, self.layout, self.filled, self.filled + len(rows)))
        if self._encoder is None:
            self._encoder = self._start()
        self._encoder.write(np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0])
        self.filled += len(rows)


def write_image(path: Path, pixels: NDArray[Any], *, bits: Bits, like: ImageFile | None = None) -> None:
    """Write a whole image at once: see `open_band_writer`.

    Args:
        path: see there.
        pixels: (h, w, 3); floats, nominally in [0, 1] (clipped, rounded half up), or uint8 or uint16.
        bits: 8 or 16.
        like: see there.

    Raises:
        UsageError: what `check_writable` refuses, or pixels of another shape.
        NonFiniteError: NaN or infinity in the pixels.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UsageError(f"pixels of shape {pixels.shape}; expected (height, width, 3)")
    with open_band_writer(path, *pixels.shape[:2], bits=bits, like=like) as out:
        out.write(pixels)


def check_writable(path: Path, height: int, width: int, *, bits: int, like: ImageFile | None = None) -> Format:
    """The format of `path`, after a check that it can store such an image. Call it before long work.

    Args:
        path: of the image file.
        height: px.
        width: px.
        bits: 8 or 16.
        like: the image that this one will be made from.

    Raises:
        UsageError: an unknown suffix; a bit depth, a size or an alpha channel that the format cannot store; a size for which the
            encoder needs too much memory; or a size that is not a multiple of the size of `like`.
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
    if max(height, width) > target.side:
        raise UsageError(
            f"{path}: {width}x{height} pixels; {target.name} holds {target.side} a side: write PNG or TIFF"
        )
    if height * width * target.pixel_bytes > WHOLE_BYTES:
        raise UsageError(
            f"{path}: {width}x{height} pixels; {target.name} is written whole, at most "
            f"{WHOLE_BYTES // target.pixel_bytes / 1e6:.0f} megapixels: write PNG or TIFF, which are written row by row"
        )
    if like is not None and _factor(like, height, width) is None:
        tall, wide = like.pixels.shape[:2]
        raise UsageError(
            f"{path}: {width}x{height} pixels from an image of {wide}x{tall}; expected a whole multiple of it"
        )
    return target


def _factor(like: ImageFile, height: int, width: int) -> int | None:
    """How many times larger than `like` an image is, if that is a whole number."""
    factor, other = (Fraction(size, of) for size, of in zip((height, width), like.pixels.shape[:2], strict=True))
    return int(factor) if factor == other and factor.denominator == 1 else None


def _grey(rows: NDArray[Any]) -> NDArray[np.float64]:
    """(r, w, 3) -> (r, w, 1) in [0, 1]; by channel: the rounding of a matrix product depends on the number of rows."""
    unit = to_unit(rows)
    total = sum(weight * unit[..., channel] for channel, weight in enumerate(GREY))
    return np.asarray(total)[..., None]


def _alpha(alpha: NDArray[Any], layout: ImageLayout, first: int, last: int) -> NDArray[Any]:
    """Rows of the alpha channel (h, w) upscaled to the size of the image: (last - first, W, 1) of its depth."""
    factor = layout.height // len(alpha)
    if factor == 1:
        return quantise(alpha[first:last, :, None], layout.bits)
    return quantise(bicubic_rows(alpha[..., None], factor, first, last), layout.bits)
