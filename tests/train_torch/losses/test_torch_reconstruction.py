"""The terms of the loss and their sum."""

import numpy as np
import pytest
import torch

from shared.errors import UsageError
from train_torch.config import TrainConfig, make_config
from train_torch.losses.reconstruction import TERMS, l1, reconstruction_terms, reconstruction_weights, total

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


def _only(name: str, **fields: float) -> TrainConfig:
    """One term of TERMS alone, of weight 0.5."""
    return make_config({"ms_ssim_levels": 2, **{f"{each}_weight": 0.5 * (each == name) for each in TERMS}, **fields})


@pytest.mark.parametrize("name", TERMS)
def test_each_term_is_weighted_by_the_field_of_its_name_and_not_computed_without(name: str) -> None:
    assert set(reconstruction_terms(*_images(), _only(name))) == {name}
    assert reconstruction_weights(_only(name)) == {name: 0.5}
    with pytest.raises(UsageError, match=f"{name}_weight.* are all 0: nothing to learn from"):
        _only(name, **{f"{name}_weight": 0.0})


@pytest.mark.parametrize("name", TERMS)
def test_each_term_is_least_where_the_images_are_equal_and_falls_on_the_way_there(name: str) -> None:
    sr, hr = (image.double() for image in _images())
    losses = [reconstruction_terms(hr + t * (sr - hr), hr, _only(name))[name].item() for t in (0.0, 0.1, 0.5, 1.0)]
    assert losses == sorted(losses)
    assert losses[0] < 0.1 * losses[-1]


@pytest.mark.parametrize("name", TERMS)
def test_the_gradient_of_each_term_is_that_of_central_differences(name: str) -> None:
    sr, hr = (image.double() for image in _images(22))
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=sr.shape))

    def loss(step: float) -> torch.Tensor:
        return reconstruction_terms(sr + step * direction, hr, _only(name))[name]

    sr.requires_grad_()
    loss(0.0).backward()
    slope = (sr.grad * direction).sum().item()
    sr = sr.detach()
    assert slope == pytest.approx((loss(1e-6) - loss(-1e-6)).item() / 2e-6, rel=1e-4)
    assert abs(slope) > 1e-4
