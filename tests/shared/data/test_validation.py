"""Scores of outputs, against the formulas written out."""

import numpy as np
import pytest

from shared.data.validation import METRICS, finite_output, psnr, score, spread
from shared.errors import NonFiniteError
from shared.metrics import ssim_y


def images(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    hr = generator.integers(0, 256, (24, 20, 3)).astype(np.uint8)
    return hr / 255 * 1.1 - 0.03 + generator.normal(0, 0.02, hr.shape), hr


def test_psnr_is_that_of_the_output_clipped_and_rounded_to_8_bits() -> None:
    sr, hr = images()
    rounded = np.round(np.clip(sr, 0, 1) * 255)[2:-2, 2:-2]
    expected = 10 * np.log10(255**2 / np.mean((rounded - hr[2:-2, 2:-2].astype(float)) ** 2))
    assert psnr(sr, hr, 2) == pytest.approx(expected, abs=1e-9)
    control = 10 * np.log10(1 / np.mean((sr - hr / 255)[2:-2, 2:-2] ** 2))  # neither clipped nor rounded
    assert abs(control - expected) > 1e-3


def test_score_has_the_four_metrics_of_the_rounded_output() -> None:
    sr, hr = images()
    found = score(sr, hr, 2)
    assert tuple(found) == METRICS
    rounded = np.round(np.clip(sr, 0, 1) * 255).astype(np.uint8)
    assert found == score(rounded, hr, 2)
    assert found["ssim_y"] == ssim_y(rounded, hr, crop=2)


def test_an_output_that_equals_hr_has_a_hundred_decibels() -> None:
    _, hr = images()
    assert score(hr, hr, 0) == pytest.approx({"psnr_rgb": 100.0, "psnr_y": 100.0, "ssim_rgb": 1.0, "ssim_y": 1.0})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_refused_by_the_name_of_its_pair(value: float) -> None:
    with pytest.raises(NonFiniteError, match="validation pair a: the output is not finite; wait"):
        finite_output(lambda lr: lr * value, np.ones((2, 2, 3), np.uint8), pair="a", remedy="wait")
    assert finite_output(lambda lr: 2 * lr, np.full((1, 1, 3), 255, np.uint8), pair="a", remedy="").tolist() == [
        [[2] * 3]
    ]


def test_pairs_are_chosen_evenly() -> None:
    names = tuple("abcdefghij")
    assert spread(names, 3) == ("a", "d", "g")
    assert spread(names, 10) == spread(names, 11) == spread(names, None) == names
