"""PSNR and SSIM of a suite on pairs, beside bicubic.

Convention: outputs rounded to 8 bits, `crop` HR px cut off each side (the scale by default), float64, per image, then the mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from statistics import fmean
from typing import Any

import numpy as np
from torch import nn

from shared import metrics
from shared.data.source import Pair, PairSource
from shared.errors import PairError, UsageError
from shared.images.pixels import quantise, to_float
from shared.progress import track
from shared.resize import bicubic_upscale
from train_torch.ensemble import upscale
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.pipeline import PATCH, STRIDE

METRICS = ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y")

Scores = dict[str, float]  # metric -> value


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """Which levels of the ensemble are on, and the patches' geometry (LR px): keyword arguments of `upscale`."""

    self_ensemble: bool = True
    patch_ensemble: bool = True
    patch: int = PATCH
    stride: int = STRIDE

    @property
    def names(self) -> tuple[str, ...]:
        """The levels that are on."""
        switches = {"self_ensemble": self.self_ensemble, "patch_ensemble": self.patch_ensemble}
        return tuple(name for name, on in switches.items() if on)

    def arguments(self) -> dict[str, Any]:
        """As keyword arguments."""
        return asdict(self)


def evaluate(
    members: Sequence[nn.Module],
    weights: Sequence[float],
    pairs: PairSource,
    *,
    levels: Levels,
    crop: int | None = None,
    include: Sequence[str] = (),
) -> dict[str, Any]:
    """Scores of the ensemble and of bicubic enlargement, per image and in the mean.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w).
        weights: theirs in the mean.
        pairs: what to measure on.
        levels: which levels of the ensemble are on.
        crop: HR px cut off each side; None: the scale.
        include: patterns of pair names to keep; empty: all.

    Returns:
        {"scale", "crop", "levels", the four metrics, "bicubic": {the four}, "images": [{"name", the four, "bicubic": {…}}]}.

    Raises:
        UsageError: no pair has such a name; PairError: a pair is too small for the crop and SSIM.
        NonFiniteError: a network's output is not finite.
    """
    crop = pairs.scale if crop is None else crop
    names = select(pairs.names, include)
    images: list[dict[str, Any]] = []
    networks = prepare(members, pairs.scale)
    with track(len(names), "evaluating", unit="image") as progress:
        for pair in chosen(pairs, names):
            baseline = score_bicubic(pair, pairs.scale, crop)
            sr = upscale(networks, to_float(pair.lr), pairs.scale, weights=weights, **levels.arguments())
            scores = score(quantise(sr), pair.hr, crop)
            images.append({"name": pair.name, **scores, "bicubic": baseline})
            progress.advance(1, note=f"{pair.name} {scores['psnr_rgb']:.2f} dB")
    return {
        "scale": pairs.scale,
        "crop": crop,
        "levels": list(levels.names),
        **mean_scores(images),
        "bicubic": mean_scores([image["bicubic"] for image in images]),
        "images": images,
    }


def select(names: Sequence[str], include: Sequence[str]) -> tuple[str, ...]:
    """The names that fit one of the patterns; all for no pattern.

    Raises:
        UsageError: none fits.
    """
    kept = tuple(name for name in names if not include or any(fnmatchcase(name, pattern) for pattern in include))
    if not kept:
        shown = ", ".join(names[:5])
        raise UsageError(
            f"no pair is called {' or '.join(include)}; expected a pattern that fits names such as {shown}"
        )
    return kept


def chosen(pairs: PairSource, names: Sequence[str]) -> Iterator[Pair]:
    """The pairs of these names."""
    kept = set(names)
    return (pair for pair in pairs if pair.name in kept)


def bicubic(pair: Pair, scale: int) -> np.ndarray:
    """LR enlarged by the a = -0.5 cubic and rounded to 8 bits: the baseline, uint8 (scale·h, scale·w, 3)."""
    return quantise(bicubic_upscale(pair.lr, scale))


def score_bicubic(pair: Pair, scale: int, crop: int) -> Scores:
    """The four metrics of the baseline. Taken first: what a pair is too small for is known before networks run.

    Raises:
        PairError: fewer than 11 px a side are left after the crop.
    """
    try:
        return score(bicubic(pair, scale), pair.hr, crop)
    except UsageError as error:
        raise PairError(f"pair {pair.name}: {error}; or leave the pair out, by --include") from None


def score(sr: np.ndarray, hr: np.ndarray, crop: int) -> Scores:
    """The four metrics of one image; PSNR at most 100 dB."""
    values = {name: getattr(metrics, name)(sr, hr, crop=crop) for name in METRICS}
    return {name: min(value, metrics.MOST_PSNR) if name.startswith("psnr") else value for name, value in values.items()}


def mean_scores(images: Sequence[Mapping[str, Any]]) -> Scores:
    """Mean over images of each metric."""
    return {name: fmean(image[name] for image in images) for name in METRICS}
