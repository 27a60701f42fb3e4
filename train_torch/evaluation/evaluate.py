"""PSNR and SSIM of a suite on pairs, beside bicubic.

Convention: outputs rounded to 8 bits, `crop` HR px cut off each side (the scale by default), float64, per image, then the mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from statistics import fmean
from typing import Any

import numpy as np
from torch import nn

from shared.data.source import Pair, PairSource
from shared.data.validation import METRICS, score
from shared.errors import PairError, UsageError
from shared.images.pixels import quantise, to_float
from shared.progress import track
from shared.records.evaluation import EvaluatedImage
from shared.records.scores import Scores
from shared.resize import bicubic_upscale
from train_torch.ensemble import upscale
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.pipeline import PATCH, STRIDE


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
    crop: int,
    include: Sequence[str] = (),
) -> tuple[EvaluatedImage, ...]:
    """Scores of the ensemble and of bicubic upscaling, image by image.

    Args:
        members: modules (n, 3, h, w) -> (n, 3, scale·h, scale·w).
        weights: ensemble weights of the members.
        pairs: what to measure on.
        levels: which levels of the ensemble are on.
        crop: HR px cut off each side.
        include: patterns of pair names to keep; empty: all.

    Raises:
        UsageError: no pair has such a name; PairError: a pair is too small for the crop and SSIM.
        NonFiniteError: a network's output is not finite.
    """
    names = select(pairs.names, include)
    images: list[EvaluatedImage] = []
    networks = prepare(members, pairs.scale)
    with track(len(names), "evaluating", unit="image") as progress:
        for pair in chosen(pairs, names):
            baseline = score_bicubic(pair, pairs.scale, crop)
            sr = upscale(networks, to_float(pair.lr), pairs.scale, weights=weights, **levels.arguments())
            scores = score(sr, pair.hr, crop)
            images.append(EvaluatedImage(name=pair.name, bicubic=baseline, **scores))
            progress.advance(1, note=f"{pair.name} {scores['psnr_rgb']:.2f} dB")
    return tuple(images)


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
    """LR upscaled by the a = -0.5 cubic and rounded to 8 bits: the baseline, uint8 (scale·h, scale·w, 3)."""
    return quantise(bicubic_upscale(pair.lr, scale))


def score_bicubic(pair: Pair, scale: int, crop: int) -> Scores:
    """The four metrics of the baseline. They are computed first, so that a pair that is too small is refused before networks run.

    Args:
        pair: LR and HR.
        scale: 2, 3 or 4.
        crop: HR px cut off each side.

    Raises:
        PairError: fewer than 11 px a side are left after the crop.
    """
    try:
        return Scores(**score(bicubic(pair, scale), pair.hr, crop))
    except UsageError as error:
        raise PairError(f"pair {pair.name}: {error}; or leave the pair out, by --include") from None


def mean_scores(images: Sequence[Scores]) -> dict[str, float]:
    """Metric -> mean over images."""
    return {name: fmean(getattr(image, name) for image in images) for name in METRICS}
