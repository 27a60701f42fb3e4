"""What an encoder must know before the first row of an image."""

from dataclasses import dataclass
from typing import Literal

Bits = Literal[8, 16]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLayout:
    """Size and kind of an image, and what goes into the file beside its samples.

    Attributes:
        height: px.
        width: px.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied).
        bits: of a sample.
        icc: colour profile.
        exif: EXIF block without the prefix of JPEG.
    """

    height: int
    width: int
    channels: int
    bits: Bits
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of the samples of a row."""
        return self.width * self.channels * self.bits // 8
