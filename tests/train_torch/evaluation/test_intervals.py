"""The paired interval against SciPy's paired test, and how often it holds the truth."""

import numpy as np
import pytest
from scipy import stats

from shared.records.ablation import BicubicScores, Ensemble, TableRow
from shared.records.scores import ImageScores
from train_torch.evaluation.intervals import compare, gain_interval


@pytest.mark.parametrize("count", [2, 3, 8, 35])
def test_it_is_that_of_the_paired_t_test(count):
    a, b = np.random.default_rng(count).normal(30, 3, (2, count))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert gain_interval(a - b) == pytest.approx((expected.low, expected.high))


def test_control_the_normal_quantile_is_seen():
    gains = np.random.default_rng(0).normal(0.1, 0.05, 4)
    half = stats.norm.ppf(0.975) * gains.std(ddof=1) / 2
    assert gain_interval(gains) != pytest.approx((gains.mean() - half, gains.mean() + half), rel=0.1)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_95_of_100_intervals_of_few_images_hold_the_truth(count):
    draws = np.random.default_rng(count).normal(0.1, 0.05, (2000, count))
    held = np.mean([low <= 0.1 <= high for low, high in map(gain_interval, draws)])
    assert 0.935 <= held <= 0.965  # 0.95 and three standard errors


def test_equal_or_few_gains():
    assert gain_interval(np.array([0.25, 0.25])) == (0.25, 0.25)
    assert gain_interval(np.array([0.2])) is None


def row(members, levels, *scores):
    images = tuple(ImageScores(name=str(index), psnr_rgb=score, psnr_y=-score) for index, score in enumerate(scores))
    mean = float(np.mean(scores))
    return TableRow(members=tuple(members), levels=tuple(levels), psnr_rgb=mean, psnr_y=-mean, images=images)


def test_the_comparisons_that_are_made():
    both = ["self_ensemble", "patch_ensemble"]
    rows = [row(["a"], both, 1.0, 2.0), row(["b"], both, 2.0, 2.0), row(["a", "b"], both, 3.0, 4.0)]
    rows.append(row(["a", "b"], ["patch_ensemble"], 3.0, 3.0))
    rows += [row(["a"], [], 0.0, 1.0), row(["b"], [], 1.0, 1.0)]
    bicubic = BicubicScores(images=row([], [], 0.0, 1.0).images)
    found = compare(rows, bicubic, suite=["a", "b"])
    asked = [(entry.metric, list(entry.b.members), list(entry.b.levels), entry.gain) for entry in found]
    assert asked == [
        ("psnr_rgb", [], [], 3.0),
        ("psnr_rgb", ["b"], both, 1.5),  # the best by RGB
        ("psnr_rgb", ["a", "b"], ["patch_ensemble"], 0.5),
        ("psnr_rgb", ["b"], [], 2.5),  # the best network in one plain pass
        ("psnr_y", [], [], -3.0),
        ("psnr_y", ["a"], both, -2.0),  # the best by Y, which is another
        ("psnr_y", ["a", "b"], ["patch_ensemble"], -0.5),
        ("psnr_y", ["a"], [], -3.0),
    ]
    assert all(entry.a == Ensemble(members=("a", "b"), levels=tuple(both)) for entry in found)
    assert {entry.interval for entry in found} == {"paired Student t over images"}
