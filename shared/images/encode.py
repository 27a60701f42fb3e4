"""The formats of image files that are written: what each holds, and its encoder."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.images.exif import PREFIX
from shared.images.layout import ImageLayout
from shared.images.png import PngEncoder
from shared.images.tiff import TiffEncoder

JPEG_QUALITY = (
    95  # ours, with full-resolution chroma: artefacts in a picture must come from the network, not from the file
)


class Encoder(Protocol):
    """Writes one image into a file, top to bottom."""

    def write(self, samples: NDArray[Any]) -> None:
        """Write the next rows, (r, w, c) uint8 or uint16; the array may change after the call."""

    def finish(self) -> None:
        """End the file, after the last row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A file format and its limits.

    Attributes:
        name: for messages.
        bits: bit depths that it can store.
        alpha: whether it can store an alpha channel.
        side: longest side, px.
        pixel_bytes: memory of the encoder for each pixel of the image; 0 if it needs a few rows only.
        encoder: makes the encoder of an image, from a new file and the image's layout.
    """

    name: str
    bits: tuple[int, ...]
    alpha: bool
    side: int
    pixel_bytes: int
    encoder: Callable[[BinaryIO, ImageLayout], Encoder]


class _Whole:
    """Collects an image, and leaves it to Pillow at the end."""

    def __init__(self, file: BinaryIO, layout: ImageLayout, kind: str, options: dict[str, Any]) -> None:
        self.file, self.layout, self.kind, self.options = file, layout, kind, options
        self.samples = np.empty((layout.height, layout.width, layout.channels), np.uint8)
        self.filled = 0

    def write(self, samples: NDArray[Any]) -> None:
        self.samples[self.filled : self.filled + len(samples)] = samples
        self.filled += len(samples)

    def finish(self) -> None:
        image = Image.fromarray(self.samples[..., 0] if self.layout.channels == 1 else self.samples)
        options = dict(self.options)
        options |= {"icc_profile": self.layout.icc} if self.layout.icc else {}
        options |= {"exif": PREFIX + self.layout.exif} if self.layout.exif else {}
        image.save(self.file, self.kind, **options)


def _jpeg(file: BinaryIO, layout: ImageLayout) -> Encoder:
    return _Whole(file, layout, "JPEG", {"quality": JPEG_QUALITY, "subsampling": 0})


def _webp(file: BinaryIO, layout: ImageLayout) -> Encoder:
    """Lossless. The format has no grey, so a grey image loses its (grey) profile."""
    kept = layout if layout.channels > 2 else replace(layout, icc=None)
    return _Whole(file, kept, "WEBP", {"lossless": True, "exact": True})


PNG = Format(name="PNG", bits=(8, 16), alpha=True, side=2**31 - 1, pixel_bytes=0, encoder=PngEncoder)
TIFF = Format(name="TIFF", bits=(8, 16), alpha=True, side=2**31 - 1, pixel_bytes=0, encoder=TiffEncoder)
JPEG = Format(name="JPEG", bits=(8,), alpha=False, side=65500, pixel_bytes=10, encoder=_jpeg)
WEBP = Format(name="WebP", bits=(8,), alpha=True, side=16383, pixel_bytes=32, encoder=_webp)
FORMATS = {".png": PNG, ".tif": TIFF, ".tiff": TIFF, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP}
