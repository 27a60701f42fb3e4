"""Image files as values, read upright and at the bit depth that the file states; rounding. `stream.py` writes files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import NonFiniteError, PairError, UsageError
from shared.files import read_bytes
from shared.images.decode import decode
from shared.images.layout import Bits as Bits
from shared.resize import to_unit

DTYPES: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16}


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

    The bit depth is that of the file: 8 bits (also for 1, 2, 4 bits and palettes), or 16 bits (also for floating-point TIFF in
    [0, 1], which is rounded to 16 bits).

    Raises:
        PairError: a missing, empty, truncated or damaged file, another format, CMYK, several pages, or NaN.
    """
    return parse_image(path, read_bytes(path, expected="an image file", error=PairError))


def parse_image(path: Path, data: bytes) -> ImageFile:
    """Like `read_image`, from the bytes of a file; `path` is for messages."""
    decoded = decode(str(path), data)
    channels = decoded.samples.shape[2]
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
    values = pixels.astype(np.float32)
    values /= np.float32(np.iinfo(pixels.dtype).max)  # in place: a second copy of a large image would cost memory
    return values


def quantise(image: NDArray[Any], bits: Bits = 8) -> NDArray[Any]:
    """Pixels as integers of `bits` bits: clipped to [0, 1], rounded half up.

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
