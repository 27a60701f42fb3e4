"""The covariance of architectures, entry by entry against its formula."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.kernels import (
    CONSTANT_VARIANCE,
    make_kernel,
)
from search_paddle.gp_nas.process.matern import MATERN, SMOOTHNESS, squared_distances
from search_paddle.gp_nas.process.priors import make_priors
from shared.space import SearchSpace

SPACE = SearchSpace.from_families(
    {"drn": {"features": [16, 64], "op": ["x", "y"]}, "rcan": {"features": [32, 64], "groups": [1, 2, 3]}},
    categorical=["op"],
)
SHARED = {16: 0.0, 32: 0.5, 64: 1.0}
OWN = {"drn": {16: 0.0, 64: 1.0}, "rcan": {32: 0.0, 64: 1.0}}


def mode(kernel):
    return make_priors(kernel).mode


def hyperparameters(kernel, values=0.0):
    """All of one value, or drawn: values(size)."""
    size = len(mode(kernel).pack())
    return mode(kernel).unpack(np.full(size, values) if isinstance(values, float) else values(size))


def correlation(r2, smoothness):
    a = np.sqrt(2.0 * smoothness * r2)
    return {0.5: 1.0, 1.5: 1.0 + a, 2.5: 1.0 + a + a**2 / 3.0}[smoothness] * np.exp(-a)


def formula(hyper, smoothness, p, q):
    """k(p, q) written out for SPACE; the hyperparameters by name."""
    trend, power = np.exp([hyper.log_trend, hyper.log_warping])
    shared, drn, rcan = (np.exp(scales.log_outputscale) for scales in hyper.materns)
    (shared_l,), (drn_features, drn_op), (rcan_features, rcan_groups) = (
        np.exp(scales.log_lengthscales) for scales in hyper.materns
    )

    def matern(r2):
        return correlation(r2, smoothness)

    a, b = (SHARED[point["features"]] ** power for point in (p, q))
    total = CONSTANT_VARIANCE + trend * (a - 0.5) * (b - 0.5) + shared * matern((a - b) ** 2 / shared_l**2)
    if p["family"] != q["family"]:
        return total
    a, b = (OWN[p["family"]][point["features"]] ** power for point in (p, q))
    total += trend * (1.0 + (a - 0.5) * (b - 0.5))
    if p["family"] == "drn":
        differs = p["op"] != q["op"]
        total += trend * (not differs)
        return total + drn * matern((a - b) ** 2 / drn_features**2 + differs / drn_op**2)
    c, d = (((point["groups"] - 1) / 2) ** power for point in (p, q))
    total += trend * (c - 0.5) * (d - 0.5)
    return total + rcan * matern((a - b) ** 2 / rcan_features**2 + (c - d) ** 2 / rcan_groups**2)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_every_entry_is_the_formula(smoothness):
    encoding = make_encoding(SPACE)
    kernel, points = make_kernel(encoding, smoothness), list(SPACE.points())
    hyper = hyperparameters(kernel, lambda size: np.random.default_rng(0).uniform(-1, 1, size))
    codes = encoding.codes(range(SPACE.size))
    expected = np.array([[formula(hyper, smoothness, p, q) for q in points] for p in points])
    np.testing.assert_allclose(kernel.covariance(hyper, codes), expected, rtol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(hyper, kernel.embed(hyper, codes)), np.diag(expected), rtol=1e-13)
    wrong = kernel.cross(hyper, kernel.embed(hyper, codes), kernel.embed(hyper, codes[::-1]))
    assert not np.allclose(wrong, expected, rtol=1e-3)


def test_the_covariance_is_positive_semidefinite():
    encoding = make_encoding(SPACE)
    kernel, codes = make_kernel(encoding), encoding.codes(range(SPACE.size))
    for seed in range(5):
        hyper = hyperparameters(kernel, lambda size: np.random.default_rng(seed).uniform(-3, 3, size))  # noqa: B023
        covariance = kernel.covariance(hyper, codes)
        assert np.linalg.eigvalsh(covariance).min() > -1e-10 * covariance.max()


def test_families_share_through_common_dimensions_only():
    encoding = make_encoding(SPACE)
    kernel = make_kernel(encoding)
    hyper = hyperparameters(kernel)
    drn = SPACE.index({"family": "drn", "features": 64, "op": "x"})
    groups = [SPACE.index({"family": "rcan", "features": 64, "groups": count}) for count in (1, 2, 3)]
    one, other, first = (kernel.embed(hyper, encoding.codes(each)) for each in ([drn], groups, groups[:1]))
    across = kernel.cross(hyper, one, other)[0]
    assert across.tolist() == [across[0]] * 3, "a dimension that one of them lacks does not count"
    within = kernel.cross(hyper, first, other)[0]
    assert within[0] > within[1] > within[2]
    assert within[0] > across[0]


def test_ordinals_have_an_order_and_categories_none():
    for categorical, ordered in (((), True), (("a",), False)):
        encoding = make_encoding(SearchSpace.from_choices({"a": [1, 2, 3, 4]}, categorical))
        kernel, codes = make_kernel(encoding), encoding.codes(range(4))
        hyper = hyperparameters(kernel)
        phi = kernel.phi(hyper, codes)
        row = np.round(kernel.covariance(hyper, codes) - phi @ phi.T, 12)[0, 1:]
        assert (len(set(row)) == 3) == ordered


def test_a_single_choice_takes_no_part():
    plain = make_kernel(make_encoding(SearchSpace.from_choices({"a": [1, 2]})))
    padded = make_kernel(make_encoding(SearchSpace.from_choices({"a": [1, 2], "b": [7], "c": ["x"]}, ["c"])))
    assert len(mode(plain).pack()) == len(mode(padded).pack())
    assert padded.linear.names == ("1", "a")


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
@pytest.mark.parametrize("a2", [1e-4, 0.3, 4.0])
def test_the_slope_of_matern_is_its_derivative(a2, smoothness):
    step, at = 1e-4 * a2, np.full(1, a2)
    ends = [MATERN[smoothness](at + sign * step)[0] for sign in (1, -1)]
    value, slope = MATERN[smoothness](at)
    assert (-2.0 * (ends[0] - ends[1]) / (2 * step))[0] == pytest.approx(slope[0], rel=1e-5)
    assert value[0] == pytest.approx(correlation(a2 / (2.0 * smoothness), smoothness), rel=1e-14)
    assert MATERN[smoothness](np.zeros(1))[0] == 1.0


def test_equal_points_are_at_no_distance_and_none_at_less():
    rng = np.random.default_rng(0)
    x = 40.0 * rng.random((50, 8))
    squares = squared_distances(x, x)
    assert not np.diag(squares).any()
    direct = np.sum((x[:, None] - x[None]) ** 2, axis=2)
    np.testing.assert_allclose(squares, direct, rtol=0, atol=1e-14 * 4 * np.max(np.sum(x**2, axis=1)))


def test_one_warping_makes_saturating_effects_straight():
    encoding = make_encoding(SearchSpace.from_choices({"a": list(range(1, 6))}))
    kernel = make_kernel(encoding)
    hyper = replace(hyperparameters(kernel), log_warping=np.log(0.5))
    slopes = kernel.phi(hyper, encoding.codes(range(5)))[:, 1]
    np.testing.assert_allclose(slopes, np.sqrt(np.arange(5) / 4) - 0.5)


def test_the_trend_is_linear_in_positions():
    encoding = make_encoding(SearchSpace.from_choices({"a": [1, 2, 3], "b": [5, 6]}))
    kernel = make_kernel(encoding)
    rows = [[1.0, a - 0.5, b - 0.5] for a, b in itertools.product([0, 0.5, 1], [0, 1])]
    hyper = replace(hyperparameters(kernel), log_trend=np.log(0.3))
    np.testing.assert_allclose(kernel.phi(hyper, encoding.codes(range(6))), rows, atol=1e-15)
    np.testing.assert_allclose(kernel.linear.variances(hyper), [CONSTANT_VARIANCE, 0.3, 0.3])
