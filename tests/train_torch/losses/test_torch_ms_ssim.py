"""MS-SSIM: value and gradient against pytorch-msssim, the fast way against the plain one, and where it must not break."""

import numpy as np
import pytest
import pytorch_msssim
import torch
from scipy.signal import windows
from torch import Tensor
from torch.nn import functional

from shared.ms_ssim import FLOOR, exponents, gaussian_taps
from train_torch.losses.fast_ms_ssim import fast_level
from train_torch.losses.ms_ssim import Level, halve, ms_ssim, plain_level

pytestmark = pytest.mark.torch

LEVELS = {"plain": plain_level, "fast": fast_level}


def _pair(height: int, width: int, dtype: torch.dtype = torch.float64, *, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """A smooth image and a noisy copy of it, (2, 3, height, width)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 9, 8, generator=generator, dtype=torch.float64)
    hr = functional.interpolate(coarse, (height, width), mode="bilinear")
    sr = hr + noise * torch.randn(hr.shape, generator=generator, dtype=torch.float64)
    return sr.to(dtype), hr.to(dtype)


def _value_and_gradient(sr: Tensor, hr: Tensor, **options: object) -> tuple[float, Tensor]:
    sr = sr.clone().requires_grad_()
    value = ms_ssim(sr, hr, **options)  # type: ignore[arg-type]  # options of the test
    value.backward()
    assert sr.grad is not None
    return value.item(), sr.grad


def _published(sr: Tensor, hr: Tensor) -> tuple[float, Tensor]:
    """pytorch-msssim, with a float64 window (its own is float32) from SciPy."""
    taps = torch.from_numpy(windows.gaussian(11, 1.5))
    window = (taps / taps.sum()).repeat(3, 1, 1, 1)
    sr = sr.clone().requires_grad_()
    value = pytorch_msssim.ms_ssim(sr, hr, data_range=1.0, win=window)
    value.backward()
    assert sr.grad is not None
    return value.item(), sr.grad


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_equals_pytorch_msssim_on_sides_that_halve(level: Level) -> None:
    sr, hr = _pair(176, 192)
    value, gradient = _value_and_gradient(sr, hr, level=level)
    expected, expected_gradient = _published(sr, hr)
    assert value == pytest.approx(expected, abs=1e-13)
    scale = expected_gradient.abs().max().item()
    assert (gradient - expected_gradient).abs().max().item() / scale <= 1e-11


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_control_a_window_of_another_width_is_noticed(level: Level) -> None:
    sr, hr = _pair(176, 192)
    value, gradient = _value_and_gradient(sr, hr, level=level, taps=gaussian_taps(1.51))
    expected, expected_gradient = _published(sr, hr)
    assert abs(value - expected) > 1e-6
    assert (gradient - expected_gradient).abs().max() / expected_gradient.abs().max() > 1e-4


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)])
def test_fast_equals_plain_on_odd_sides(levels: int, dtype: torch.dtype, tolerance: float) -> None:
    sr, hr = _pair(179, 185, dtype)
    value, gradient = _value_and_gradient(sr, hr, levels=levels, level=fast_level)
    exact, exact_gradient = _value_and_gradient(sr.double(), hr.double(), levels=levels, level=plain_level)
    assert value == pytest.approx(exact, abs=tolerance / 10)
    assert (gradient - exact_gradient).abs().max() / exact_gradient.abs().max() <= tolerance


def test_fast_gradient_follows_a_weighted_upstream() -> None:
    """Every plane has its own cotangent: planes of a chunk must not be mixed up."""
    sr, hr = _pair(40, 44)
    offset = hr.mean((2, 3), keepdim=True)
    weights = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
    gradients = []
    for level in LEVELS.values():
        x = (sr - offset).requires_grad_()
        (level(x, hr - offset, offset, gaussian_taps(), luminance=True) * weights).sum().backward()
        gradients.append(x.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=0, atol=1e-12 * gradients[0].abs().max().item())


def test_takes_images_in_channels_last_order() -> None:
    sr, hr = _pair(44, 44)
    ordered, gradient = _value_and_gradient(sr, hr, levels=2)
    other, other_gradient = _value_and_gradient(
        sr.contiguous(memory_format=torch.channels_last), hr.contiguous(memory_format=torch.channels_last), levels=2
    )
    assert other == pytest.approx(ordered, abs=1e-15)
    assert torch.allclose(gradient, other_gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_equal_images_give_one_and_no_gradient(level: Level) -> None:
    _, hr = _pair(176, 176)
    value, gradient = _value_and_gradient(hr, hr, level=level)
    assert value == pytest.approx(1.0, abs=1e-12)
    assert gradient.abs().max() < 1e-10


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_an_inverted_image_has_a_finite_value_and_no_gradient(level: Level) -> None:
    """Its contrast terms are negative on every level: plain powers give NaN."""
    hr = torch.rand(1, 1, 44, 44, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value, gradient = _value_and_gradient(1 - hr, hr, levels=2, level=level)
    assert value == pytest.approx(np.prod(np.power(FLOOR, exponents(2))))
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_float32_keeps_its_digits_on_bright_smooth_images(level: Level) -> None:
    sr, hr = _pair(180, 177, torch.float32, noise=1e-3)
    sr, hr = 0.9 + 0.01 * sr, 0.9 + 0.01 * hr
    _, gradient = _value_and_gradient(sr, hr, level=level)
    _, exact = _value_and_gradient(sr.double(), hr.double(), level=plain_level)
    assert (gradient - exact).abs().max() / exact.abs().max() <= 1e-4


def test_halving_drops_the_last_row_and_column_of_odd_sides() -> None:
    x = torch.arange(35.0, dtype=torch.float64).reshape(1, 1, 5, 7)
    expected = functional.avg_pool2d(x[..., :4, :6], 2)
    assert torch.equal(halve(x), expected)


def test_images_without_room_for_a_window_are_refused() -> None:
    sr, hr = _pair(175, 200)
    with pytest.raises(AssertionError, match="5 levels need 176 px"):
        ms_ssim(sr, hr)
