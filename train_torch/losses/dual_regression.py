"""The dual regression loss (Guo et al. 2020): images of every size are compared with targets, and must map back down.

With S_k the network's images (S_0 LR size, S_n the result), I_k the targets of those sizes and D_i dual model i:

    reconstruction(S_n, I_n) + b Σ_{k<n} L1(S_k, I_k) + f L1(D_0(S_1), I_0) + d Σ_{0<i<n} L1(D_i(S_{i+1}), I_i)

                     b     f     d
    guoyongcs        1     0.1   0.1     the authors' repository
    paddlegan        0.1   1     0.1     PaddleGAN's; at x2 and x3 (ours) only the first dual term exists

Both take L1 as reconstruction; ours is the configured sum of terms, and the other terms are weighted with `l1_weight`,
so that L1 alone (`ms_ssim_weight = 0`) is the published loss. I_0 is the LR crop, I_n the HR crop. Camera pairs have no
image between: it is made from the HR crop by the antialiased bicubic reduction (a = -0.5, mirrored edges), not rounded.

Guo et al. give the network and each dual model an Adam of its own; all have one rate and one schedule, and Adam treats
every number by itself, so one optimiser over all parameters takes the same steps (a `gradient_clip` is of the joint
norm, though).
"""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from shared.resize import resize_matrix
from train_torch.config import TrainConfig
from train_torch.losses.reconstruction import l1, reconstruction_terms, reconstruction_weights

MIDDLE_TARGET = "antialiased bicubic reduction of the HR crop (a = -0.5, mirrored edges, not rounded)"


@dataclass(frozen=True, kw_only=True, slots=True)
class DualWeighting:
    """Factors b, f, d of the formula above."""

    between: float
    first_dual: float
    other_duals: float


WEIGHTINGS = {
    "guoyongcs": DualWeighting(between=1.0, first_dual=0.1, other_duals=0.1),
    "paddlegan": DualWeighting(between=0.1, first_dual=1.0, other_duals=0.1),
}


def loss_terms(
    images: tuple[Tensor, ...], reduced: tuple[Tensor, ...], lr: Tensor, hr: Tensor, config: TrainConfig
) -> dict[str, Tensor]:
    """Every term of the loss of a step, not yet weighted.

    Args:
        images: S_0 … S_n, each (n, 3, h, w); a network without dual models gives S_n alone.
        reduced: D_0(S_1) … D_{n-1}(S_n); empty without dual models.
        lr: (n, 3, h, w), the input.
        hr: (n, 3, scale·h, scale·w), the target.
        config: which reconstruction terms count.

    Returns:
        The reconstruction terms of the result; `image.{k}` of smaller images; `dual.{i}` of the dual models.
    """
    terms = reconstruction_terms(images[-1], hr, config)
    if not reduced:
        return terms
    targets = [lr, *(reduce(hr, hr.shape[-1] // image.shape[-1]) for image in images[1:-1])]
    terms |= {
        f"image.{k}": l1(image, target) for k, (image, target) in enumerate(zip(images[:-1], targets, strict=True))
    }
    terms |= {f"dual.{i}": l1(image, target) for i, (image, target) in enumerate(zip(reduced, targets, strict=True))}
    return terms


def term_weights(config: TrainConfig, duals: int) -> dict[str, float]:
    """Weight of each term of `loss_terms` for a network with so many dual models."""
    weighting = WEIGHTINGS[config.dual_weighting]
    weights = reconstruction_weights(config)
    for k in range(duals):
        weights[f"image.{k}"] = config.l1_weight * weighting.between
        weights[f"dual.{k}"] = config.l1_weight * (weighting.other_duals if k else weighting.first_dual)
    return weights


def reduce(image: Tensor, factor: int) -> Tensor:
    """Antialiased bicubic reduction by a whole factor, in the image's precision: (n, c, h, w) -> (n, c, h/f, w/f)."""
    rows, columns = (
        torch.tensor(
            resize_matrix(size, Fraction(1, factor), kernel="cubic", antialias=True, edge="symmetric"),
            dtype=image.dtype,
            device=image.device,
        )
        for size in image.shape[-2:]
    )
    return rows @ image @ columns.T
