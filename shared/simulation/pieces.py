"""Cut photographs into the HR images of simulated pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.pairs import Skipped, first_reasons
from shared.errors import PairError, UsageError
from shared.images.header import image_size
from shared.images.pixels import quantise, read_image
from shared.resize import resize, to_unit
from shared.simulation.camera import from_light, to_light
from shared.simulation.photographs import Photograph

SMALLEST = 48  # HR px, ours: smaller pieces are useless for training


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The HR image of one pair: a rectangle, in px, of a photograph that is first reduced by `reduction`."""

    name: str
    photograph: Photograph
    reduction: int
    x: int
    y: int
    width: int
    height: int


def plan(
    photographs: Sequence[Photograph], *, scale: int, size: int, reduction: int
) -> tuple[list[Piece], list[Skipped]]:
    """The pieces to make, named `<photograph>_<i>`: piece 0 of every photograph, then piece 1 of every photograph, and so on.

    A photograph gives round(side / size) pieces along each side, at least one, spread evenly from border to border; neighbours
    may overlap by up to half. A photograph smaller than `size` gives one piece of its own size.

    Args:
        photographs: to cut.
        scale: of the pairs; the sides of pieces are multiples of it.
        size: side of a piece, HR px.
        reduction: a photograph whose shorter side is at least reduction · size is first reduced by this factor.

    Raises:
        UsageError: no photograph can be used.
    """
    pieces: list[list[Piece]] = []
    skipped: list[Skipped] = []
    for photograph in photographs:
        try:
            pieces.append(_pieces(photograph, scale, size, reduction))
        except PairError as error:
            skipped.append(Skipped(name=photograph.name, reason=str(error)))
    if not pieces:
        raise UsageError(f"got no usable photograph ({len(photographs)} found). {first_reasons(skipped)}")
    return [piece for turn in zip_longest(*pieces) for piece in turn if piece is not None], skipped


def cut(piece: Piece) -> NDArray[np.uint8]:
    """The pixels of a piece: (height, width, 3) uint8.

    A reduction averages linear light, like a sensor with larger pixels; pixel values are read as sRGB.

    Raises:
        PairError: the photograph cannot be read.
    """
    pixels = read_image(piece.photograph.path).pixels
    part = pixels[_span(piece.y, piece.height, piece.reduction), _span(piece.x, piece.width, piece.reduction)]
    return np.asarray(quantise(part if piece.reduction == 1 else _reduced(part, piece.reduction), 8))


def _reduced(part: NDArray[Any], reduction: int) -> NDArray[np.float64]:
    light = resize(to_light(to_unit(part), "srgb", 1), Fraction(1, reduction), kernel="area")
    return from_light(light, "srgb", 1)


def _span(start: int, length: int, reduction: int) -> slice:
    return slice(start * reduction, (start + length) * reduction)


def _pieces(photograph: Photograph, scale: int, size: int, reduction: int) -> list[Piece]:
    """The pieces of one photograph, row by row."""
    sides = image_size(photograph.path)
    if min(sides) < SMALLEST:
        raise PairError(f"got {sides[0]}x{sides[1]} px, expected at least {SMALLEST} a side; take a larger photograph")
    read_image(photograph.path)  # only decoding shows that a file is truncated
    reduction = reduction if min(sides) >= reduction * size else 1
    (columns, width), (rows, height) = (_starts(side // reduction, size, scale) for side in sides)
    places = [(x, y) for y in rows for x in columns]
    return [
        Piece(
            name=f"{photograph.name}_{i}",
            photograph=photograph,
            reduction=reduction,
            x=x,
            y=y,
            width=width,
            height=height,
        )
        for i, (x, y) in enumerate(places)
    ]


def _starts(side: int, size: int, scale: int) -> tuple[list[int], int]:
    """First px of each piece along a side, and the length of all."""
    length = min(side, size) // scale * scale
    count = max(1, round(side / size))
    if count == 1:
        return [(side - length) // 2], length
    return [round(i * (side - length) / (count - 1)) for i in range(count)], length
