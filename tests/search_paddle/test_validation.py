"""The score, against PSNR written out; and that the two crops of a pair show the same place."""

from pathlib import Path

import numpy as np
import pytest

from search_paddle.config import ProxyConfig
from search_paddle.validation import bicubic_score, centre, chosen_pairs, score_pairs
from shared.data.pack import Pack
from shared.errors import NonFiniteError


def nearest(lr: np.ndarray) -> np.ndarray:
    return lr.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize(("crop", "cut"), [(None, 2), (0, 0), (5, 5)])
def test_scores_are_psnr_of_the_rounded_output(tiny_pack: Path, crop: int | None, cut: int) -> None:
    with Pack(tiny_pack) as pack:
        scores = score_pairs(lambda lr: nearest(lr) * 1.3 + 0.001, pack, ProxyConfig(crop=crop))
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


def test_pairs_are_chosen_evenly() -> None:
    names = tuple("abcdefghij")
    assert chosen_pairs(names, 3) == ("a", "d", "g")
    assert chosen_pairs(names, 10) == chosen_pairs(names, 11) == chosen_pairs(names, None) == names


def test_an_output_that_is_not_finite_has_no_score(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack, pytest.raises(NonFiniteError, match="pair-1: the output is not finite"):
        score_pairs(lambda lr: nearest(lr) * np.nan, pack, ProxyConfig())


def test_a_perfect_output_scores_a_hundred(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack:
        names = iter(pack.pairs("validation"))
        scores = score_pairs(lambda lr: pack.hr(next(names)) / 255, pack, ProxyConfig())
    assert set(scores.values()) == {100.0}


def test_bicubic_is_above_nearest(tiny_pack: Path) -> None:
    with Pack(tiny_pack) as pack:
        scores = score_pairs(nearest, pack, ProxyConfig())
    assert bicubic_score(tiny_pack, ProxyConfig()) > np.mean(list(scores.values())) + 1
