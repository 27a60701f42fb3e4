"""Level three: from the members' images to one, and where the members disagree. NumPy only.

A member is one network of a suite. Its ensemble weight is its part of the mean; the weights sum to one. A member can fail in one
place of one image (the paper's figure 3) and be as good as the others elsewhere. So the robust mean compares each member with
the others in a small window, and trusts it less where it is much farther from them than usual. Everywhere else it is the plain
weighted mean.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from shared.errors import UsageError

Stack = NDArray[np.floating]  # (members, rows, w, 3): the same rows of each member's image
Image = NDArray[np.floating]  # (rows, w, 3)

WINDOW = 9  # HR px, odd: single pixels of good members differ by chance as much as those of a bad one (docs/fusion.md)
OUTLYING = 4.0  # times the usual distance between members: trust falls beyond it
SLAB = 1 << 17  # px fused at a time, ours
FLOOR = 1 / 255  # members closer than one 8-bit level agree
WHITE = 4.0  # times the disagreement in its picture: white is a quarter of the range, 16 bits resolve 4e-6


def ensemble_weights(count: int, weights: Sequence[float] | None) -> list[float]:
    """The members' weights in the mean: `weights` divided by their sum, or equal ones for None.

    Raises:
        UsageError: no member, another number of weights, a negative or non-finite weight, or a sum of 0.

    Example:
        >>> ensemble_weights(2, [3, 1])
        [0.75, 0.25]
    """
    if count == 0:
        raise UsageError("got no ensemble member, expected at least one")
    values = np.asarray([1.0] * count if weights is None else weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise UsageError(f"ensemble weights: got {values.tolist()}, expected {count} numbers >= 0 that are not all 0")
    return [float(value) for value in values / values.sum()]


def weighted_mean(images: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Mean of the members' images.

    Args:
        images: one array per member, all of one shape.
        weights: their weights; None: equal.

    Returns:
        float64, of the images' shape.
    """
    total = np.zeros(images[0].shape, dtype=np.float64)
    for image, weight in zip(images, ensemble_weights(len(images), weights), strict=True):
        total += weight * np.asarray(image, dtype=np.float64)
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Fusion:
    """A way to fuse: a function (members, rows, w, 3) -> (rows, w, 3).

    Attributes:
        kind: its name in `KINDS`.
        weights: of the members, >= 0, summing to one.
        margin: rows above and below that a row of the result depends on; `fused_bands` cares for them.
    """

    kind: str
    weights: tuple[float, ...]
    margin: int

    def __call__(self, stack: Stack) -> Image:
        """Fuse a whole image, or a band with its margins. Members of weight 0 do not count."""
        active = [index for index, weight in enumerate(self.weights) if weight > 0]
        return KINDS[self.kind](stack[active], [self.weights[index] for index in active])


def make_fusion(kind: str, weights: Sequence[float]) -> Fusion:
    """The fusion of this name.

    Args:
        kind: "mean" or "robust".
        weights: one a member, >= 0, not all 0.

    Raises:
        UsageError: another name, or a negative weight, or weights that are all 0.

    Example:
        >>> make_fusion("mean", [1, 3])(np.stack([np.zeros((1, 1, 3)), np.ones((1, 1, 3))])).tolist()
        [[[0.75, 0.75, 0.75]]]
    """
    if kind not in KINDS:
        raise UsageError(f"fusion: got {kind!r}, expected one of {', '.join(KINDS)}")
    return Fusion(
        kind=kind,
        weights=tuple(ensemble_weights(len(weights), weights)),
        margin=WINDOW // 2 if kind == "robust" and sum(weight > 0 for weight in weights) > 2 else 0,
    )


def fused_bands(bands: Iterable[Stack], fusion: Fusion) -> Iterator[Image]:
    """Fuse an image that comes in bands of rows, to the same bits as if it were whole.

    Args:
        bands: (members, rows, w, 3), top to bottom, rows >= 1.
        fusion: from `make_fusion`.

    Yields:
        (rows, w, 3); the same rows in all, in other bands: what depends on rows to come is held back.
    """
    held: Stack | None = None
    above = 0  # rows at the top of `held` that are given out already
    for band in bands:
        held = band if held is None else np.concatenate([held, band], axis=1)
        ready = held.shape[1] - fusion.margin
        if ready > above:
            yield from _slabs(held, above, ready, fusion)
            keep = max(0, ready - fusion.margin)
            held, above = held[:, keep:], ready - keep
    if held is not None and held.shape[1] > above:
        yield from _slabs(held, above, held.shape[1], fusion)


def _slabs(stack: Stack, top: int, bottom: int, fusion: Fusion) -> Iterator[Image]:
    """Rows top to bottom, some at a time with their margins: the robust mean of three takes 210 bytes a pixel while it works."""
    rows = max(1, SLAB // stack.shape[2])
    for first in range(top, bottom, rows):
        last = min(first + rows, bottom)
        start = max(0, first - fusion.margin)
        yield fusion(stack[:, start : last + fusion.margin])[first - start : last - start]


def disagreement(stack: Stack, weights: Sequence[float]) -> NDArray[np.float32]:
    """Standard deviation of the members about their mean, per pixel: sqrt(Σ_i w_i · mean_c (x_i - x̄)²).

    It is no error bar: members trained alike err alike, so the true error is several times larger. It ranks pixels
    (docs/fusion.md).

    Args:
        stack: (members, rows, w, 3).
        weights: one a member.

    Returns:
        float32 (rows, w), in the image's unit: 0 where all agree.
    """
    weights = ensemble_weights(len(stack), weights)
    mean = weighted_mean(list(stack), weights)
    squares = [weight * np.square(image - mean).mean(-1) for image, weight in zip(stack, weights, strict=True)]
    return np.asarray(np.sqrt(sum(squares)), dtype=np.float32)


def disagreement_picture(stack: Stack, weights: Sequence[float]) -> NDArray[np.float32]:
    """The disagreement as a grey picture, min(1, WHITE · disagreement): float32 (rows, w, 3), three equal channels."""
    return np.repeat(np.minimum(1, WHITE * disagreement(stack, weights))[..., None], 3, axis=2)


def robust_mean(stack: Stack, weights: Sequence[float]) -> Image:
    """The mean with weights times trust. Trust is 1, and less where a member is far from the others.

        trust_i = min(1, (OUTLYING² · usual² + FLOOR²) / far_i²)²

    far_i² is the median of the mean squared distances of member i to each other member over a window, the lower one of two;
    usual² the median of far² over members. One bad member of three or four does not reach either. Ours.

    Args:
        stack: (members, rows, w, 3); of fewer than three members none can be told bad: the mean.
        weights: > 0, one a member.
    """
    count = len(stack)
    if count < 3:
        return weighted_mean(list(stack), weights)
    far = _distances(stack)
    usual = np.sort(far, axis=0)[(count - 1) // 2]
    trust = np.minimum(1, (OUTLYING**2 * usual + FLOOR**2) / np.maximum(far, FLOOR**2)) ** 2
    trusted = np.asarray(weights)[:, None, None] * trust
    return np.einsum("mrw,mrwc->rwc", trusted / trusted.sum(0), stack)


def _distances(stack: Stack) -> NDArray[np.float64]:
    """far² of `robust_mean`: (members, rows, w)."""
    count = len(stack)
    squares = np.zeros((count, count, *stack.shape[1:3]))
    for i in range(count):
        for j in range(i):
            square = np.square(stack[i].astype(np.float64) - stack[j]).mean(-1)
            squares[i, j] = squares[j, i] = _window_mean(square)
    others = np.stack([np.delete(squares[i], i, axis=0) for i in range(count)])
    return np.asarray(np.sort(others, axis=1)[:, (count - 2) // 2])


def _window_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Not by running sums, whose rounding depends on where a band begins."""
    window = np.full(WINDOW, 1 / WINDOW)
    return np.asarray(correlate1d(correlate1d(values, window, axis=0), window, axis=1))


def _mean(stack: Stack, weights: Sequence[float]) -> Image:
    return weighted_mean(list(stack), weights)


KINDS: Mapping[str, Callable[[Stack, Sequence[float]], Image]] = {"mean": _mean, "robust": robust_mean}
