import numpy as np
import pytest
from scipy.optimize import minimize

from shared.error_shares import least_error_shares


def covariance(seed: int, count: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(count, count + 2)) + 1.0
    return factor @ factor.T / (count + 2)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_are_the_minimum_that_a_numerical_optimiser_finds(seed, count):
    matrix = covariance(seed, count)
    shares = least_error_shares(matrix)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    found = minimize(
        lambda w: w @ matrix @ w,
        np.full(count, 1 / count),
        jac=lambda w: 2 * matrix @ w,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-14,
    )
    assert shares @ matrix @ shares <= found.fun + 1e-9
    equal = np.full(count, 1 / count)
    assert shares @ matrix @ shares <= equal @ matrix @ equal + 1e-12


def test_a_member_that_only_harms_gets_nothing():
    assert least_error_shares(np.array([[1.0, 1.5], [1.5, 4.0]])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_identical_members_share_equally(value):
    assert least_error_shares(np.full((3, 3), value)) == pytest.approx([1 / 3] * 3)


def test_independent_errors_are_weighted_by_inverse_variance():
    assert least_error_shares(np.diag([1.0, 2.0, 4.0])) == pytest.approx(np.array([4, 2, 1]) / 7)
