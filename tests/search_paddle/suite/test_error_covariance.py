"""Correlations of errors, against plain loops and against samples whose true correlations are known."""

import numpy as np
import pytest

from search_paddle.suite.error_covariance import correlate, error_covariance, error_products


def errors_of(rng: np.random.Generator, correlation: np.ndarray, *, pairs: int, values: int) -> np.ndarray:
    """Errors (n, pairs, values) with a scale of its own for each pair."""
    factor = np.linalg.cholesky(correlation)
    drawn = np.einsum("ij,jpv->ipv", factor, rng.normal(size=(len(factor), pairs, values)))
    return np.rint(40 * drawn * rng.uniform(0.5, 2, pairs)[None, :, None]).astype(np.int16)


TRUE = np.array([[1, 0.9, 0.5], [0.9, 1, 0.6], [0.5, 0.6, 1.0]])


def test_products_are_whole_numbers_and_pairs_stay_apart() -> None:
    residuals = np.random.default_rng(0).integers(-(2**15), 2**15, (3, 4, 5, 5, 3)).astype(np.int16)
    products = error_products(residuals, 2)
    for pair in range(2):
        for i in range(3):
            for j in range(3):
                a, b = (residuals[k, 2 * pair : 2 * pair + 2].ravel().astype(object) for k in (i, j))
                assert products[pair, i, j] == int((a * b).sum())


def test_every_pair_counts_the_same() -> None:
    rng = np.random.default_rng(1)
    residuals = errors_of(rng, TRUE, pairs=6, values=30)
    products = error_products(residuals, 6)
    louder = products * np.array([1.0, 100, 1, 9, 4, 1])[:, None, None]
    assert correlate(louder).values == pytest.approx(correlate(products).values, abs=1e-12)
    scaled = residuals / np.sqrt((residuals.astype(float) ** 2).mean((0, 2)))[None, :, None]
    moments = np.array([[(a * b).mean() for b in scaled] for a in scaled])
    raw = moments / np.sqrt(np.outer(np.diag(moments), np.diag(moments)))
    assert correlate(products).raw == pytest.approx(raw, abs=1e-12)


def test_many_pairs_are_trusted_and_few_are_not() -> None:
    rng = np.random.default_rng(2)
    much = correlate(error_products(errors_of(rng, TRUE, pairs=200, values=200), 200))
    assert much.shrinkage < 0.01
    assert much.values == pytest.approx(TRUE, abs=0.02)
    one = correlate(error_products(errors_of(rng, TRUE, pairs=1, values=200), 1))
    assert one.shrinkage == 1.0
    assert np.ptp(one.values[np.triu_indices(3, 1)]) == 0
    equal = 0.1 * np.eye(8) + 0.9
    shrunk = [correlate(error_products(errors_of(rng, equal, pairs=6, values=30), 6)) for _ in range(20)]
    assert np.mean([each.shrinkage for each in shrunk]) > 0.7
    for each in shrunk:
        assert np.abs(each.values - equal).max() <= np.abs(each.raw - equal).max()
        assert np.linalg.eigvalsh(each.values).min() > 0


def test_the_variance_behind_the_shrinkage_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(3)
    drawn = [correlate(error_products(errors_of(rng, TRUE, pairs=10, values=60), 10)) for _ in range(400)]
    upper = np.triu_indices(3, 1)
    raw = np.array([each.raw[upper] for each in drawn])
    deviations = raw - raw.mean(axis=1, keepdims=True)
    spread = (deviations**2).sum(axis=1)
    estimated = np.mean([each.shrinkage for each in drawn] * spread)
    assert estimated == pytest.approx(deviations.var(axis=0).sum(), rel=0.1)
    assert estimated != pytest.approx(raw.var(axis=0).sum(), rel=0.1)  # what all have in common is no difference


def test_the_covariance_says_the_scores() -> None:
    covariance = error_covariance(TRUE, np.array([30.0, 29.0, 28.0]))
    assert -10 * np.log10(np.diag(covariance)) == pytest.approx([30, 29, 28])
    assert covariance[0, 1] == pytest.approx(0.9 * 10**-2.95)


def test_one_trial_and_equal_trials_have_correlation_one() -> None:
    residuals = np.random.default_rng(4).integers(-50, 50, (1, 6, 4, 4, 3)).astype(np.int16)
    assert correlate(error_products(residuals, 3)).values == pytest.approx(np.ones((1, 1)))
    twice = correlate(error_products(np.repeat(residuals, 2, axis=0), 3))
    assert twice.values == pytest.approx(np.ones((2, 2)))
