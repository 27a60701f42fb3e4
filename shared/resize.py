"""Bicubic and area resizing, as matrices and of images.

Coordinates are half-pixel centred: output pixel j sits at u = (j + 1/2) / factor - 1/2 on the input grid, and is a
weighted mean of the input pixels around u. The weights of one row are the kernel at (u - i), divided by their sum:

    cubic        Keys' cubic with a = -0.5 (Keys 1981, eq. 4; MATLAB's imresize)
    cubic_torch  the same with a = -0.75 (torch, Paddle, OpenCV)
    area         the length of input pixel i that output pixel j covers

`antialias` widens a cubic by 1/factor when the image shrinks, as MATLAB does; `area` needs no such option.
Beyond the border, `symmetric` mirrors with the edge pixel repeated (b a | a b c), `repeat` repeats the edge pixel (a a | a b c).
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError

Kernel = Literal["cubic", "cubic_torch", "area"]
Edge = Literal["symmetric", "repeat"]
Floats = NDArray[np.float64]
Taps = tuple[NDArray[np.intp], Floats]  # input pixels and weights of each output pixel: two arrays (outputs, taps)

CUBIC_A = {"cubic": -0.5, "cubic_torch": -0.75}
EDGES = ("symmetric", "repeat")


def resize(
    image: NDArray[Any],
    factor: Fraction | int,
    *,
    kernel: Kernel = "cubic",
    antialias: bool = True,
    edge: Edge = "symmetric",
) -> Floats:
    """Image resized by `factor` in both directions: rows first, then columns.

    This is the product of the image with a `resize_matrix` from either side, computed from the few weights of each row (a cubic
    has four) that are not zero.

    Args:
        image: (h, w, c) of any dtype; values are taken as they are.
        factor: output size / input size, > 0.
        kernel: "cubic", "cubic_torch" or "area"; see the head of the file.
        antialias: widen a cubic when the image shrinks.
        edge: "symmetric" or "repeat": what lies beyond the border.

    Returns:
        float64 (ceil(h·factor), ceil(w·factor), c), neither clipped nor rounded.

    Raises:
        UsageError: the image has not three axes or is empty; the factor is not positive; an unknown kernel or edge.
    """
    if image.ndim != 3:
        raise UsageError(f"image of shape {image.shape}; expected (height, width, channels)")
    rows = _taps(image.shape[0], Fraction(factor), kernel, antialias, edge)
    columns = _taps(image.shape[1], Fraction(factor), kernel, antialias, edge)
    return _apply(image.astype(np.float64), rows, columns)


def bicubic_upscale(image: NDArray[Any], scale: int) -> Floats:
    """MATLAB's bicubic upscaling (a = -0.5, mirrored borders): the baseline of every table.

    Args:
        image: (h, w, c), uint8, uint16, or float in [0, 1].
        scale: whole number >= 1.

    Returns:
        float64 (scale·h, scale·w, c), nominally in [0, 1]: overshoot is not clipped.
    """
    return resize(to_unit(image), scale, kernel="cubic", antialias=False, edge="symmetric")


def bicubic_rows(image: NDArray[Any], scale: int, first: int, last: int) -> Floats:
    """The rows first <= row < last of `bicubic_upscale`, the same numbers; only these rows are computed.

    Args:
        image: (h, w, c), uint8, uint16, or float in [0, 1].
        scale: whole number >= 1.
        first: 0 <= first < last.
        last: at most scale·h.
    """
    taps, weights = _taps(image.shape[0], Fraction(scale), "cubic", False, "symmetric")
    taps, weights = taps[first:last], weights[first:last]
    columns = _taps(image.shape[1], Fraction(scale), "cubic", False, "symmetric")
    top, bottom = int(taps.min()), int(taps.max()) + 1
    return _apply(to_unit(image[top:bottom]), (taps - top, weights), columns)


def bicubic_downscale(image: NDArray[Any], scale: int) -> Floats:
    """MATLAB's antialiased bicubic reduction (a = -0.5, mirrored borders).

    Args:
        image: (h, w, c), uint8, uint16, or float in [0, 1].
        scale: whole number >= 1.

    Returns:
        float64 (ceil(h/scale), ceil(w/scale), c), nominally in [0, 1]: overshoot is not clipped. Where a side is not a
        multiple of `scale`, the last pixel covers some area beyond the border, as in MATLAB; for pairs, cut the image first.
    """
    return resize(to_unit(image), Fraction(1, scale), kernel="cubic", antialias=True, edge="symmetric")


def to_unit(image: NDArray[Any]) -> Floats:
    """Pixels as float64 in [0, 1]: uint8 / 255, uint16 / 65535, floats as they are.

    Raises:
        UsageError: another dtype.
    """
    if image.dtype in (np.uint8, np.uint16):
        return image.astype(np.float64) / np.iinfo(image.dtype).max
    if np.issubdtype(image.dtype, np.floating):
        return image.astype(np.float64)
    raise UsageError(f"image of dtype {image.dtype}; expected uint8, uint16, or floating point in [0, 1]")


def upscaling_matrix(size: int, factor: int, kernel: Literal["cubic", "cubic_torch"]) -> Floats:
    """Matrix of a `Resize` node: `cubic` has mirrored edges (MATLAB), `cubic_torch` repeated ones (torch, Paddle).

    Args:
        size: pixels of the input axis, >= 1.
        factor: output size / input size, >= 1.
        kernel: "cubic" or "cubic_torch".

    Returns:
        float64 (factor·size, size), read-only.
    """
    edge: Edge = "symmetric" if kernel == "cubic" else "repeat"
    return resize_matrix(size, Fraction(factor), kernel=kernel, antialias=False, edge=edge)


def resize_matrix(
    size: int,
    factor: Fraction | int,
    *,
    kernel: Kernel = "cubic",
    antialias: bool = True,
    edge: Edge = "symmetric",
) -> Floats:
    """Matrix that resizes one axis of `size` pixels by `factor`.

    Args:
        size: pixels of the input axis, >= 1.
        factor: output size / input size, > 0.
        kernel: "cubic", "cubic_torch" or "area"; see the head of the file.
        antialias: widen a cubic when the image shrinks.
        edge: "symmetric" or "repeat": what lies beyond the border.

    Returns:
        float64 (ceil(size·factor), size), each row summing to 1; shared between callers, so read-only.

    Raises:
        UsageError: size < 1, a factor that is not positive, an unknown kernel or edge.

    Example:
        >>> resize_matrix(2, 2, kernel="area")
        array([[1., 0.],
               [1., 0.],
               [0., 1.],
               [0., 1.]])
    """
    return _matrix(size, Fraction(factor), kernel, antialias, edge)


@lru_cache(maxsize=64)
def _matrix(size: int, factor: Fraction, kernel: Kernel, antialias: bool, edge: Edge) -> Floats:
    indices, weights = _taps(size, factor, kernel, antialias, edge)
    matrix = np.zeros((len(indices), size))
    np.add.at(matrix, (np.arange(len(indices))[:, None], indices), weights)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=256)
def _taps(size: int, factor: Fraction, kernel: Kernel, antialias: bool, edge: Edge) -> Taps:
    """The taps of a whole axis; both arrays are read-only."""
    _check(size, factor, kernel, edge)
    step = float(1 / factor)
    centres = (np.arange(math.ceil(size * factor)) + 0.5) * step - 0.5
    radius = _radius(kernel, step, antialias)
    positions = np.floor(centres - radius).astype(np.intp)[:, None] + np.arange(math.ceil(2 * radius) + 2)
    weights = _kernel_values(centres[:, None] - positions, kernel, step, antialias)
    used = np.any(weights != 0, axis=0)
    positions, weights = positions[:, used], weights[:, used]
    weights /= weights.sum(axis=1, keepdims=True)
    indices = _inside(positions, size, edge)
    indices.flags.writeable = weights.flags.writeable = False
    return indices, weights


def _check(size: int, factor: Fraction, kernel: str, edge: str) -> None:
    if size < 1:
        raise UsageError(f"size {size}; expected at least 1 pixel")
    if factor <= 0:
        raise UsageError(f"factor {factor}; expected a positive ratio of output to input size")
    if kernel != "area" and kernel not in CUBIC_A:
        raise UsageError(f"kernel {kernel!r}; expected one of {', '.join([*CUBIC_A, 'area'])}")
    if edge not in EDGES:
        raise UsageError(f"edge {edge!r}; expected one of {', '.join(EDGES)}")


def _radius(kernel: Kernel, step: float, antialias: bool) -> float:
    """Half the support, in input pixels."""
    if kernel == "area":
        return (step + 1) / 2
    return 2 * max(step, 1.0) if antialias else 2.0


def _kernel_values(distance: Floats, kernel: Kernel, step: float, antialias: bool) -> Floats:
    if kernel == "area":
        return np.clip((step + 1) / 2 - np.abs(distance), 0, min(step, 1.0))
    stretch = max(step, 1.0) if antialias else 1.0
    return _cubic(distance / stretch, CUBIC_A[kernel])


def _cubic(x: Floats, a: float) -> Floats:
    """Keys' cubic: (a+2)|x|³ - (a+3)x² + 1 up to 1, a(|x|³ - 5x² + 8|x| - 4) up to 2, else 0."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _inside(positions: NDArray[np.intp], size: int, edge: Edge) -> NDArray[np.intp]:
    """Positions beyond the border, replaced by the pixels that are taken there."""
    if edge == "repeat":
        return np.clip(positions, 0, size - 1)
    folded = positions % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _apply(image: Floats, rows: Taps, columns: Taps) -> Floats:
    """Rows, then columns."""
    tall = _apply_taps(image, *rows)
    return np.ascontiguousarray(_apply_taps(np.ascontiguousarray(tall.swapaxes(0, 1)), *columns).swapaxes(0, 1))


def _apply_taps(image: Floats, indices: NDArray[np.intp], weights: Floats) -> Floats:
    """Weighted sum of slices along the first axis, one tap at a time so that memory stays at the output's size."""
    result = np.zeros((len(indices), *image.shape[1:]))
    for tap in range(indices.shape[1]):
        result += weights[:, tap, None, None] * image[indices[:, tap]]
    return result
