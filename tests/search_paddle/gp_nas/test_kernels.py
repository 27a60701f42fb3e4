"""The covariance of architectures, entry by entry against its formula."""

import itertools

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.kernels import CONSTANT_VARIANCE, TREND, make_kernel, matern52
from shared.space import SearchSpace

SPACE = SearchSpace.from_families(
    {"drn": {"features": [16, 64], "op": ["x", "y"]}, "rcan": {"features": [32, 64], "groups": [1, 2, 3]}},
    categorical=["op"],
)
SHARED = {16: 0.0, 32: 0.5, 64: 1.0}
OWN = {"drn": {16: 0.0, 64: 1.0}, "rcan": {32: 0.0, 64: 1.0}}


def correlation(r2):
    a = np.sqrt(5.0 * r2)
    return (1.0 + a + 5.0 / 3.0 * r2) * np.exp(-a)


def formula(theta, p, q):
    """k(p, q) written out for SPACE; hyperparameters in the order of the terms."""
    _, trend, shared, shared_l, drn, drn_features, drn_op, rcan, rcan_features, rcan_groups = np.exp(theta)
    a, b = SHARED[p["features"]], SHARED[q["features"]]
    total = CONSTANT_VARIANCE + trend * (a - 0.5) * (b - 0.5) + shared * correlation((a - b) ** 2 / shared_l**2)
    if p["family"] != q["family"]:
        return total
    a, b = (OWN[p["family"]][point["features"]] for point in (p, q))
    total += trend * (1.0 + (a - 0.5) * (b - 0.5))
    if p["family"] == "drn":
        differs = p["op"] != q["op"]
        total += trend * (not differs)
        return total + drn * correlation((a - b) ** 2 / drn_features**2 + differs / drn_op**2)
    c, d = ((point["groups"] - 1) / 2 for point in (p, q))
    total += trend * (c - 0.5) * (d - 0.5)
    return total + rcan * correlation((a - b) ** 2 / rcan_features**2 + (c - d) ** 2 / rcan_groups**2)


def test_every_entry_is_the_formula():
    encoding = make_encoding(SPACE)
    kernel, points = make_kernel(encoding), list(SPACE.points())
    theta = np.random.default_rng(0).uniform(-1, 1, kernel.size)
    codes = encoding.codes(range(SPACE.size))
    expected = np.array([[formula(theta, p, q) for q in points] for p in points])
    np.testing.assert_allclose(kernel.cross(theta, codes, codes), expected, rtol=1e-13)
    np.testing.assert_allclose(kernel.diagonal(theta, codes), np.diag(expected), rtol=1e-13)
    wrong = kernel.cross(theta, codes, codes[::-1])
    assert not np.allclose(wrong, expected, rtol=1e-3)


def test_the_covariance_is_positive_semidefinite():
    encoding = make_encoding(SPACE)
    kernel, codes = make_kernel(encoding), encoding.codes(range(SPACE.size))
    for seed in range(5):
        theta = np.random.default_rng(seed).uniform(-3, 3, kernel.size)
        covariance = kernel.cross(theta, codes, codes)
        assert np.linalg.eigvalsh(covariance).min() > -1e-10 * covariance.max()


def test_families_share_through_common_dimensions_only():
    encoding = make_encoding(SPACE)
    kernel = make_kernel(encoding)
    theta = np.zeros(kernel.size)
    drn = SPACE.index({"family": "drn", "features": 64, "op": "x"})
    groups = [SPACE.index({"family": "rcan", "features": 64, "groups": count}) for count in (1, 2, 3)]
    across = kernel.cross(theta, encoding.codes([drn]), encoding.codes(groups))[0]
    assert across.tolist() == [across[0]] * 3, "a dimension that one of them lacks does not count"
    within = kernel.cross(theta, encoding.codes(groups[:1]), encoding.codes(groups))[0]
    assert within[0] > within[1] > within[2]
    assert within[0] > across[0]


def test_ordinals_have_an_order_and_categories_none():
    for categorical, ordered in (((), True), (("a",), False)):
        encoding = make_encoding(SearchSpace.from_choices({"a": [1, 2, 3, 4]}, categorical))
        kernel, codes = make_kernel(encoding), encoding.codes(range(4))
        row = kernel.deviation(np.zeros(kernel.size), codes, codes)[0, 1:]
        assert (len(set(row)) == 3) == ordered


def test_a_single_choice_takes_no_part():
    plain = make_kernel(make_encoding(SearchSpace.from_choices({"a": [1, 2]})))
    padded = make_kernel(make_encoding(SearchSpace.from_choices({"a": [1, 2], "b": [7], "c": ["x"]}, ["c"])))
    assert plain.size == padded.size
    assert [feature.name for feature in padded.features] == ["1", "a"]


@pytest.mark.parametrize("r2", [1e-4, 0.3, 4.0])
def test_the_slope_of_matern_is_its_derivative(r2):
    step = min(0.1 * r2, 1e-4)
    ends = [matern52(np.array(r2 + sign * step))[0] for sign in (1, -1)]
    assert abs(-2.0 * (ends[0] - ends[1]) / (2 * step) - matern52(np.array(r2))[1]) < 1e-5
    assert [float(part) for part in matern52(np.zeros(()))] == [1.0, 5.0 / 3.0]


def test_the_trend_is_linear_in_positions():
    encoding = make_encoding(SearchSpace.from_choices({"a": [1, 2, 3], "b": [5, 6]}))
    kernel = make_kernel(encoding)
    rows = [[1.0, a - 0.5, b - 0.5] for a, b in itertools.product([0, 0.5, 1], [0, 1])]
    assert kernel.phi(encoding.codes(range(6))).tolist() == rows
    theta = np.zeros(kernel.size)
    theta[TREND] = np.log(0.3)
    np.testing.assert_allclose(kernel.trend_variances(theta), [CONSTANT_VARIANCE, 0.3, 0.3])
