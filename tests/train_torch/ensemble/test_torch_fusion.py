"""The fusions: against plain formulas, for images in bands against the whole, and with one member that fails in one place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import generic_filter
from torch import nn

from shared.errors import UsageError
from train_torch.ensemble import upscale
from train_torch.ensemble.fusion import (
    FLOOR,
    KINDS,
    OUTLYING,
    WINDOW,
    disagreement,
    disagreement_picture,
    fused_bands,
    make_fusion,
)
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PassPlan

pytestmark = pytest.mark.torch  # the package imports it


def members(count: int, height: int = 40, width: int = 37, spread: float = 0.01, seed: int = 0) -> np.ndarray:
    """The same random image with independent errors."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 1, (height, width, 3))
    return (truth + rng.normal(0, spread, (count, height, width, 3))).astype(np.float32)


def with_failure(stack: np.ndarray, member: int = 0) -> np.ndarray:
    """One member wrong by a quarter of the range in a square of 16 px."""
    damaged = stack.copy()
    damaged[member, 10:26, 10:26] += 0.25
    return damaged


def by_the_formula(stack: np.ndarray, weights: list[float]) -> np.ndarray:
    """The docstring of `robust_mean`, pixel by pixel."""
    count, height, width, _ = stack.shape
    squares = {
        (i, j): generic_filter(((stack[i].astype(float) - stack[j]) ** 2).mean(-1), np.mean, WINDOW)
        for i in range(count)
        for j in range(count)
    }
    out = np.empty((height, width, 3))
    for y in range(height):
        for x in range(width):
            far = [sorted(squares[i, j][y, x] for j in range(count) if j != i)[(count - 2) // 2] for i in range(count)]
            usual = sorted(far)[(count - 1) // 2]
            trust = [min(1, (OUTLYING**2 * usual + FLOOR**2) / max(d, FLOOR**2)) ** 2 for d in far]
            out[y, x] = np.average(stack[:, y, x], axis=0, weights=np.multiply(trust, weights))
    return out


@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_robust_mean_is_its_formula(count):
    stack = with_failure(members(count, 30, 29))
    weights = list(np.arange(1, count + 1) / (count * (count + 1) / 2))
    fused = make_fusion("robust", weights)(stack)
    assert np.abs(fused - by_the_formula(stack, weights)).max() < 1e-12
    assert np.abs(fused - make_fusion("mean", weights)(stack)).max() > 0.01  # the plain mean is not


@pytest.mark.parametrize("count", [3, 4, 6])
def test_members_that_agree_are_simply_averaged(count):
    stack = members(count)
    weights = [0.5] + [0.5 / (count - 1)] * (count - 1)
    expected = np.average(stack.astype(np.float64), axis=0, weights=weights)
    for kind in KINDS:
        assert np.abs(make_fusion(kind, weights)(stack) - expected).max() < 1e-12
    assert np.abs(make_fusion("robust", weights)(with_failure(stack)) - expected).max() > 1e-3


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("member", [0, 2])
def test_a_member_that_fails_in_one_place_is_left_out_there(count, member):
    stack, equal = members(count), [1.0] * count
    damaged = with_failure(stack, member)
    inside = (slice(15, 21), slice(15, 21))  # where every window lies in the square
    without = np.delete(stack, member, axis=0).mean(0)
    assert np.abs(make_fusion("robust", equal)(damaged) - without)[inside].max() < 0.002
    assert np.abs(make_fusion("mean", equal)(damaged) - without)[inside].max() > 0.25 / count - 0.04


def test_of_two_members_none_can_be_told_bad():
    stack = with_failure(members(2))
    assert np.array_equal(make_fusion("robust", [1, 3])(stack), make_fusion("mean", [1, 3])(stack))


def test_a_member_of_weight_0_changes_nothing():
    stack = with_failure(members(4))
    for kind in KINDS:
        fused = make_fusion(kind, [0, 1, 2, 3])(stack)
        assert np.array_equal(fused, make_fusion(kind, [1, 2, 3])(stack[1:]))


@given(cuts=st.lists(st.integers(1, 39), unique=True, max_size=12), kind=st.sampled_from(sorted(KINDS)))
@settings(max_examples=40, deadline=None)
def test_bands_give_the_bits_of_the_whole(cuts, kind):
    stack, fusion = with_failure(members(3)), make_fusion(kind, [1, 2, 3])
    bands = np.split(stack, sorted(cuts), axis=1)
    rows = list(fused_bands(iter(bands), fusion))
    assert np.array_equal(np.concatenate(rows), fusion(stack))


def test_slabs_give_the_bits_of_the_whole(monkeypatch):
    stack, robust = with_failure(members(3)), make_fusion("robust", [1, 2, 3])
    monkeypatch.setattr("train_torch.ensemble.fusion.SLAB", 5 * stack.shape[2])
    rows = list(fused_bands(iter([stack]), robust))
    assert [len(part) for part in rows] == [5] * 7 + [1] + [4]
    assert np.array_equal(np.concatenate(rows), robust(stack))


def test_bands_fused_without_their_margins_show():
    stack, fusion = with_failure(members(3)), make_fusion("robust", [1, 1, 1])
    bands = np.split(stack, [16, 20, 24], axis=1)
    assert np.abs(np.concatenate([fusion(band) for band in bands]) - fusion(stack)).max() > 1e-3


def test_no_band_no_rows():
    assert list(fused_bands(iter([]), make_fusion("robust", [1, 1, 1]))) == []


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 2, 5]])
def test_disagreement_is_the_weighted_deviation(weights):
    stack = members(3)
    normalised = np.divide(weights, sum(weights))
    mean = np.tensordot(normalised, stack.astype(np.float64), 1)
    expected = np.sqrt(np.tensordot(normalised, ((stack - mean) ** 2).mean(-1), 1))
    assert np.abs(disagreement(stack, weights) - expected).max() < 1e-6
    assert disagreement(stack, weights).dtype == np.float32
    assert disagreement(stack[[1, 1, 1]], weights).max() < 1e-15


def test_the_map_is_four_times_the_disagreement_and_grey():
    stack = with_failure(members(3))
    rows = disagreement_picture(stack, [1, 1, 1])
    expected = np.minimum(1, 4 * disagreement(stack, [1, 1, 1]))
    assert all(np.array_equal(rows[..., channel], expected) for channel in range(3))
    assert rows.min() < 0.2
    assert rows[20, 20, 0] > 0.4
    assert (disagreement_picture(with_failure(3 * stack), [1, 1, 1]) <= 1).all()


def test_upscale_fuses_as_told_and_shows_the_members_to_the_watcher():
    lr = np.random.default_rng(0).uniform(0, 1, (20, 9, 3)).astype(np.float32)
    networks = [nn.Upsample(scale_factor=2, mode=mode) for mode in ("nearest", "bilinear", "bicubic")]
    plan = PassPlan(scale=2, patch=8, stride=4)
    seen: list[np.ndarray] = []
    bands = upscale_bands(networks, lr, plan, weights=[2, 0, 1], watch=lambda stack: seen.append(stack.copy()))
    sr = np.concatenate(list(bands))
    stack = np.concatenate(seen, axis=1)
    assert stack.shape == (2, 40, 18, 3)  # the member of weight 0 was not run
    assert np.abs(sr - (2 * stack[0] + stack[1]) / 3).max() < 1e-6
    robust = upscale(networks, lr, 2, patch=8, stride=4, fusion="robust")
    whole = np.stack([upscale([network], lr, 2, patch=8, stride=4) for network in networks])
    assert np.array_equal(robust, make_fusion("robust", [1, 1, 1])(whole).astype(np.float32))
    with pytest.raises(UsageError, match="mean, robust"):
        upscale(networks, lr, 2, fusion="best")


@pytest.mark.parametrize(("kind", "weights"), [("median", [1, 1]), ("mean", [0, 0]), ("robust", [1, -1]), ("mean", [])])
def test_what_is_no_fusion_is_refused(kind, weights):
    with pytest.raises(UsageError):
        make_fusion(kind, weights)
