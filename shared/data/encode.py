"""Samples -> bytes of an image file, for each format that is written."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from shared.data.exif import PREFIX
from shared.data.png import encode_png

JPEG_QUALITY = 95  # ours, with full-resolution chroma: the artefacts must be the network's, not the file's


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A file format and its limits; `encode(samples (h, w, c), icc, exif)` gives the file."""

    name: str
    bits: tuple[int, ...]
    alpha: bool
    side: int
    encode: Callable[[NDArray[Any], bytes | None, bytes | None], bytes]


def _png(samples: NDArray[Any], icc: bytes | None, exif: bytes | None) -> bytes:
    return encode_png(samples, icc=icc, exif=exif.removeprefix(PREFIX) if exif else None)


def _tiff(samples: NDArray[Any], icc: bytes | None, exif: bytes | None) -> bytes:
    """Deflate with horizontal differences. EXIF is left out: in TIFF it is a directory of its own, not a block."""
    file = io.BytesIO()
    channels = samples.shape[2]
    tifffile.imwrite(
        file,
        samples[..., 0] if channels == 1 else samples,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels % 2 == 0 else None,
        compression="zlib",
        predictor=True,
        iccprofile=icc,
        metadata=None,
    )
    return file.getvalue()


def _jpeg(samples: NDArray[Any], icc: bytes | None, exif: bytes | None) -> bytes:
    return _pillow(samples, "JPEG", icc, exif, quality=JPEG_QUALITY, subsampling=0)


def _webp(samples: NDArray[Any], icc: bytes | None, exif: bytes | None) -> bytes:
    """Lossless. The format has no grey, so a grey image loses its (grey) profile."""
    return _pillow(samples, "WEBP", icc if samples.shape[2] > 2 else None, exif, lossless=True, exact=True)


def _pillow(samples: NDArray[Any], kind: str, icc: bytes | None, exif: bytes | None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples))
    options |= {"icc_profile": icc} if icc else {}
    options |= {"exif": PREFIX + exif.removeprefix(PREFIX)} if exif else {}
    image.save(file, kind, **options)
    return file.getvalue()


PNG = Format(name="PNG", bits=(8, 16), alpha=True, side=2**31 - 1, encode=_png)
TIFF = Format(name="TIFF", bits=(8, 16), alpha=True, side=2**31 - 1, encode=_tiff)
JPEG = Format(name="JPEG", bits=(8,), alpha=False, side=65500, encode=_jpeg)
WEBP = Format(name="WebP", bits=(8,), alpha=True, side=16383, encode=_webp)
FORMATS = {".png": PNG, ".tif": TIFF, ".tiff": TIFF, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP}
