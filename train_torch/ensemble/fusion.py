"""From the members' images to one: their mean, or a mean that trusts a member less where it stands alone. NumPy only.

A member can fail in one place of one image (the paper's figure 3) and be as good as the others elsewhere. The robust mean
looks at how far each member is from the others in a small window, and is the plain mean wherever none is much farther than
the rest.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from shared.errors import UsageError
from train_torch.ensemble.models import shares as normalised
from train_torch.ensemble.models import weighted_mean

Stack = NDArray[np.floating]  # (members, rows, w, 3): the same rows of each member's image
Image = NDArray[np.floating]  # (rows, w, 3)

WINDOW = 9  # HR px, odd: single pixels of good members differ by chance as much as those of a bad one (docs/fusion.md)
OUTLYING = 4.0  # times the usual distance between members: from there on trust falls
SLAB = 1 << 17  # px fused at a time, ours
FLOOR = 1 / 255  # of the usual distance: members closer than one 8-bit level agree


@dataclass(frozen=True, kw_only=True, slots=True)
class Fusion:
    """A way to fuse: a function (members, rows, w, 3) -> (rows, w, 3).

    Attributes:
        kind: its name in `KINDS`.
        shares: of the members, >= 0, summing to one.
        margin: rows above and below that a row of the result depends on; `fused_bands` cares for them.
    """

    kind: str
    shares: tuple[float, ...]
    margin: int

    def __call__(self, stack: Stack) -> Image:
        """Fuse a whole image, or a band with its margins. Members of share 0 do not count."""
        active = [index for index, share in enumerate(self.shares) if share > 0]
        return KINDS[self.kind](stack[active], [self.shares[index] for index in active])


def make_fusion(kind: str, shares: Sequence[float]) -> Fusion:
    """The fusion of this name.

    Args:
        kind: "mean" or "robust".
        shares: one a member, >= 0, not all 0.

    Raises:
        UsageError: another name, or shares that are none.

    Example:
        >>> make_fusion("mean", [1, 3])(np.stack([np.zeros((1, 1, 3)), np.ones((1, 1, 3))])).tolist()
        [[[0.75, 0.75, 0.75]]]
    """
    if kind not in KINDS:
        raise UsageError(f"fusion: got {kind!r}, expected one of {', '.join(KINDS)}")
    return Fusion(
        kind=kind,
        shares=tuple(normalised(len(shares), shares)),
        margin=WINDOW // 2 if kind == "robust" and sum(share > 0 for share in shares) > 2 else 0,
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


def disagreement(stack: Stack, shares: Sequence[float]) -> NDArray[np.float32]:
    """Standard deviation of the members about their mean, per pixel: sqrt(Σ_i share_i · mean_c (x_i - x̄)²).

    Args:
        stack: (members, rows, w, 3).
        shares: one a member.

    Returns:
        float32 (rows, w), in the image's unit: 0 where all agree.
    """
    weights = normalised(len(stack), shares)
    mean = weighted_mean(list(stack), weights)
    squares = [share * np.square(image - mean).mean(-1) for image, share in zip(stack, weights, strict=True)]
    return np.asarray(np.sqrt(sum(squares)), dtype=np.float32)


def robust_mean(stack: Stack, shares: Sequence[float]) -> Image:
    """The mean with shares times trust; trust is 1 but where a member is far from the others.

        trust_i = min(1, (OUTLYING² · usual² + FLOOR²) / far_i²)²

    far_i² is the median of the mean squared distances of member i to each other member over a window, the lower one of two;
    usual² the median of far² over members. One bad member of three or four does not reach either. Ours.

    Args:
        stack: (members, rows, w, 3); of fewer than three members none can be told bad: the mean.
        shares: > 0, one a member.
    """
    count = len(stack)
    if count < 3:
        return weighted_mean(list(stack), shares)
    far = _distances(stack)
    usual = np.sort(far, axis=0)[(count - 1) // 2]
    trust = np.minimum(1, (OUTLYING**2 * usual + FLOOR**2) / np.maximum(far, FLOOR**2)) ** 2
    weights = np.asarray(shares)[:, None, None] * trust
    return np.einsum("mrw,mrwc->rwc", weights / weights.sum(0), stack)


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


def _mean(stack: Stack, shares: Sequence[float]) -> Image:
    return weighted_mean(list(stack), shares)


KINDS: Mapping[str, Callable[[Stack, Sequence[float]], Image]] = {"mean": _mean, "robust": robust_mean}
