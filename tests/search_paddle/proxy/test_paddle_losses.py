"""Losses against formulas written in NumPy and SciPy, in float64, values and gradients."""

import numpy as np
import paddle
import pytest
from scipy.ndimage import gaussian_filter

from search_paddle.config import ProxyConfig
from search_paddle.proxy.losses import l1, ms_ssim, proxy_loss

pytestmark = pytest.mark.paddle

EXPONENTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def images(side: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hr = gaussian_filter(rng.random((2, 3, side, side + 5)), (0, 0, 2, 2)) * 3 - 1
    return np.clip(hr + 0.05 * rng.standard_normal(hr.shape), 0, 1), np.clip(hr, 0, 1)


def blur(x: np.ndarray) -> np.ndarray:
    """The 11-tap window by SciPy (radius 5), valid positions."""
    return gaussian_filter(x, 1.5, radius=5, axes=(2, 3))[:, :, 5:-5, 5:-5]


def oracle(x: np.ndarray, y: np.ndarray, levels: int) -> float:
    """MS-SSIM by its definition, uncentred."""
    powers = EXPONENTS[:levels] * EXPONENTS.sum() / EXPONENTS[:levels].sum()
    product = np.ones(x.shape[:2])
    for level in range(levels):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
        similarity = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
        if level == levels - 1:
            similarity = similarity * (2 * mx * my + 0.01**2) / (mx * mx + my * my + 0.01**2)
        product *= np.maximum(similarity.mean((2, 3)), 1e-4) ** powers[level]
        height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
        x, y = (
            z[:, :, :height, :width].reshape(*z.shape[:2], height // 2, 2, width // 2, 2).mean((3, 5)) for z in (x, y)
        )
    return float(product.mean())


def test_l1_is_the_mean_absolute_difference_and_its_gradient_the_sign() -> None:
    x, y = images()
    tensor = paddle.to_tensor(x, stop_gradient=False)
    loss = l1(tensor, paddle.to_tensor(y))
    loss.backward()
    assert abs(loss.item() - np.abs(x - y).mean()) < 1e-15
    assert np.abs(tensor.grad.numpy() - np.sign(x - y) / x.size).max() < 1e-18


def test_l1_of_many_pixels_keeps_its_digits_in_float32() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 8, 3, 240, 240), dtype=np.float32)
    exact = np.abs(x.astype(np.float64) - y).mean()
    x, y = paddle.to_tensor(x), paddle.to_tensor(y)
    assert abs(l1(x, y).item() / exact - 1) < 2e-7
    assert (
        abs(paddle.nn.functional.l1_loss(x, y).item() / exact - 1) > 2e-7
    )  # the plain form, which is why ours is nested


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ms_ssim_equals_its_definition(levels: int) -> None:
    x, y = images()
    assert abs(ms_ssim(paddle.to_tensor(x), paddle.to_tensor(y), levels=levels).item() - oracle(x, y, levels)) < 1e-12


def test_ms_ssim_with_exponents_that_are_not_renormalised_is_told_apart() -> None:
    x, y = images()
    ours = ms_ssim(paddle.to_tensor(x), paddle.to_tensor(y), levels=2).item()
    assert abs(ours - oracle(x, y, 2) ** (EXPONENTS[:2].sum() / EXPONENTS.sum())) > 1e-2


def test_ms_ssim_gradient_equals_finite_differences() -> None:
    x, y = images(side=24)
    tensor = paddle.to_tensor(x, stop_gradient=False)
    ms_ssim(tensor, paddle.to_tensor(y), levels=2).backward()
    direction = np.random.default_rng(2).standard_normal(x.shape)
    step = 1e-6
    slope = (oracle(x + step * direction, y, 2) - oracle(x - step * direction, y, 2)) / (2 * step)
    assert abs((tensor.grad.numpy() * direction).sum() - slope) < 1e-7 * max(abs(slope), 1)


def test_ms_ssim_is_one_for_equal_images_and_finite_for_an_inverted_one() -> None:
    _, y = images()
    assert abs(ms_ssim(paddle.to_tensor(y), paddle.to_tensor(y), levels=3).item() - 1) < 1e-14
    tensor = paddle.to_tensor(1 - y, stop_gradient=False)
    loss = ms_ssim(tensor, paddle.to_tensor(y), levels=3)
    loss.backward()
    assert 0 < loss.item() < 0.5
    assert np.isfinite(tensor.grad.numpy()).all()


def test_the_proxy_loss_is_l1_plus_the_weighted_rest() -> None:
    x, y = images()
    tensors = paddle.to_tensor(x), paddle.to_tensor(y)
    assert proxy_loss(*tensors, ProxyConfig()).item() == l1(*tensors).item()
    both = proxy_loss(*tensors, ProxyConfig(ms_ssim_weight=0.3, ms_ssim_levels=2)).item()
    assert abs(both - (np.abs(x - y).mean() + 0.3 * (1 - oracle(x, y, 2)))) < 1e-12
