"""The score and the errors of a network on the validation pairs of a pack. NumPy only: bicubic needs no framework."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_paddle.config import ProxyConfig
from shared.data.pack import Pack
from shared.data.validation import Upscale, finite_output, psnr, spread
from shared.images.pixels import to_float
from shared.resize import bicubic_upscale

WINDOW = 16  # HR px, side of the squares whose errors are kept
LEVELS = 510  # units of a kept error in [0, 1]: half a level of 8 bits


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProxyScores:
    """The scores and errors of a network on the validation pairs.

    Attributes:
        psnr_rgb: pair -> dB, at most 100.
        residuals: int16 (pairs * windows, side, side, 3): SR - HR on fixed windows, pair by pair in the order of `psnr_rgb`, in
            units of 1/510, rounded; SR neither clipped nor rounded before.
    """

    psnr_rgb: dict[str, float]
    residuals: NDArray[np.int16]

    @property
    def score(self) -> float:
        """Mean PSNR, dB."""
        return float(np.mean(list(self.psnr_rgb.values())))


def validate(upscale: Upscale, pack: Pack, config: ProxyConfig) -> ProxyScores:
    """PSNR-RGB of a network or of bicubic by validation pair, outputs rounded to 8 bits, and the errors on fixed windows.

    Args:
        upscale: what is judged.
        pack: gives the validation pairs.
        config: which pairs, which centre crop of them, how much border is left out, how many windows a pair.

    Raises:
        NonFiniteError: an output holds NaN or infinity; names the pair.
    """
    crop = pack.scale if config.crop is None else config.crop
    names = spread(pack.pairs("validation"), config.validation_pairs)
    side = _window_side(pack, names, config.validation_patch, crop)
    scores, residuals = {}, []
    for name in names:
        lr, hr = centre(pack.lr(name), pack.hr(name), pack.scale, config.validation_patch)
        sr = finite_output(upscale, lr, pair=name, remedy=f"try a lower learning rate than {config.learning_rate}")
        scores[name] = psnr(sr, hr, crop)
        for top, left in window_places(
            hr.shape[:2], crop=crop, side=side, count=config.residual_windows, key=f"{pack.sha256}/{name}"
        ):
            part = (slice(top, top + side), slice(left, left + side))
            residuals.append(_residual(sr[part], to_float(hr[part])))
    return ProxyScores(psnr_rgb=scores, residuals=np.array(residuals, np.int16).reshape(len(residuals), side, side, 3))


def window_places(size: tuple[int, int], *, crop: int, side: int, count: int, key: str) -> tuple[tuple[int, int], ...]:
    """Top left corners of windows in an image, from SHA-256(key, number): the same on all machines. They may overlap.

    Args:
        size: height and width, px.
        crop: border left out, px.
        side: of a window, px; at most what the crop leaves.
        count: windows.
        key: another key gives other places.
    """
    places = []
    for number in range(count):
        digest = hashlib.sha256(f"{key}\0{number}".encode()).digest()
        top, left = (
            crop + int.from_bytes(digest[8 * axis : 8 * axis + 8], "little") % (size[axis] - 2 * crop - side + 1)
            for axis in (0, 1)
        )
        places.append((top, left))
    return tuple(places)


def _window_side(pack: Pack, names: tuple[str, ...], patch: int | None, crop: int) -> int:
    """The side of all windows: less than WINDOW where a pair is smaller."""
    least = min(min(pack.lr_size(name)) for name in names)
    return min(WINDOW, (least if patch is None else min(least, patch)) * pack.scale - 2 * crop)


def _residual(sr: NDArray[np.floating], hr: NDArray[np.float32]) -> NDArray[np.int16]:
    units = np.round((sr.astype(np.float64) - hr) * LEVELS)
    return np.clip(units, -(2**15), 2**15 - 1).astype(np.int16)


def bicubic_score(pack_path: Path, config: ProxyConfig) -> float:
    """Mean PSNR-RGB of the a = -0.5 cubic on the same pairs, dB."""
    with Pack(pack_path) as pack:
        scale = pack.scale
        return validate(lambda lr: bicubic_upscale(lr, scale), pack, config).score


def centre(lr: np.ndarray, hr: np.ndarray, scale: int, side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a pair.

    Args:
        lr: (h, w, 3).
        hr: (s·h, s·w, 3).
        scale: s.
        side: largest height and width of the middle, LR px; None: the whole pair.

    Returns:
        Both parts; they show the same place.
    """
    if side is None:
        return lr, hr
    top, left = (max(size - side, 0) // 2 for size in lr.shape[:2])
    return (
        lr[top : top + side, left : left + side],
        hr[top * scale : (top + side) * scale, left * scale : (left + side) * scale],
    )
