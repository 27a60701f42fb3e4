"""PSNR of a network, and of bicubic upscaling, on the validation pairs of a pack."""

import statistics

import numpy as np
import torch
from torch import nn

from shared.data.pack import Pack
from shared.data.validation import Upscale, finite_output, psnr, spread
from shared.errors import UsageError
from shared.resize import bicubic_upscale

REMEDY = "try a lower learning_rate, or a gradient_clip"


def score(upscale: Upscale, pack: Pack, pairs: int | None) -> float:
    """Mean PSNR-RGB over validation pairs; output rounded to 8 bits, border of `scale` px left out.

    Args:
        upscale: what is judged.
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
    outputs = ((name, finite_output(upscale, pack.lr(name), pair=name, remedy=REMEDY)) for name in names)
    return statistics.fmean(psnr(sr, pack.hr(name), pack.scale) for name, sr in outputs)


def upscaler(network: nn.Module, device: torch.device) -> Upscale:
    """A network, module (1, 3, h, w) -> (1, 3, s·h, s·w), as a function of one image."""

    def upscale(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
            return network(batch)[0].permute(1, 2, 0).cpu().numpy()

    return upscale


def bicubic(scale: int) -> Upscale:
    """The a = -0.5 cubic, the baseline."""
    return lambda image: bicubic_upscale(image, scale)
