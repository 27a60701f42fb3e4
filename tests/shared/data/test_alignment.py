"""NCC by its named definitions, and the measured shift."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from shared.data.alignment import DEFINITIONS, block_sums, measure_shift, ncc
from shared.data.pairs import discover, read_pair
from shared.errors import UsageError
from shared.metrics import LUMA
from shared.resize import resize


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture with detail at several sizes, uint8."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for size in (1, 2, 4, 16, 48):
        coarse = rng.standard_normal((height // size + 3, width // size + 3, 3))
        total += resize(coarse, Fraction(size), antialias=False)[:height, :width]
    total = (total - total.min()) / np.ptp(total)
    return np.rint(total * 255).astype(np.uint8)


def pair_of(hr: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    lr = np.rint(block_sums(hr, scale) / scale**2).astype(np.uint8)
    return lr, hr


def test_ncc_rgb_lr_is_the_cosine_of_lr_and_area_averaged_hr():
    lr, hr = pair_of(scene(96, 120), 4)
    lr = np.clip(lr.astype(int) + np.random.default_rng(1).integers(-20, 21, lr.shape), 0, 255).astype(np.uint8)
    area = resize(hr, Fraction(1, 4), kernel="area").ravel()
    a = lr.astype(float).ravel()
    expected = a @ area / np.linalg.norm(a) / np.linalg.norm(area)
    assert abs(ncc(lr, hr) - expected) < 1e-14
    zero_mean = np.corrcoef(a, area)[0, 1]  # known-wrong: the other convention
    assert abs(ncc(lr, hr) - zero_mean) > 1e-3


def test_ncc_rgb_lr_of_16_bits_does_not_overflow():
    lr, hr = np.full((4, 1, 3), 65535, np.uint16), np.full((512, 128, 3), 65535, np.uint16)
    large = block_sums(hr, 128)
    assert int(np.sum(large * large)) < 0  # known-wrong: one sum over all in 64 bits
    assert ncc(lr, hr) == pytest.approx(1.0, abs=1e-12)
    lr, hr = pair_of(scene(48, 48), 4)
    assert ncc(lr, hr) == pytest.approx(ncc(lr.astype(np.uint16) * 257, hr.astype(np.uint16) * 257), abs=1e-15)


def test_ncc_y_hr_is_the_correlation_coefficient_of_luma():
    lr, hr = pair_of(scene(64, 96), 4)
    weights = np.array([65.481, 128.553, 24.966])
    up = resize(lr, 4, antialias=False) @ weights
    expected = np.corrcoef(up.ravel(), (hr @ weights).ravel())[0, 1]
    assert abs(ncc(lr, hr, definition="ncc_y_hr") - expected) < 1e-12
    brighter = np.clip(lr.astype(int) // 2 + 100, 0, 255).astype(np.uint8)
    assert ncc(brighter, hr, definition="ncc_y_hr") > 0.99 * expected  # a level does not count …
    assert ncc(brighter, hr) < ncc(lr, hr)  # … as it does in the plain one


def test_ncc_is_zero_where_undefined_and_one_for_perfect_pairs():
    black, flat = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 90, np.uint8)
    large = np.full((16, 16, 3), 90, np.uint8)
    assert ncc(black, large) == 0
    assert ncc(flat, large, definition="ncc_y_hr") == 0
    assert ncc(flat, large) == pytest.approx(1, abs=1e-15)


def test_unknown_definition_and_shapes_are_refused():
    lr, hr = pair_of(scene(48, 48), 4)
    with pytest.raises(UsageError, match="expected one of ncc_rgb_lr, ncc_y_hr"):
        ncc(lr, hr, definition="ncc")  # a short name would hide which one
    with pytest.raises(UsageError, match=r"expected \(h, w, 3\)"):
        ncc(lr, hr[:-1])


@pytest.mark.parametrize(("x", "y"), [(4, 0), (0, -8), (6, 3), (-2, 5)])
def test_known_shifts_are_measured(x, y):
    whole = scene(480, 560, seed=3)
    hr = whole[32:-32, 32:-32]
    moved = whole[32 - y : whole.shape[0] - 32 - y, 32 - x : whole.shape[1] - 32 - x]  # content moves by x, y HR px
    lr, _ = pair_of(moved, 4)
    shift = measure_shift(lr, hr)
    assert shift is not None
    assert np.hypot(shift.x - x / 4, shift.y - y / 4) < 0.15
    assert np.hypot(shift.x + x / 4, shift.y + y / 4) > 0.5  # known-wrong: the opposite sign
    small, large = lr @ LUMA, block_sums(hr, 4) @ LUMA
    raw, _ = cv2.phaseCorrelate(large, small)  # known-wrong: 124 px, padded to 125, are half a pixel off
    assert cv2.getOptimalDFTSize(small.shape[1]) == 125
    assert abs(raw[0] - x / 4) > 0.3
    assert shift.length == np.hypot(shift.x, shift.y)


def test_unrelated_images_have_a_low_response():
    lr, _ = pair_of(scene(256, 256, seed=1), 4)
    shift = measure_shift(lr, scene(256, 256, seed=2))
    own = measure_shift(*pair_of(scene(256, 256, seed=1), 4))
    assert shift is not None
    assert own is not None
    assert shift.response < 0.5 < own.response


def test_very_small_images_have_no_measured_shift():
    assert measure_shift(np.zeros((15, 40, 3), np.uint8), np.zeros((30, 80, 3), np.uint8)) is None


def test_the_definition_decides_what_of_realsr_is_rejected(real_data):
    """Of these 70 pairs 8 are below 0.99 by the plain NCC at LR size, 69 by the zero-mean one at HR size."""
    found = discover([real_data / "pairs" / "realsr_x4"])
    scores = {name: [] for name in DEFINITIONS}
    shifts = []
    for pair in found.pairs:
        lr, hr = read_pair(pair, scale=4)
        for name, values in scores.items():
            values.append(ncc(lr, hr, definition=name))
        shift = measure_shift(lr, hr)
        assert shift is not None
        shifts.append(shift.length)
    assert sum(value < 0.99 for value in scores["ncc_rgb_lr"]) == 8
    assert sum(value < 0.99 for value in scores["ncc_y_hr"]) == 69
    assert np.median(shifts) < 0.12  # all are registered all the same
    assert max(shifts) < 0.3
