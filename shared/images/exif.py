"""Read the orientation from an EXIF block, and mark a block as upright. The rest of a block stays as it is."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = b"Exif\0\0"  # stands before the block in JPEG, not in PNG and WebP
ORIENTATION = 0x0112
UPRIGHT = 1


def orientation(exif: bytes | None) -> int:
    """Orientation 1-8 of an EXIF block (EXIF 2.3, 4.6.4 A); 1 if it has none, or if the block is not EXIF."""
    entry = _find_orientation(exif) if exif else None
    if exif is None or entry is None:
        return UPRIGHT
    order, at, _ = entry
    value = int(struct.unpack_from(order + "H", exif, at)[0])
    return value if 1 <= value <= 8 else UPRIGHT


def made_upright(exif: bytes) -> bytes:
    """The block with orientation 1 and without its thumbnail, which would show the old pixels."""
    entry = _find_orientation(exif)
    if entry is None:
        return exif
    order, at, next_directory = entry
    block = bytearray(exif)
    struct.pack_into(order + "H", block, at, UPRIGHT)
    struct.pack_into(order + "I", block, next_directory, 0)
    return bytes(block)


def turn_upright(pixels: NDArray[Any], value: int) -> NDArray[Any]:
    """Pixels (h, w, ...) as they should be seen, given their EXIF orientation 1-8. A view."""
    mirrored = pixels[:, ::-1] if value in (2, 4, 5, 7) else pixels
    quarter_turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[value]  # anticlockwise
    return np.rot90(mirrored, quarter_turns)


def _find_orientation(exif: bytes) -> tuple[str, int, int] | None:
    """Byte order, offset of the value, offset of the pointer to the next directory; None without an orientation."""
    base = len(PREFIX) if exif.startswith(PREFIX) else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[base : base + 2])
    if order is None:
        return None
    try:
        first = base + struct.unpack_from(order + "I", exif, base + 4)[0]
        count = struct.unpack_from(order + "H", exif, first)[0]
        next_directory = first + 2 + 12 * count
        struct.unpack_from(order + "I", exif, next_directory)
        for entry in range(first + 2, next_directory, 12):
            if struct.unpack_from(order + "H", exif, entry)[0] == ORIENTATION:
                return order, entry + 8, next_directory
    except struct.error:  # damaged: no orientation
        return None
    return None
