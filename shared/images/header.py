"""The size of a picture from its file's header: no pixel is decoded."""

import struct
import warnings
from pathlib import Path
from typing import BinaryIO

import tifffile
from PIL import ExifTags, Image

from shared.errors import PairError
from shared.images.decode import DAMAGE
from shared.images.exif import orientation
from shared.images.png import SIGNATURE

QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange the sides


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in px as the picture is shown (EXIF orientation applied).

    Raises:
        PairError: the header cannot be read.
    """
    try:
        with path.open("rb") as file:
            return size_in(file)
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise PairError(f"{path}: {error}; expected a readable PNG, TIFF, JPEG or WebP; copy the file again") from None


def size_in(file: BinaryIO) -> tuple[int, int]:
    """As `image_size`, of an open file; raises whatever the decoders raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata and large images, which `read_image` judges
        (width, height), turn = _size_and_orientation(file)
    return (height, width) if turn in QUARTER_TURNS else (width, height)


def _size_and_orientation(file: BinaryIO) -> tuple[tuple[int, int], int]:
    start = file.read(len(SIGNATURE))
    if start[:2] in (b"II", b"MM"):  # Pillow refuses TIFF colour of 16 bits
        page = tifffile.TiffFile(file, offset=0).pages.first
        return (page.imagewidth, page.imagelength), page.tags.valueof("Orientation", default=1)
    with Image.open(file) as image:
        if start == SIGNATURE:  # of a PNG, Pillow looks for EXIF behind the pixels, which it decodes for that
            return image.size, orientation(_png_exif(file))
        return image.size, image.getexif().get(ExifTags.Base.Orientation, 1)


def _png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF block of a PNG file, found by the lengths of its chunks."""
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return file.read(length)
        file.seek(length + 4, 1)  # its data and checksum
    return None
