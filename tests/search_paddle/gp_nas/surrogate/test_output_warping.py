"""Maps of scores: monotone, standardised, and chosen by evidence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from search_paddle.gp_nas.surrogate import output_warping

MAPS = [output_warping.identity, output_warping.normal_scores, output_warping.half_rank]
scores = st.lists(st.integers(-1000, 1000).map(lambda value: value / 8), min_size=5, max_size=40).filter(
    lambda values: len(set(values)) >= 5
)


@pytest.mark.parametrize("make", MAPS)
@settings(max_examples=60, deadline=None)
@given(values=scores)
def test_a_map_is_standardised_strictly_increasing_and_inverted(make, values):
    y = np.array(values)
    made = make(y)
    assert abs(made.values.mean()) < 1e-9
    assert abs(made.values.std() - 1.0) < 1e-9
    np.testing.assert_allclose(made.scores(made.values), y, atol=1e-9 * np.abs(y).max())
    order = np.argsort(y, kind="stable")
    assert np.all((np.diff(y[order]) > 0) == (np.diff(made.values[order]) > 1e-12))
    grid = np.linspace(-50.0, 50.0, 500)
    assert np.all(np.diff(made.scores(grid)) > 0)
    assert np.isfinite(made.scores(grid)).all()


def test_normal_scores_are_quantiles_of_ranks():
    y = np.array([10.0, -3.0, 5.0, 99.0])
    expected = norm.ppf([0.625, 0.125, 0.375, 0.875])
    np.testing.assert_allclose(output_warping.normal_scores(y).values, expected / expected.std(), atol=1e-12)


def test_half_rank_is_straight_above_the_median_and_draws_the_tail_in():
    y = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 9.0, 10.0, 20.0])
    made = output_warping.half_rank(y).values
    slopes = np.diff(made[4:]) / np.diff(y[4:])
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-12)
    broken = np.concatenate([[-1e6], y[1:]])
    np.testing.assert_allclose(output_warping.half_rank(broken).values, made, atol=1e-12)
    assert output_warping.identity(broken).values[1:].std() < 1e-3


@pytest.mark.parametrize("make", [output_warping.normal_scores, output_warping.half_rank])
def test_the_jacobian_agrees_with_the_true_density(make):
    """For normal scores of normal data dz/dy is 1 / std; the estimate is within the error of an entropy of 400 draws."""
    y = 30.0 + 0.7 * np.random.default_rng(0).standard_normal(400)
    made, straight = make(y).log_jacobian / 400, output_warping.identity(y).log_jacobian / 400
    assert straight == pytest.approx(-np.log(y.std()), abs=1e-12)
    assert made == pytest.approx(straight, abs=0.08)
    assert make(10.0 * y).log_jacobian / 400 == pytest.approx(made - np.log(10.0), abs=1e-9)


def test_rounded_scores_have_no_infinite_density():
    fine = np.random.default_rng(1).standard_normal(300)
    coarse = np.round(fine, 1)
    difference = output_warping.normal_scores(coarse).log_jacobian - output_warping.normal_scores(fine).log_jacobian
    assert abs(difference) / 300 < 0.15


@pytest.mark.parametrize("make", MAPS)
def test_the_rise_is_the_slope_beyond_the_best(make):
    made = make(np.random.default_rng(2).gamma(2.0, size=60))
    top = made.values.max() + np.array([1.0, 2.0])
    assert np.diff(made.scores(top))[0] == pytest.approx(made.rise)


def test_few_or_equal_scores_keep_their_unit():
    empty, one, equal = (output_warping.identity(np.array(values)) for values in ([], [31.5], [2.0, 2.0, 2.0]))
    assert empty.scores(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert one.scores(np.array([0.0, 1.0])).tolist() == [31.5, 32.5]
    assert equal.values.tolist() == [0.0, 0.0, 0.0]
    assert equal.scores(np.array([0.0, 1.0])).tolist() == [2.0, 3.0]
    assert [made.name for made in output_warping.warpings(np.array([1.0, 2.0, 3.0]))] == ["identity"]
    assert [made.name for made in output_warping.warpings(np.ones(50))] == ["identity"]
    assert len(output_warping.warpings(np.arange(8.0))) == 3
