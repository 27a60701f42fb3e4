"""The training loss: mean absolute error plus MS-SSIM (paper, section 4.2), as a weighted sum of named terms.

Losses are computed outside autocast: in bfloat16 MS-SSIM is wrong by its own size (performance.md section 7).
"""

import torch
from torch import Tensor
from torch.nn import functional

from train_torch.config import TrainConfig
from train_torch.losses.ms_ssim import ms_ssim


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference; its gradient is 0 where both are equal."""
    return functional.l1_loss(image, target)


def reconstruction_terms(sr: Tensor, hr: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """The terms of the loss of one image, not yet weighted.

    Args:
        sr: (n, 3, h, w) float32 or float64, nominally in [0, 1].
        hr: the same, constant.
        config: which terms count; a term of weight 0 is left out, not computed.

    Returns:
        `l1` and `ms_ssim` (1 - MS-SSIM), scalars.
    """
    terms: dict[str, Tensor] = {}
    if config.l1_weight > 0:
        terms["l1"] = l1(sr, hr)
    if config.ms_ssim_weight > 0:
        terms["ms_ssim"] = 1 - ms_ssim(sr, hr, levels=config.ms_ssim_levels)
    return terms


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Σ weight · term, over the terms that are there."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def reconstruction_weights(config: TrainConfig) -> dict[str, float]:
    """Weight of each term of `reconstruction_terms`."""
    return {"l1": config.l1_weight, "ms_ssim": config.ms_ssim_weight}
