"""PSNR and SSIM against scikit-image and closed forms."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from shared.errors import UsageError
from shared.metrics import luma, psnr_rgb, psnr_y, ssim_rgb, ssim_y
from shared.resize import bicubic_upscale

METRICS = (psnr_rgb, psnr_y, ssim_rgb, ssim_y)
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def photograph(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth 8-bit image and a noisy copy, 40 x 56."""
    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.random((6, 8, 3)), (56, 40), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255
    return tuple((base + rng.normal(0, s, base.shape)).clip(0, 255).round().astype(np.uint8) for s in (1, 12))


def cut(image: np.ndarray, crop: int) -> np.ndarray:
    return image[crop : len(image) - crop, crop : image.shape[1] - crop]


def studio_luma(image: np.ndarray) -> np.ndarray:
    red, green, blue = image.astype(np.float64).transpose(2, 0, 1)
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


@pytest.mark.parametrize("crop", [0, 4])
def test_psnr_equals_scikit_image(crop: int):
    sr, hr = photograph()
    a, b = cut(sr, crop), cut(hr, crop)
    assert psnr_rgb(sr, hr, crop=crop) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), abs=1e-10)
    expected = peak_signal_noise_ratio(studio_luma(b), studio_luma(a), data_range=255)
    assert psnr_y(sr, hr, crop=crop) == pytest.approx(expected, abs=1e-10)
    rounded = peak_signal_noise_ratio(studio_luma(b).round(), studio_luma(a).round(), data_range=255)
    assert psnr_y(sr, hr, crop=crop) != pytest.approx(rounded, abs=1e-4)  # control: the luma that some toolboxes round


@pytest.mark.parametrize("crop", [0, 4])
def test_ssim_equals_scikit_image_with_wangs_flags(crop: int):
    sr, hr = photograph()
    a, b = cut(sr, crop), cut(hr, crop)
    expected = structural_similarity(b, a, data_range=255, channel_axis=2, **WANG)
    assert ssim_rgb(sr, hr, crop=crop) == pytest.approx(expected, abs=1e-10)
    expected_y = structural_similarity(studio_luma(b), studio_luma(a), data_range=255, **WANG)
    assert ssim_y(sr, hr, crop=crop) == pytest.approx(expected_y, abs=1e-10)
    defaults = structural_similarity(b, a, data_range=255, channel_axis=2)
    assert ssim_rgb(sr, hr, crop=crop) != pytest.approx(defaults, abs=1e-3)  # control: 7x7 uniform, sample covariance


def test_greys_gain_20_log_255_over_219_on_luma():
    rng = np.random.default_rng(0)
    sr, hr = (np.repeat(rng.random((20, 20, 1)), 3, axis=2) for _ in range(2))
    gain = psnr_y(sr, hr) - psnr_rgb(sr, hr)
    assert gain == pytest.approx(20 * math.log10(255 / 219), abs=1e-12)
    assert gain == pytest.approx(1.3219, abs=5e-5)


def test_luma_runs_from_16_to_235_and_knows_red_from_blue():
    colours = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]]], dtype=np.float64)
    np.testing.assert_allclose(luma(colours).ravel() * 255, [16, 235, 81.481, 40.966], rtol=0, atol=1e-12)


def test_one_grey_level_everywhere_is_48_13_db():
    hr = np.full((12, 12, 3), 100, dtype=np.uint8)
    assert psnr_rgb(hr + 1, hr) == pytest.approx(20 * math.log10(255), abs=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_depths_give_the_same_value(metric):
    sr, hr = photograph()
    expected = metric(sr, hr)
    assert metric(sr / 255, hr) == pytest.approx(expected, abs=1e-10)
    assert metric(sr.astype(np.uint16) * 257, hr / np.float64(255)) == pytest.approx(expected, abs=1e-10)
    assert metric((sr / 255).astype(np.float32), hr) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_crop_is_the_metric_of_the_inside(metric):
    sr, hr = photograph()
    sr[:3], sr[:, :3], sr[-3:], sr[:, -3:] = 0, 0, 0, 0
    assert metric(sr, hr, crop=3) == metric(cut(sr, 3), cut(hr, 3))
    assert metric(sr, hr, crop=3) != metric(sr, hr, crop=2)


def test_identical_images_give_infinity_and_one():
    image, _ = photograph()
    assert psnr_rgb(image, image) == psnr_y(image, image) == math.inf
    assert ssim_rgb(image, image) == ssim_y(image, image) == 1


@pytest.mark.parametrize(("folder", "scale", "expected"), [("2", 2, 33.68), ("3", 3, 30.40), ("4", 4, 28.43)])
def test_bicubic_of_set5_has_its_published_psnr(real_data: Path, folder: str, scale: int, expected: float):
    values = []
    for path in sorted((real_data / "set5" / "HR").iterdir()):
        hr = cv2.imread(str(path))[..., ::-1]
        lr = cv2.imread(str(real_data / "set5" / f"LR_bicubic_x{folder}" / path.name))[..., ::-1]
        sr = np.floor(bicubic_upscale(lr, scale).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        values.append(psnr_y(sr, hr[: sr.shape[0], : sr.shape[1]], crop=scale))
    assert np.mean(values) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("sr", "crop", "message"),
    [
        (np.zeros((12, 12)), 0, r"sr of shape \(12, 12\)"),
        (np.zeros((12, 12, 1)), 0, r"sr of shape \(12, 12, 1\)"),
        (np.zeros((12, 14, 3)), 0, "sr is 14x12 and hr is 12x12"),
        (np.zeros((12, 12, 3), dtype=np.int32), 0, "dtype int32"),
        (np.full((12, 12, 3), 200.0), 0, "values from 200 to 200"),
        (np.full((12, 12, 3), -0.1), 0, "values from -0.1"),
        (np.full((12, 12, 3), np.nan), 0, "values from nan"),
        (np.full((12, 12, 3), np.inf), 0, "values from inf"),
        (np.zeros((12, 12, 3)), -1, "crop -1"),
        (np.zeros((12, 12, 3)), 6, "crop 6"),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_unfit_images_are_refused(metric, sr, crop, message):
    with pytest.raises(UsageError, match=message):
        metric(sr, np.zeros((12, 12, 3)), crop=crop)


def test_an_image_smaller_than_the_window_has_no_ssim():
    image = np.zeros((12, 12, 3))
    assert ssim_rgb(image, image) == 1
    with pytest.raises(UsageError, match="10x10 pixels are left for SSIM"):
        ssim_rgb(image, image, crop=1)
    assert psnr_rgb(image, image, crop=1) == math.inf
