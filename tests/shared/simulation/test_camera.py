"""The camera model: each step against an independent oracle, each field with an effect, noise as stated."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from shared.simulation.camera import (
    Camera,
    CameraConfig,
    add_noise,
    compress,
    demosaic,
    develop,
    draw,
    expose,
    from_light,
    kernel,
    mosaic,
    optics,
    reduce,
    sharpen,
    take,
    to_light,
)

CLEAN = {
    "blur_sigma": (0, 0),
    "shot_noise": (0, 0),
    "read_noise": (0, 0),
    "sharpen_amount": (0, 0),
    "jpeg": False,
    "raw_bits": 16,
}
CHANGES = {  # a value of each field that is far from its default
    "blur_sigma": (2, 2),
    "blur_ratio": (0.2, 0.2),
    "blur_angle": (45, 45),
    "downsample": "cubic",
    "red_gain": (5, 5),
    "blue_gain": (5, 5),
    "mosaic": True,
    "shot_noise": (0.05, 0.05),
    "read_noise": (0.05, 0.05),
    "raw_bits": 8,
    "tone_curve": "gamma",
    "gamma": 3.0,
    "sharpen_amount": (3, 3),
    "sharpen_sigma": (4, 4),
    "jpeg": False,
    "jpeg_quality": (20, 20),
    "jpeg_subsampling": "4:2:0",
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def camera(**fields) -> Camera:
    return draw(CameraConfig(**fields), rng())


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    pixels = gaussian_filter(rng(7).random((height, width, 3)), (1.2, 1.2, 0))
    return (pixels - pixels.min()) / np.ptp(pixels)


def shoot(**fields) -> np.ndarray:
    shot = camera(**fields)
    return take(to_light(picture(), shot.tone_curve, shot.gamma), shot, scale=4, generator=rng(1))


def test_a_camera_that_does_nothing_gives_the_area_mean_of_light():
    got = shoot(**CLEAN)
    light = np.where(picture() <= 0.04045, picture() / 12.92, ((picture() + 0.055) / 1.055) ** 2.4)
    mean = light.reshape(12, 4, 16, 4, 3).mean((1, 3))
    expected = 255 * np.where(mean <= 0.0031308, 12.92 * mean, 1.055 * mean ** (1 / 2.4) - 0.055)
    assert np.abs(got - expected).max() < 0.6  # rounding to 8 bits, after that to 16
    pixels = 255 * picture().reshape(12, 4, 16, 4, 3).mean((1, 3))  # known-wrong: averaged pixel values
    assert np.abs(got - pixels).max() > 2


def test_every_field_is_changed_in_the_table():
    assert set(CHANGES) == set(CameraConfig.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_has_an_effect(field):
    other = {"tone_curve": "gamma"} if field == "gamma" else {}
    if field == "blur_angle":
        other = {"blur_ratio": (0.2, 0.2), "blur_sigma": (1, 1)}
    assert not np.array_equal(shoot(**other), shoot(**{**other, field: CHANGES[field]}))


def test_the_same_generator_gives_the_same_picture_and_another_seed_another():
    assert np.array_equal(shoot(), shoot())
    shot = camera()
    light = to_light(picture(), "srgb", 1)
    assert not np.array_equal(
        take(light, shot, scale=4, generator=rng(1)), take(light, shot, scale=4, generator=rng(2))
    )


def test_values_are_drawn_from_the_ranges_one_number_a_field():
    config = CameraConfig()
    shots = [draw(config, rng(seed)) for seed in range(200)]
    for name, field in CameraConfig.model_fields.items():
        if isinstance(field.default, tuple) and name != "jpeg_quality":
            values = np.array([getattr(shot, name) for shot in shots])
            low, high = field.default
            assert low <= values.min() < low + 0.1 * (high - low)
            assert high >= values.max() > high - 0.1 * (high - low)
    changed = draw(CameraConfig(blur_sigma=(1, 2)), rng(3))
    assert changed.red_gain == shots[3].red_gain  # a range moves nothing but its own value
    assert {shot.jpeg_quality for shot in shots} == {92, 93, 94, 95, 96}


@pytest.mark.parametrize(
    "fields",
    [{"blur_sigma": (2, 1)}, {"blur_sigma": (-1, 1)}, {"read_noise": (0, float("nan"))}, {"bluur": 1}, {"raw_bits": 4}],
)
def test_configurations_out_of_range_are_refused(fields):
    with pytest.raises(ValidationError):
        CameraConfig(**fields)


def test_noise_has_the_stated_variance():
    """Var = shot · signal + read², estimated over 200,000 samples each (standard error 0.3 %)."""
    shot = camera(shot_noise=(4e-3, 4e-3), read_noise=(0.02, 0.02))
    for signal in (0.0, 0.1, 0.5, 1.0):
        noise = add_noise(np.full((1000, 200), signal), shot, rng(5)) - signal
        expected = 4e-3 * signal + 0.02**2
        assert noise.var() == pytest.approx(expected, rel=0.015)
        assert noise.mean() == pytest.approx(0, abs=5 * np.sqrt(expected / noise.size))
    bright, dark = (add_noise(np.full((1000, 200), level), shot, rng(5)).var() for level in (1.0, 0.1))
    assert bright > 4 * dark  # known-wrong: noise of one level everywhere


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_white_balance_makes_red_and_blue_noisier(channel):
    """In light of level L the sensor sees L / gain, and the ISP multiplies by gain: Var = gain · shot · L + (gain · read)²."""
    gains = (3.0, 1.0, 2.0)
    shot = camera(
        **{**CLEAN, "shot_noise": (1e-3, 1e-3), "read_noise": (5e-3, 5e-3), "red_gain": (3, 3), "blue_gain": (2, 2)}
    )
    light = np.full((300, 300, 3), 0.4)
    got = to_light(develop(expose(light, shot, rng(2)), shot) / 255, "srgb", 1)[..., channel]
    gain = gains[channel]
    assert got.var() == pytest.approx(gain * 1e-3 * 0.4 + (gain * 5e-3) ** 2, rel=0.03)


def test_tone_curves_are_inverse_and_srgb_at_known_points():
    values = np.linspace(0, 1, 1001)
    for curve in ("srgb", "gamma"):
        assert np.abs(from_light(to_light(values, curve, 2.2), curve, 2.2) - values).max() < 1e-7
    assert to_light(np.array([0.0, 0.5, 1.0]), "srgb", 1) == pytest.approx([0, 0.21404114, 1])  # IEC 61966-2-1
    assert to_light(np.array([0.5]), "gamma", 2.0) == pytest.approx([0.25])


@pytest.mark.parametrize(
    ("sigma", "ratio", "angle"), [(2.0, 1.0, 0.0), (2.0, 0.5, 0.0), (3.0, 0.4, 30.0), (0.7, 1.0, 90.0)]
)
def test_kernel_has_the_stated_moments(sigma, ratio, angle):
    weights = kernel(sigma, ratio, angle)
    radius = len(weights) // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    turn = np.deg2rad(angle)
    axis = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    expected = axis @ np.diag([sigma**2, (sigma * ratio) ** 2]) @ axis.T
    covariance = [[np.sum(weights * a * b) for b in (x, y)] for a in (x, y)]
    assert weights.sum() == pytest.approx(1)
    assert np.array_equal(weights, weights[::-1, ::-1])  # no shift
    assert np.allclose(covariance, expected, atol=0.01 * sigma**2)
    if ratio < 1:
        turned = axis @ np.diag([(sigma * ratio) ** 2, sigma**2]) @ axis.T  # known-wrong: the axes exchanged
        assert not np.allclose(covariance, turned, atol=0.01 * sigma**2)


def test_optics_blur_like_scipy_in_px_of_the_lr_grid():
    shot = camera(blur_sigma=(0.6, 0.6), blur_ratio=(1, 1))
    got = optics(picture(), shot, 4)
    expected = gaussian_filter(picture(), (2.4, 2.4, 0), mode="mirror", truncate=4)
    assert np.abs(got - expected)[12:-12, 12:-12].max() < 1e-4


@pytest.mark.parametrize("how", ["area", "cubic"])
def test_reduction_keeps_the_centre(how):
    ramp = np.repeat(np.linspace(0.2, 0.8, 64)[None, :, None], 8, axis=0) * np.ones(3)
    expected = ramp.reshape(2, 4, 16, 4, 3).mean((1, 3))
    assert np.abs(reduce(ramp, 4, how) - expected)[:, 2:-2].max() < 1e-12
    assert np.abs(ramp[::4, ::4] - expected)[:, 2:-2].min() > 0.01  # known-wrong: every fourth pixel, shifted by 1.5 px


def test_mosaic_is_rggb_and_demosaicing_exact_on_planes():
    planes = np.stack([np.full((6, 8), 0.1), np.full((6, 8), 0.2), np.full((6, 8), 0.3)], axis=-1)
    raw = mosaic(planes)
    assert np.array_equal(raw[:2, :2], [[0.1, 0.2], [0.2, 0.3]])
    assert np.allclose(demosaic(raw), planes, atol=1e-15)
    y, x = np.mgrid[:12, :12] / 12
    ramps = np.stack([0.2 + 0.5 * x, 0.3 + 0.4 * y, 0.1 + 0.3 * x + 0.2 * y], axis=-1)
    assert np.abs(demosaic(mosaic(ramps)) - ramps)[1:-1, 1:-1].max() < 1e-14
    shifted = demosaic(np.roll(mosaic(ramps), 1, axis=1))  # known-wrong: GRBG read as RGGB
    assert np.abs(shifted - ramps)[2:-2, 2:-2].max() > 0.05


def test_sharpening_is_an_unsharp_mask():
    pixels = 0.25 + picture() / 2
    blurred = gaussian_filter(pixels, (1.0, 1.0, 0), mode="mirror", truncate=4)
    assert np.abs(sharpen(pixels, 0.5, 1.0) - (pixels + 0.5 * (pixels - blurred))).max() < 1e-12
    assert sharpen(picture(), 4.0, 1.0).max() == 1  # clipped


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_compression_writes_the_stated_jpeg(subsampling):
    levels = np.rint(picture() * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=70, subsampling=subsampling)
    assert np.array_equal(compress(levels, 70, subsampling), np.asarray(Image.open(buffer)))
    assert not np.array_equal(compress(levels, 71, subsampling), np.asarray(Image.open(buffer)))
