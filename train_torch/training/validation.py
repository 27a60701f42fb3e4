"""PSNR of a network, and of bicubic enlargement, on the validation pairs of a pack."""

import statistics
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from shared.data.pack import Pack
from shared.errors import NonFiniteError, UsageError
from shared.images.pixels import quantise, to_float
from shared.metrics import MOST_PSNR, psnr_rgb
from shared.resize import bicubic_upscale

Enlarge = Callable[[np.ndarray], np.ndarray]  # (h, w, 3) float32 in [0, 1] -> (s·h, s·w, 3) float, nominally in [0, 1]


def score(enlarge: Enlarge, pack: Pack, pairs: int | None) -> float:
    """Mean PSNR-RGB over validation pairs; output rounded to 8 bits, border of `scale` px left out.

    Args:
        enlarge: what is judged.
        pack: gives the pairs of its validation split.
        pairs: judge so many, evenly spread; None: all.

    Returns:
        dB, at most 100.

    Raises:
        UsageError: the pack has no validation pair.
        NonFiniteError: an output holds NaN or infinity; names the pair.
    """
    names = spread(pack.pairs("validation"), pairs)
    if not names:
        raise UsageError(
            f"{pack.path}: no validation pair, expected at least one; prepare the pack with a share for validation"
        )
    return statistics.fmean(_psnr(enlarge, pack, name) for name in names)


def enlarger(network: nn.Module, device: torch.device) -> Enlarge:
    """A network, module (1, 3, h, w) -> (1, 3, s·h, s·w), as a function of one image."""

    def enlarge(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
            return network(batch)[0].permute(1, 2, 0).cpu().numpy()

    return enlarge


def bicubic(scale: int) -> Enlarge:
    """The a = -0.5 cubic, the baseline."""
    return lambda image: bicubic_upscale(image, scale)


def spread(names: tuple[str, ...], count: int | None) -> tuple[str, ...]:
    """`count` of the names, evenly spread; all of them for None or where there are no more."""
    if count is None or count >= len(names):
        return names
    return tuple(names[index * len(names) // count] for index in range(count))


def _psnr(enlarge: Enlarge, pack: Pack, name: str) -> float:
    sr = enlarge(to_float(pack.lr(name)))
    if not np.isfinite(sr).all():
        raise NonFiniteError(
            f"validation pair {name}: the output is not finite; try a lower learning_rate, or a gradient_clip"
        )
    return min(psnr_rgb(quantise(sr), pack.hr(name), crop=pack.scale), MOST_PSNR)
