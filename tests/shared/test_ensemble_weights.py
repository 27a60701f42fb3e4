import numpy as np
import pytest
from scipy.optimize import minimize

from shared.ensemble_weights import least_error_weights, shrunk_covariance


def covariance(seed: int, count: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(count, count + 2)) + 1.0
    return factor @ factor.T / (count + 2)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_weights_are_the_minimum_that_a_numerical_optimiser_finds(seed, count):
    matrix = covariance(seed, count)
    weights = least_error_weights(matrix)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    found = minimize(
        lambda w: w @ matrix @ w,
        np.full(count, 1 / count),
        jac=lambda w: 2 * matrix @ w,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-14,
    )
    assert weights @ matrix @ weights <= found.fun + 1e-9
    equal = np.full(count, 1 / count)
    assert weights @ matrix @ weights <= equal @ matrix @ equal + 1e-12


def test_a_member_that_only_harms_gets_nothing():
    assert least_error_weights(np.array([[1.0, 1.5], [1.5, 4.0]])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_identical_members_have_equal_weights(value):
    assert least_error_weights(np.full((3, 3), value)) == pytest.approx([1 / 3] * 3)


def test_independent_errors_are_weighted_by_inverse_variance():
    assert least_error_weights(np.diag([1.0, 2.0, 4.0])) == pytest.approx(np.array([4, 2, 1]) / 7)


def pairs(count: int, members: int = 3, samples: int = 40, unlike: float = 0.2, seed: int = 0) -> np.ndarray:
    """Covariances of `count` pairs, each of a few samples of members of unlike errors."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(count, members, samples)) * (1 + unlike * np.arange(members))[:, None] + rng.normal(
        size=(count, 1, samples)
    )
    return errors @ errors.transpose(0, 2, 1) / samples


@pytest.mark.parametrize("members", [2, 3, 5])
def test_what_it_is_drawn_to_is_the_nearest_matrix_that_has_equal_weights(members):
    """Oracle: least squares over all symmetric matrices whose rows have equal sums."""
    matrix = covariance(1, members)
    basis = [np.eye(members)[[i]].T @ np.eye(members)[[j]] for i in range(members) for j in range(i + 1)]
    basis = [part + part.T for part in basis]
    sums = np.stack([part.sum(1) - part.sum(1).mean() for part in basis], axis=1)
    free = np.linalg.svd(sums)[2][np.linalg.matrix_rank(sums) :]  # combinations of the basis with equal row sums
    directions = np.stack([np.tensordot(row, basis, 1).ravel() for row in free], axis=1)
    nearest = directions @ np.linalg.lstsq(directions, matrix.ravel(), rcond=None)[0]
    drawn = shrunk_covariance(matrix[None])
    assert drawn == pytest.approx(nearest.reshape(members, members))
    assert least_error_weights(drawn) == pytest.approx([1 / members] * members)


def test_pairs_that_all_say_the_same_are_believed():
    matrix = covariance(3, 3)
    assert shrunk_covariance(np.stack([matrix] * 4)) == pytest.approx(matrix)
    weights = least_error_weights(shrunk_covariance(np.stack([matrix] * 4), spread=10.0))
    assert weights == pytest.approx([1 / 3] * 3)  # unless elsewhere all may be otherwise


def test_it_stays_positive_semidefinite_and_between():
    for seed in range(20):
        many = pairs(5, seed=seed)
        drawn = shrunk_covariance(many, spread=0.05)
        assert np.linalg.eigvalsh(drawn).min() > 0
        raw, equal = least_error_weights(many.mean(0)), np.full(3, 1 / 3)
        assert np.linalg.norm(least_error_weights(drawn) - equal) <= np.linalg.norm(raw - equal) + 1e-9


def test_an_error_common_to_all_members_changes_nothing():
    many = pairs(6)
    common = np.random.default_rng(1).uniform(0, 9, (6, 1, 1))
    assert least_error_weights(shrunk_covariance(many + common)) == pytest.approx(
        least_error_weights(shrunk_covariance(many)), abs=1e-6
    )


@pytest.mark.parametrize(("unlike", "of_raw", "of_equal"), [(0.1, 0.5, 3.0), (0.2, 0.8, 1.1), (0.4, 1.2, 0.5)])
def test_drawn_to_equal_is_never_far_from_the_better_of_raw_and_equal(unlike, of_raw, of_equal):
    """Mean squared error of weights of five pairs over 200 draws, against the weights of 20,000 pairs."""
    best = least_error_weights(pairs(20000, samples=12, unlike=unlike, seed=999).mean(0))
    draws = [pairs(5, samples=12, unlike=unlike, seed=seed) for seed in range(200)]

    def error(weights: list[np.ndarray]) -> float:
        return float(np.mean([(part - best) @ (part - best) for part in weights]))

    drawn = error([least_error_weights(shrunk_covariance(many)) for many in draws])
    raw, equal = error([least_error_weights(many.mean(0)) for many in draws]), error([np.full(3, 1 / 3)])
    assert drawn < of_raw * raw
    assert drawn < of_equal * equal
