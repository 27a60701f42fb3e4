"""How well the two images of a pair are aligned: their normalised cross-correlation (NCC), and the shift between them.

    NCC = Σ a·b / sqrt(Σ a² · Σ b²)      over all pixels and channels

The paper excludes pairs whose NCC is below 0.99, and does not say which NCC. It matters: of 70 well-registered RealSR pairs,
`ncc_rgb_lr` rejects 8 and `ncc_y_hr` 69. High contrast lowers a zero-mean NCC as much as a shift does, so the shift is measured
as well.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.metrics import LUMA
from shared.records.preparation import NccName as NccName
from shared.resize import Floats, bicubic_upscale, to_unit

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

FLAT = 1e-9  # of the range: a smaller standard deviation is rounding
SMALLEST = 16  # px, ours: in smaller images the Hann window leaves too little to measure a shift


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """The shift of LR against HR, LR px.

    Attributes:
        x: positive where LR content lies to the right of HR content.
        y: positive where LR content lies below HR content.
        response: height of the correlation peak, in [0, 1]: how certain the shift is.
    """

    x: float
    y: float
    response: float

    @property
    def length(self) -> float:
        """Euclidean length, LR px."""
        return math.hypot(self.x, self.y)


def ncc(lr: Pixels, hr: Pixels, *, definition: NccName = "ncc_rgb_lr") -> float:
    """NCC of a pair by one of `DEFINITIONS`.

    Args:
        lr: (h, w, 3) uint8 or uint16.
        hr: (s·h, s·w, 3), of the same dtype; the scale s follows from the shapes.
        definition: a name in `DEFINITIONS`.

    Returns:
        A value in [-1, 1]. It is 0 where the NCC is undefined: an image is black, or (`ncc_y_hr`) constant.

    Raises:
        UsageError: an unknown definition, or shapes that do not fit.
    """
    if definition not in DEFINITIONS:
        raise UsageError(f"got NCC {definition!r}, expected one of {', '.join(DEFINITIONS)}")
    return DEFINITIONS[definition](lr, hr, _scale(lr, hr))


def ncc_rgb_lr(lr: Pixels, hr: Pixels, scale: int) -> float:
    """NCC on RGB, without subtraction of means; HR is averaged over areas to the LR grid.

    All sums are whole numbers, so the result is the same on every machine (float32 sums would lose four digits).

    Args:
        lr: (h, w, 3) uint8 or uint16.
        hr: (s·h, s·w, 3), of the same dtype.
        scale: s.
    """
    return _ratio(*(_products(a, b) for a, b in _terms(lr.astype(np.int64), block_sums(hr, scale))))


def ncc_y_hr(lr: Pixels, hr: Pixels, scale: int) -> float:
    """NCC on the luma Y (BT.601), means subtracted; LR is upscaled to the HR grid (bicubic, a = -0.5), in float64.

    Args:
        lr: (h, w, 3) uint8 or uint16.
        hr: (s·h, s·w, 3), of the same dtype.
        scale: s.
    """
    small, large = bicubic_upscale(lr, scale) @ LUMA, to_unit(hr) @ LUMA
    if min(float(small.std()), float(large.std())) < FLAT:
        return 0.0
    return _ratio(*(float(np.sum(a * b)) for a, b in _terms(small - small.mean(), large - large.mean())))


DEFINITIONS: Mapping[NccName, Callable[[Pixels, Pixels, int], float]] = {
    "ncc_rgb_lr": ncc_rgb_lr,
    "ncc_y_hr": ncc_y_hr,
}


def measure_shift(lr: Pixels, hr: Pixels) -> Shift | None:
    """Translation between the two images of a pair, by phase correlation of Y on the LR grid under a Hann window.

    On real photographs the error is 0.09 LR px (median; at most 0.34, from known shifts of 25 HR images), so smaller shifts mean
    nothing. Only a translation of the whole image is found. Rotation, parallax and pictures without detail give a low response
    (0.24, where real pairs have 0.75 or more).

    Returns:
        The shift, or None if a side of LR is shorter than 16 px.
    """
    scale = _scale(lr, hr)
    if min(lr.shape[:2]) < SMALLEST:
        return None
    small, large = _middle(lr @ LUMA), _middle(block_sums(hr, scale) @ LUMA)
    window = cv2.createHanningWindow(small.shape[::-1], cv2.CV_64F)
    # means subtracted: the window would turn a mean into a peak at zero shift
    (x, y), response = cv2.phaseCorrelate(large - large.mean(), small - small.mean(), window)
    return Shift(x=float(x), y=float(y), response=float(response))


def _middle(plane: Floats) -> Floats:
    rows, columns = (slice((side - _even(side)) // 2, (side + _even(side)) // 2) for side in plane.shape)
    return np.ascontiguousarray(plane[rows, columns])


def _even(side: int) -> int:
    """The largest even size up to `side` that OpenCV does not pad: padded to an odd size, the shift would be 0.5 px wrong."""
    return next(size for size in range(side // 2 * 2, 0, -2) if cv2.getOptimalDFTSize(size) == size)


def block_sums(image: Pixels, scale: int) -> NDArray[np.int64]:
    """Sums over the scale x scale blocks of (s·h, s·w, c) pixels: the area average times scale², without rounding."""
    height, width, channels = image.shape
    blocks = image.reshape(height // scale, scale, width // scale, scale, channels)
    return np.asarray(blocks.sum(axis=(1, 3), dtype=np.int64))


def _scale(lr: Pixels, hr: Pixels) -> int:
    scale: int = hr.shape[0] // lr.shape[0]
    if hr.shape != (scale * lr.shape[0], scale * lr.shape[1], 3) or lr.shape[2] != 3:
        raise UsageError(f"got LR {lr.shape} and HR {hr.shape}, expected (h, w, 3) and (s·h, s·w, 3)")
    return scale


def _terms(a: NDArray[Any], b: NDArray[Any]) -> tuple[tuple[NDArray[Any], NDArray[Any]], ...]:
    return (a, b), (a, a), (b, b)


def _products(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    """Σ a·b as a Python int, row by row: the 16-bit squares of a whole image would overflow 64 bits."""
    rows: list[int] = np.einsum("hwc,hwc->h", a, b).tolist()
    total: int = sum(rows)
    return total


def _ratio(ab: float, aa: float, bb: float) -> float:
    return 0.0 if aa == 0 or bb == 0 else float(ab) / (math.sqrt(aa) * math.sqrt(bb))
