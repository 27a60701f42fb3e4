"""Chooses and cuts what the zoomed comparisons show: the window in which the ensemble gains most over bicubic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import PairError
from shared.images.pixels import quantise, read_image, to_float
from shared.metrics import psnr_rgb
from shared.report.read import ExampleFiles

SIDE = 72  # HR px of a window, ours; whole LR px at ×2, ×3 and ×4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A square of HR px."""

    top: int
    left: int
    side: int

    def cut(self, image: Pixels) -> Pixels:
        """Its part of an image (h, w, 3)."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """One picture's part: `lr`, `bicubic`, a member id, `ensemble` or `hr`; pixels, and PSNR-RGB in dB (None: HR itself)."""

    name: str
    pixels: Pixels
    psnr_rgb: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One pair's comparison.

    Attributes:
        name: of the pair.
        bicubic, ensemble, hr: whole pictures, (h, w, 3) uint8. Of a suite of one, its member stands for the ensemble.
        window: where the crops were cut.
        crops: LR (upscaled by repeating pixels), bicubic, members, ensemble, HR.
    """

    name: str
    bicubic: Pixels
    ensemble: Pixels
    hr: Pixels
    window: Window
    crops: tuple[Crop, ...]


def read_example(files: ExampleFiles, *, members: Sequence[str], scale: int, crop: int) -> Example:
    """Read one pair's pictures and cut the window in which the ensemble gains most.

    Args:
        files: its pictures; `lr`, `bicubic`, `hr`, and `ensemble` or a single member are among them.
        members: ids, in the order of their crops; those without a picture are left out.
        scale: HR side / LR side.
        crop: HR px of the border that metrics leave out, and the window too.

    Raises:
        PairError: a picture cannot be read, or has another size than HR (LR: than HR / scale).
    """
    upscaled = [name for name in (*members, "ensemble") if name in files.pictures]
    names = ("lr", "bicubic", *upscaled, "hr")
    images = {name: _pixels(files.pictures[name]) for name in names}
    images["lr"] = images["lr"].repeat(scale, axis=0).repeat(scale, axis=1)
    for name, image in images.items():
        if image.shape != images["hr"].shape:
            raise PairError(
                f"{files.pictures[name]}: {image.shape[1]}x{image.shape[0]} px{' upscaled' if name == 'lr' else ''}, expected "
                f"{images['hr'].shape[1]}x{images['hr'].shape[0]} as hr.png; make the pictures again by gpnas-sr ablate"
            )
    window = best_window(squared_gain(images["bicubic"], images[upscaled[-1]], images["hr"]), step=scale, border=crop)
    reference = window.cut(images["hr"])
    return Example(
        name=files.name,
        bicubic=images["bicubic"],
        ensemble=images[upscaled[-1]],
        hr=images["hr"],
        window=window,
        crops=tuple(_crop(name, window.cut(images[name]), reference) for name in names),
    )


def squared_gain(bicubic: Pixels, ensemble: Pixels, hr: Pixels) -> NDArray[np.int64]:
    """Squared error of bicubic minus that of the ensemble, summed over channels.

    Args:
        bicubic: (h, w, 3).
        ensemble: (h, w, 3).
        hr: (h, w, 3).

    Returns:
        (h, w), > 0 where the ensemble is nearer to HR.
    """
    before, after = (image.astype(np.int64) - hr for image in (bicubic, ensemble))
    return np.asarray((before**2 - after**2).sum(axis=2), dtype=np.int64)


def best_window(gain: NDArray[np.int64], *, step: int, border: int, side: int = SIDE) -> Window:
    """The window with the largest sum, on the LR grid, the first in reading order of equal ones.

    Sums of all windows come from one table of running sums (Crow 1984), exact in integers.

    Args:
        gain: (h, w).
        step: HR px between two LR px; windows begin and end on LR px.
        border: px of each side in which no window may lie, given up where the image is too small for it.
        side: of the window, less where the image is smaller.
    """
    margin = -(-border // step) * step
    if min(gain.shape) < side + 2 * margin:
        margin = 0
    side = min(side, *gain.shape) // step * step
    table = np.zeros((gain.shape[0] + 1, gain.shape[1] + 1), dtype=np.int64)
    table[1:, 1:] = gain.cumsum(axis=0).cumsum(axis=1)
    tops, lefts = (np.arange(margin, size - margin - side + 1, step) for size in gain.shape)
    corners = [table[np.ix_(rows, columns)] for rows in (tops, tops + side) for columns in (lefts, lefts + side)]
    sums = corners[3] - corners[2] - corners[1] + corners[0]
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Window(top=int(tops[row]), left=int(lefts[column]), side=side)


def _crop(name: str, pixels: Pixels, reference: Pixels) -> Crop:
    return Crop(name=name, pixels=pixels, psnr_rgb=None if name == "hr" else psnr_rgb(pixels, reference))


def _pixels(path: Path) -> Pixels:
    """The picture at 8 bits."""
    pixels = read_image(path).pixels
    return pixels if pixels.dtype == np.uint8 else quantise(to_float(pixels))
