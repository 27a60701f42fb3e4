"""The score, against PSNR written out; the errors kept, against SR - HR; and that two crops of a pair show the same place."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from search_paddle.config import ProxyConfig
from search_paddle.proxy.validation import bicubic_score, centre, validate, window_places
from shared.data.pack import Pack
from shared.errors import NonFiniteError


def nearest(lr: np.ndarray) -> np.ndarray:
    return lr.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize(("crop", "cut"), [(None, 2), (0, 0), (5, 5)])
def test_scores_are_psnr_of_the_rounded_output(tiny_pack: Path, crop: int | None, cut: int) -> None:
    with Pack(tiny_pack) as pack:
        scores = validate(lambda lr: nearest(lr) * 1.3 + 0.001, pack, ProxyConfig(crop=crop)).psnr_rgb
        assert sorted(scores) == ["pair-1", "pair-3"]
        for name, score in scores.items():
            hr = pack.hr(name)
            sr = np.round(np.clip(nearest(pack.lr(name) / 255) * 1.3 + 0.001, 0, 1) * 255)
            inside = (slice(cut, hr.shape[0] - cut), slice(cut, hr.shape[1] - cut))
            error = np.mean((sr[inside] - hr[inside].astype(float)) ** 2)
            assert abs(score - 10 * np.log10(255**2 / error)) < 1e-9


@pytest.mark.parametrize("side", [1, 4, 7, 8, 23, 24, 25, 28, 99])
def test_both_centre_crops_show_the_same_place(side: int) -> None:
    lr = np.random.default_rng(0).integers(0, 255, (24, 27, 3))
    small, large = centre(lr, nearest(lr), 2, side)
    assert small.shape[:2] == (min(side, 24), min(side, 27))
    assert np.array_equal(nearest(small), large)
    top = (24 - small.shape[0]) // 2
    assert np.array_equal(small[0], lr[top, (27 - small.shape[1]) // 2 :][: small.shape[1]])


def test_an_output_that_is_not_finite_has_no_score(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack, pytest.raises(NonFiniteError, match="pair-1: the output is not finite"):
        validate(lambda lr: nearest(lr) * np.nan, pack, ProxyConfig())


def test_a_perfect_output_scores_a_hundred(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack:
        names = iter(pack.pairs("validation"))
        found = validate(lambda lr: pack.hr(next(names)) / 255, pack, ProxyConfig())
    assert set(found.psnr_rgb.values()) == {100.0}
    assert not found.residuals.any()


def test_bicubic_is_above_nearest(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack:
        score = validate(nearest, pack, ProxyConfig()).score
    assert bicubic_score(tiny_pack, ProxyConfig()) > score + 1


@pytest.mark.parametrize(("patch", "side"), [(None, 16), (14, 16), (8, 12), (3, 2)])
def test_errors_are_those_of_windows_inside_the_crop(tiny_pack: Path, patch: int | None, side: int) -> None:
    """The function paints each pixel with its place, so that an error tells where its window lies."""
    config = ProxyConfig(validation_patch=patch, residual_windows=5)

    def upscale(lr: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[: 2 * lr.shape[0], : 2 * lr.shape[1]]
        return np.stack([rows, columns, rows], axis=2).astype(np.float32)

    with Pack(tiny_pack) as pack:
        names, found = pack.pairs("validation"), validate(upscale, pack, config)
        assert found.residuals.shape == (10, side, side, 3)
        assert found.residuals.dtype == np.int16
        for index, window in enumerate(found.residuals):
            name = names[index // 5]
            _, hr = centre(pack.lr(name), pack.hr(name), 2, patch)
            places = [round(float(window[0, 0, axis]) / 510) for axis in (0, 1)]
            top, left = next(
                (y, x)
                for y, x in itertools.product(*(range(max(0, place), place + 3) for place in places))
                if np.array_equal(window, residual_at(y, x, side, hr))
            )
            assert 2 <= top <= hr.shape[0] - 2 - side
            assert 2 <= left <= hr.shape[1] - 2 - side


def residual_at(top: int, left: int, side: int, hr: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[top : top + side, left : left + side]
    sr = np.stack([rows, columns, rows], axis=2)
    return np.rint((sr - hr[top : top + side, left : left + side].astype(np.float32) / np.float32(255)) * 510)


def test_windows_stay_and_depend_on_the_pack(tiny_pack: Path, other_pack: Path) -> None:
    def places(key: str) -> tuple[tuple[int, int], ...]:
        return window_places((40, 60), crop=4, side=16, count=50, key=key)

    assert places("a") == places("a")
    assert places("a") != places("b")
    assert places("a")[:3] == window_places((40, 60), crop=4, side=16, count=3, key="a")
    tops, lefts = zip(*places("a"), strict=True)
    assert (min(tops), max(tops), min(lefts), max(lefts)) == (4, 20, 4, 40)
    with Pack(tiny_pack) as first, Pack(other_pack) as second:
        a, b = (validate(nearest, pack, ProxyConfig()).residuals for pack in (first, second))
    assert a.shape == b.shape == (16, 16, 16, 3)
    assert not np.array_equal(a, b)


def test_no_windows_are_no_errors(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack:
        found = validate(nearest, pack, ProxyConfig(residual_windows=0))
    assert found.residuals.size == 0
    assert found.score == np.mean(list(found.psnr_rgb.values()))
