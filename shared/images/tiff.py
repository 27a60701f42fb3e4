"""A TIFF encoder that takes rows: tifffile needs all strips at once, or asks for them itself.

Strips of about 256 KiB are packed by Deflate after horizontal differences. The directory comes last, when the lengths of the
strips are known. From 4 GiB of samples on, the file is a BigTIFF. Section numbers are those of TIFF 6.0.
"""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.images.layout import ImageLayout

STRIP = 1 << 18  # bytes before packing, as tifffile
LEVEL = 3  # as in png.py
CLASSIC = (1 << 32) - (1 << 25)  # bytes of samples; offsets have 32 bits, and Deflate may add 0.03 %
SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16  # section 2, and the BigTIFF design
FORMS = {SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", LONG8: "Q"}
DEFLATE, DIFFERENCES, GREY, RGB, PLAIN_ALPHA = 8, 2, 1, 2, 2


class TiffEncoder:
    """Writes a TIFF file strip by strip; keeps one strip in memory, and the place of every strip (16 bytes each)."""

    def __init__(self, file: BinaryIO, layout: ImageLayout) -> None:
        self.file, self.layout = file, layout
        self.big = layout.height * layout.row_bytes > CLASSIC
        self.rows_per_strip = max(1, STRIP // layout.row_bytes)
        self.waiting: list[NDArray[Any]] = []
        self.offsets: list[int] = []
        self.lengths: list[int] = []
        file.write(_header(0, big=self.big))

    def write(self, samples: NDArray[Any]) -> None:
        """The next rows, (r, w, c)."""
        at = 0
        while at < len(samples):
            part = samples[at : at + self.rows_per_strip - sum(map(len, self.waiting))]
            self.waiting.append(part.copy())
            at += len(part)
            if sum(map(len, self.waiting)) == self.rows_per_strip:
                self._strip()

    def finish(self) -> None:
        """The end of the file, and the pointer to it at the start."""
        if self.waiting:
            self._strip()
        place = self.file.seek(0, 2)
        place += self.file.write(bytes(place % 2))  # directories begin on a word (section 2)
        self.file.write(_directory(self._entries(), place, big=self.big))
        self.file.seek(0)
        self.file.write(_header(place, big=self.big))

    def _strip(self) -> None:
        samples = np.concatenate(self.waiting)
        self.waiting.clear()
        samples[:, 1:] -= samples[:, :-1].copy()  # modulo 2^bits (section 14)
        packed = zlib.compress(samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes(), LEVEL)
        self.offsets.append(self.file.tell())
        self.lengths.append(len(packed))
        self.file.write(packed)

    def _entries(self) -> list[tuple[int, int, list[int]]]:
        """(tag, type, numbers), tags ascending."""
        layout, place = self.layout, LONG8 if self.big else LONG
        entries: list[tuple[int, int, list[int]]] = [
            (256, LONG, [layout.width]),
            (257, LONG, [layout.height]),
            (258, SHORT, [layout.bits] * layout.channels),
            (259, SHORT, [DEFLATE]),
            (262, SHORT, [RGB if layout.channels > 2 else GREY]),
            (273, place, self.offsets),
            (277, SHORT, [layout.channels]),
            (278, LONG, [self.rows_per_strip]),
            (279, place, self.lengths),
            (282, RATIONAL, [1, 1]),  # pixels are square, their size unknown (section 8, ResolutionUnit)
            (283, RATIONAL, [1, 1]),
            (284, SHORT, [1]),  # the channels of a pixel stand together
            (296, SHORT, [1]),
            (317, SHORT, [DIFFERENCES]),
        ]
        if layout.channels % 2 == 0:
            entries.append((338, SHORT, [PLAIN_ALPHA]))
        if layout.icc:
            entries.append((34675, UNDEFINED, list(layout.icc)))
        return entries


def _header(place: int, *, big: bool) -> bytes:
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else struct.pack("<2sHI", b"II", 42, place)


def _directory(entries: list[tuple[int, int, list[int]]], place: int, *, big: bool) -> bytes:
    """The directory that stands at `place`, and behind it the values that do not fit its entries."""
    count, entry, room, pointer = ("<Q", "<HHQ", 8, "<Q") if big else ("<H", "<HHI", 4, "<I")
    fixed, more = struct.pack(count, len(entries)), b""
    behind = place + len(fixed) + len(entries) * (struct.calcsize(entry) + room) + room
    for tag, kind, numbers in entries:
        values = struct.pack(f"<{len(numbers)}{FORMS[kind]}", *numbers)
        fixed += struct.pack(entry, tag, kind, len(numbers) // (2 if kind == RATIONAL else 1))
        if len(values) <= room:
            fixed += values.ljust(room, b"\0")
        else:
            fixed += struct.pack(pointer, behind + len(more))
            more += values + bytes(len(values) % 2)
    return fixed + bytes(room) + more
