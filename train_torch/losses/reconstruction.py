"""The reconstruction loss: how far the network's image is from HR, as a weighted sum of the terms in TERMS (paper, section 4.2).

Term NAME is weighted by the field `NAME_weight` of the configuration. Losses are computed outside autocast: in bfloat16 MS-SSIM
is wrong by its own size.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from train_torch.config import TrainConfig
from train_torch.losses.ms_ssim import ms_ssim


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference; its gradient is 0 where both are equal."""
    return functional.l1_loss(image, target)


TERMS: Mapping[str, Callable[[Tensor, Tensor, TrainConfig], Tensor]] = {
    "l1": lambda sr, hr, config: l1(sr, hr),
    "ms_ssim": lambda sr, hr, config: 1 - ms_ssim(sr, hr, levels=config.ms_ssim_levels),
}


def reconstruction_terms(sr: Tensor, hr: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """The terms of the loss of one image, not yet weighted.

    Args:
        sr: (n, 3, h, w) float32 or float64, nominally in [0, 1].
        hr: the same, constant.
        config: which terms count. A term of weight 0 is not computed.

    Returns:
        Name in TERMS -> scalar.
    """
    return {name: TERMS[name](sr, hr, config) for name in reconstruction_weights(config)}


def reconstruction_weights(config: TrainConfig) -> dict[str, float]:
    """Weight of each term that counts, all > 0."""
    weights = {name: getattr(config, f"{name}_weight") for name in TERMS}
    return {name: weight for name, weight in weights.items() if weight > 0}


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Σ weight · term, over the terms that were computed."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
