"""Bytes of an image file -> samples, at the bit depth that the file states.

Pillow reads all files of 8 bits. It cuts 16-bit colour to 8 bits, so OpenCV reads deeper PNG files, tifffile deeper TIFF.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from shared.errors import PairError
from shared.images.exif import made_upright, orientation, turn_upright
from shared.images.png import png_header

FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "TIFF",
)  # phones write JPEG files with more images behind the first one: the first is read
DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError),
    *(struct.error, zlib.error, cv2.error, tifffile.TiffFileError),
)
MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA"}
UNASSOCIATED = 2  # alpha that is not premultiplied: TIFF 6.0, section 18
MAX_PIXELS = 178_956_970  # Pillow's limit, used for every format: a damaged header must not allocate 200 GiB
RANGE_SLACK = 1e-6  # ours: rounding of whoever wrote the float file


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Samples (h, w, c), upright, uint8 or uint16, with the file's profile and EXIF.

    c = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    """

    samples: NDArray[Any]
    icc: bytes | None
    exif: bytes | None


def decode(name: str, data: bytes) -> Decoded:
    """Samples of a PNG, TIFF, JPEG or WebP file, recognised by its first bytes.

    Raises:
        PairError: another format, a damaged or truncated file, CMYK or another colour space than grey and RGB, several
            pages, float samples that are not finite or not in [0, 1].
    """
    if not data:
        raise PairError(f"{name}: the file is empty; expected an image: copy it again from its source")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of odd metadata, which does not matter here
            return _decode(name, data)
    except UnidentifiedImageError:
        raise PairError(
            f"{name}: not recognised; expected PNG, TIFF, JPEG or WebP: convert it, or copy it again if it is one"
        ) from None
    except Image.DecompressionBombError as error:
        raise PairError(f"{name}: {error}; expected a smaller image: cut it into parts") from None
    except PairError:
        raise
    except DAMAGE as error:
        raise PairError(
            f"{name}: truncated or damaged ({error}); expected a whole image: copy it again from its source"
        ) from None


def _decode(name: str, data: bytes) -> Decoded:
    header = png_header(data)
    if header and header[0] == 16:
        return _decode_deep_png(data, grey=header[1] in (0, 4))
    if data[:2] in (b"II", b"MM"):
        return _decode_tiff(name, data)
    return _decode_with_pillow(name, data)


def _decode_with_pillow(name: str, data: bytes) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
            raise PairError(f"{name}: an animation; expected one image: save its frames as single images")
        image.load()
        if image.mode in ("P", "PA") or "transparency" in image.info:
            mode = "RGBA" if image.has_transparency_data else "RGB"
            mode = "LA" if image.mode == "L" else mode
        elif image.mode in MODES:
            mode = MODES[image.mode]
        else:
            raise PairError(f"{name}: colour mode {image.mode}; expected grey or RGB: convert it to sRGB")
        samples = np.asarray(image if image.mode == mode else image.convert(mode))
        exif = None if image.format == "TIFF" else image.info.get("exif")
        icc = image.info.get("icc_profile")
    return _upright(samples, icc, exif)  # Pillow has applied the orientation of a TIFF already


def _decode_deep_png(data: bytes, *, grey: bool) -> Decoded:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()  # raises on damage, which OpenCV only prints; EXIF may stand behind the pixels
        icc, exif = image.info.get("icc_profile"), image.info.get("exif")
    samples = _from_opencv(data)
    if grey:
        samples = samples[..., :1] if samples.shape[2] < 4 else samples[..., [0, 3]]
    return _upright(samples, icc, exif)


def _from_opencv(data: bytes) -> NDArray[Any]:
    """(h, w, c) in the order R, G, B, alpha."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise OSError("its data cannot be decoded")
    if image.ndim == 2:
        return np.asarray(image)[..., None]
    return np.asarray(image[..., [2, 1, 0, 3][: image.shape[2]]])


def _upright(samples: NDArray[Any], icc: bytes | None, exif: bytes | None) -> Decoded:
    samples = samples[..., None] if samples.ndim == 2 else samples
    upright = np.ascontiguousarray(turn_upright(samples, orientation(exif)))
    return Decoded(samples=upright, icc=icc or None, exif=made_upright(exif) if exif else None)


def _decode_tiff(name: str, data: bytes) -> Decoded:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage) and not page.is_reduced]
        if len(pages) != 1 or pages[0].index != 0:
            raise PairError(f"{name}: {len(pages)} full-size pages; expected one, the first: save it as a single image")
        page = pages[0]
        if page.imagewidth * page.imagelength > MAX_PIXELS:
            raise PairError(f"{name}: {page.imagewidth}x{page.imagelength} pixels; expected a smaller image: cut it")
        if page.dtype == np.uint8:
            return _decode_with_pillow(name, data)
        samples = _deep_tiff_samples(name, page, data)
        turn = page.tags.valueof("Orientation", default=1)
        samples = turn_upright(samples, turn if turn in range(1, 9) else 1)
        return Decoded(samples=np.ascontiguousarray(samples), icc=page.iccprofile, exif=None)


def _deep_tiff_samples(name: str, page: tifffile.TiffPage, data: bytes) -> NDArray[Any]:
    """(h, w, c) uint16 of a page with 16-bit or floating-point samples."""
    colours = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3}.get(tifffile.PHOTOMETRIC(page.photometric).name)
    extras = tuple(int(extra) for extra in page.extrasamples)
    if colours is None or extras not in ((), (UNASSOCIATED,)):
        kind = f"{tifffile.PHOTOMETRIC(page.photometric).name} with {page.samplesperpixel} samples a pixel"
        raise PairError(f"{name}: {kind}; expected grey or RGB, with or without plain alpha: convert it to sRGB")
    lzw = page.compression == tifffile.COMPRESSION.LZW and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
    samples = _from_opencv(data) if lzw else page.asarray()  # tifffile needs a further package for LZW
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, 2)
    samples = samples.reshape(page.imagelength, page.imagewidth, colours + len(extras))
    samples = samples if samples.dtype == np.uint16 else _float_samples(name, samples)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        samples = np.concatenate([65535 - samples[..., :1], samples[..., 1:]], axis=2)
    return samples


def _float_samples(name: str, samples: NDArray[Any]) -> NDArray[Any]:
    """Floating-point samples in [0, 1] rounded to 16 bits."""
    if samples.dtype.kind != "f":
        raise PairError(
            f"{name}: samples of {samples.dtype}; expected 8 or 16 bits, or floats in [0, 1]: save it as 16 bits"
        )
    if not np.isfinite(samples).all():
        raise PairError(
            f"{name}: {np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite; expected numbers in [0, 1]"
        )
    low, high = float(samples.min()), float(samples.max())
    if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
        raise PairError(
            f"{name}: floats from {low:.6g} to {high:.6g}; expected [0, 1]: divide by the white level first"
        )
    return np.floor(np.clip(samples.astype(np.float64), 0, 1) * 65535 + 0.5).astype(np.uint16)
