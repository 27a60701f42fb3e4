"""The terms of the loss and their sum."""

import numpy as np
import pytest
import torch

from train_torch.config import TrainConfig
from train_torch.losses.supervised import l1, reconstruction_terms, reconstruction_weights, total

pytestmark = pytest.mark.torch


def _images(side: int = 44) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hr = torch.rand(2, 3, side, side, generator=generator)
    return (hr + 0.1 * torch.randn(hr.shape, generator=generator)), hr


def test_l1_is_the_mean_difference_and_is_flat_where_images_are_equal() -> None:
    sr, hr = _images()
    sr[:, :, :10] = hr[:, :, :10]
    sr.requires_grad_()
    loss = l1(sr, hr)
    loss.backward()
    assert loss.item() == pytest.approx(np.abs(sr.detach().numpy() - hr.numpy()).mean(), rel=1e-6)
    assert sr.grad is not None
    assert sr.grad[:, :, :10].abs().max() == 0
    assert sr.grad[:, :, 10:].abs().min() > 0


def test_terms_are_weighted_and_summed() -> None:
    sr, hr = _images()
    config = TrainConfig(patch=11, ms_ssim_levels=3, l1_weight=2.0, ms_ssim_weight=0.5)
    terms = reconstruction_terms(sr, hr, config)
    assert set(terms) == {"l1", "ms_ssim"}
    assert 0 < terms["ms_ssim"].item() < 1
    expected = 2 * terms["l1"].item() + 0.5 * terms["ms_ssim"].item()
    assert total(terms, reconstruction_weights(config)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("weight", "left"), [("l1_weight", "ms_ssim"), ("ms_ssim_weight", "l1")])
def test_a_term_of_weight_zero_is_not_computed(weight: str, left: str) -> None:
    config = TrainConfig(ms_ssim_levels=2, **{weight: 0.0})  # type: ignore[arg-type]  # one float field
    assert set(reconstruction_terms(*_images(), config)) == {left}
