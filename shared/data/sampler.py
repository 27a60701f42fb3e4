"""The patch sampler. Both frameworks get the same bytes from it.

Patch number n = step·batch + i of the endless stream depends only on (seed, n), not on what was drawn before or on the number of
workers. So a resumed run gets the batches that it would have got without the stop. Each epoch is a permutation of the pairs.

Random numbers are the raw 64-bit words of Philox 4x64-10 (Salmon et al. 2011), block n + 1 under the key (seed, stream): NumPy
keeps these words the same in all versions, which it does not promise for the methods of `Generator`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.pack import Pack
from shared.errors import UsageError
from shared.images.pixels import to_float

WORDS = 4  # 64-bit words of a Philox block; each patch takes one block
ORDER, PLACE = 1, 2  # streams: the order of pairs, and where and how to cut


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchDraw:
    """One patch: cut at (top, left) in LR px, then flipped, then transposed; LR and HR in the same way."""

    pair: str
    top: int
    left: int
    flip_horizontal: bool
    flip_vertical: bool
    transpose: bool


class PatchSampler:
    """Batches of aligned LR and HR patches of a pack.

    Args:
        pack: must stay open while batches are taken.
        split: "train" or "validation".
        patch: LR patch side in px, >= 1.
        batch: patches in a batch, >= 1.
        seed: 0 to 2^64 - 1; another seed gives another stream.
        augment: flip and transpose, each with probability 1/2. The places that are cut do not depend on it.

    Raises:
        UsageError: no pair in the split; a pair smaller than the patch; an argument out of range.
    """

    def __init__(
        self, pack: Pack, *, split: str = "train", patch: int, batch: int, seed: int, augment: bool = True
    ) -> None:
        self.pack = pack
        self.patch = patch
        self.batch_size = batch
        self.seed = seed
        self.augment = augment
        self.pairs = pack.pairs(split)
        _check(self, split)

    def batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The batch of a step >= 0.

        Returns:
            LR (batch, 3, patch, patch) and HR (batch, 3, scale·patch, scale·patch), float32 in [0, 1], C-contiguous.
        """
        side = self.patch * self.pack.scale
        lr = np.empty((self.batch_size, 3, self.patch, self.patch), np.float32)
        hr = np.empty((self.batch_size, 3, side, side), np.float32)
        for i, draw in enumerate(self.draws(step)):
            small, large = self.pack.patch(draw.pair, top=draw.top, left=draw.left, size=self.patch)
            lr[i] = to_float(turned(small, draw)).transpose(2, 0, 1)
            hr[i] = to_float(turned(large, draw)).transpose(2, 0, 1)
        return lr, hr

    def draws(self, step: int) -> tuple[PatchDraw, ...]:
        """The patches of `batch(step)`."""
        first = step * self.batch_size
        words = _words(self.seed, PLACE, first, self.batch_size)
        return tuple(self._draw(first + i, words[i]) for i in range(self.batch_size))

    def names(self, step: int) -> tuple[str, ...]:
        """Names of the pairs in `batch(step)`, in its order."""
        return tuple(draw.pair for draw in self.draws(step))

    def _draw(self, number: int, words: NDArray[np.uint64]) -> PatchDraw:
        epoch, index = divmod(number, len(self.pairs))
        pair = self.pairs[_order(self.seed, epoch, len(self.pairs))[index]]
        height, width = self.pack.lr_size(pair)
        top, left, turns, _ = (int(word) for word in words)
        bits = turns if self.augment else 0
        return PatchDraw(
            pair=pair,
            top=top % (height - self.patch + 1),  # uniform to 2^-40 for any image size
            left=left % (width - self.patch + 1),
            flip_horizontal=bool(bits & 1),
            flip_vertical=bool(bits & 2),
            transpose=bool(bits & 4),
        )


def turned(pixels: NDArray[Any], draw: PatchDraw) -> NDArray[Any]:
    """Square pixels (n, n, c), flipped and then transposed as `draw` says. A view."""
    pixels = pixels[:, ::-1] if draw.flip_horizontal else pixels
    pixels = pixels[::-1] if draw.flip_vertical else pixels
    return pixels.swapaxes(0, 1) if draw.transpose else pixels


def _check(sampler: PatchSampler, split: str) -> None:
    for name, value, low, high in (
        ("patch", sampler.patch, 1, None),
        ("batch", sampler.batch_size, 1, None),
        ("seed", sampler.seed, 0, 2**64 - 1),
    ):
        if value < low or (high is not None and value > high):
            raise UsageError(f"{name} {value}; expected {low} or more{'' if high is None else f', up to {high}'}")
    if not sampler.pairs:
        raise UsageError(
            f"{sampler.pack.path}: no {split} pair; expected at least one: prepare the pack with another split"
        )
    for name in sampler.pairs:
        height, width = sampler.pack.lr_size(name)
        if min(height, width) < sampler.patch:
            raise UsageError(
                f"pair {name!r}: LR {width}x{height}; expected sides of at least {sampler.patch}, the patch: "
                "take a smaller patch, or leave the pair out"
            )


def _words(seed: int, stream: int, first: int, count: int) -> NDArray[np.uint64]:
    """Blocks first + 1 ... first + count of a Philox stream: (count, 4)."""
    philox = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64), counter=first)
    return np.asarray(philox.random_raw(count * WORDS)).reshape(count, WORDS)


@lru_cache(maxsize=16)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    """The epoch's permutation of range(count): ranks of random words. The epoch is the third word of the counter."""
    words = _words(seed, ORDER, epoch << 128, -(-count // WORDS)).ravel()[:count]
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False
    return order
