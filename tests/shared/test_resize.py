"""Resizing against MATLAB's own files, a direct formula and OpenCV."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared.errors import UsageError
from shared.resize import bicubic_downscale, bicubic_upscale, resize, resize_matrix, to_unit, upscaling_matrix

SCALES = (2, 3, 4)
SET5 = ("baby", "bird", "butterfly", "head", "woman")


def read_rgb(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def matlab_8_bit(hr: np.ndarray, scale: int, kernel: str) -> np.ndarray:
    """MATLAB's imresize of a uint8 image: each direction is rounded to 8 bits by itself, the rows' first."""
    options = {"kernel": kernel, "antialias": True, "edge": "symmetric"}
    tall = np.tensordot(resize_matrix(hr.shape[0], Fraction(1, scale), **options), hr, axes=(1, 0))
    tall = np.clip(np.floor(tall + 0.5), 0, 255)
    wide = np.tensordot(resize_matrix(hr.shape[1], Fraction(1, scale), **options), tall, axes=(1, 1)).swapaxes(0, 1)
    return np.clip(np.floor(wide + 0.5), 0, 255).astype(np.uint8)


def direct_upscale(row: list[float], scale: int, a: float, *, mirrored: bool) -> list[float]:
    """Cubic convolution as in Keys' paper, one pixel and one tap at a time."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    def pixel(i: int) -> float:
        if mirrored:
            i = -1 - i if i < 0 else i
            return row[2 * len(row) - 1 - i] if i >= len(row) else row[i]
        return row[min(max(i, 0), len(row) - 1)]

    result = []
    for j in range(len(row) * scale):
        u = (2 * j + 1 - scale) / (2 * scale)
        first = int(np.floor(u)) - 1
        result.append(sum(kernel(u - i) * pixel(i) for i in range(first, first + 4)))
    return result


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SET5)
def test_reduction_reproduces_matlabs_set5_files_bit_for_bit(real_data: Path, name: str, scale: int):
    hr = read_rgb(real_data / "set5" / "HR" / f"{name}.png")
    hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
    expected = read_rgb(real_data / "set5" / f"LR_bicubic_x{scale}" / f"{name}.png")
    np.testing.assert_array_equal(matlab_8_bit(hr, scale, "cubic"), expected)
    with pytest.raises(AssertionError):  # the other kernel
        np.testing.assert_array_equal(matlab_8_bit(hr, scale, "cubic_torch"), expected)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_upscaling_equals_the_direct_formula(size: int, scale: int):
    row = np.random.default_rng(size).random(size)
    if size > 1:  # the direct formula mirrors once, which a single pixel outruns
        got = upscaling_matrix(size, scale, "cubic") @ row
        np.testing.assert_allclose(got, direct_upscale(list(row), scale, -0.5, mirrored=True), rtol=0, atol=1e-14)
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(got, direct_upscale(list(row), scale, -0.75, mirrored=True), rtol=0, atol=1e-14)
    got = upscaling_matrix(size, scale, "cubic_torch") @ row
    np.testing.assert_allclose(got, direct_upscale(list(row), scale, -0.75, mirrored=False), rtol=0, atol=1e-14)


def test_edges_differ_only_at_the_border():
    mirrored = resize_matrix(8, 2, antialias=False, edge="symmetric")
    repeated = resize_matrix(8, 2, antialias=False, edge="repeat")
    np.testing.assert_array_equal(mirrored[3:-3], repeated[3:-3])
    assert np.abs(mirrored - repeated).max() > 0.01


@pytest.mark.parametrize("factor", [Fraction(1, 4), Fraction(2, 3), Fraction(1), Fraction(3, 2), Fraction(4)])
@pytest.mark.parametrize("kernel", ["cubic", "cubic_torch", "area"])
@pytest.mark.parametrize("edge", ["symmetric", "repeat"])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_rows_sum_to_one_and_sizes_round_up(size, edge, kernel, factor):
    matrix = resize_matrix(size, factor, kernel=kernel, antialias=True, edge=edge)
    assert matrix.shape == (-(-size * factor.numerator // factor.denominator), size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kernel", ["cubic", "cubic_torch", "area"])
def test_factor_one_is_the_identity(kernel: str):
    np.testing.assert_array_equal(resize_matrix(7, 1, kernel=kernel), np.eye(7))


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(2, 3), Fraction(2)])
def test_image_resizing_equals_the_matrices(factor: Fraction):
    image = np.random.default_rng(0).random((12, 9, 3))
    rows, columns = (resize_matrix(n, factor) for n in (12, 9))
    np.testing.assert_allclose(
        resize(image, factor), np.einsum("yi,ijc,xj->yxc", rows, image, columns), rtol=0, atol=1e-14
    )


def test_area_reduction_equals_block_means_and_opencv():
    image = np.random.default_rng(0).random((12, 18, 3))
    blocks = image.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, Fraction(1, 3), kernel="area"), blocks, rtol=0, atol=1e-14)
    fractional = cv2.resize(image, (12, 8), interpolation=cv2.INTER_AREA)  # 2/3: pixels are shared between cells
    np.testing.assert_allclose(resize(image, Fraction(2, 3), kernel="area"), fractional, rtol=0, atol=1e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(resize(image, Fraction(2, 3), kernel="cubic"), fractional, rtol=0, atol=1e-2)


def test_antialiasing_changes_reductions_only():
    assert np.abs(resize_matrix(12, Fraction(1, 3)) - resize_matrix(12, Fraction(1, 3), antialias=False)).max() > 0.1
    np.testing.assert_array_equal(resize_matrix(12, 3), resize_matrix(12, 3, antialias=False))


def test_upscale_and_downscale_take_every_depth():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    deep = image.astype(np.uint16) * 257  # the same values of [0, 1]
    for function in (bicubic_upscale, bicubic_downscale):
        expected = function(image / 255.0, 2)
        np.testing.assert_allclose(function(image, 2), expected, rtol=0, atol=1e-15)
        np.testing.assert_allclose(function(deep, 2), expected, rtol=0, atol=1e-15)
    assert bicubic_upscale(image, 3).shape == (24, 36, 3)
    assert bicubic_downscale(image, 4).shape == (2, 3, 3)
    assert bicubic_upscale(image, 2).max() > 1  # overshoot stays


def test_matrices_are_cached_and_read_only():
    matrix = resize_matrix(6, 2)
    assert resize_matrix(6, Fraction(2)) is matrix
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize_matrix(0, 2), "size 0"),
        (lambda: resize_matrix(4, Fraction(0)), "factor 0"),
        (lambda: resize_matrix(4, 2, kernel="lanczos"), "kernel 'lanczos'"),
        (lambda: resize_matrix(4, 2, edge="wrap"), "edge 'wrap'"),
        (lambda: resize(np.zeros((4, 4)), 2), r"shape \(4, 4\)"),
        (lambda: to_unit(np.zeros((4, 4, 3), dtype=np.int64)), "dtype int64"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(UsageError, match=message):
        call()
