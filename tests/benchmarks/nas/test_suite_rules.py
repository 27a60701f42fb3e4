"""The rules that are compared with the one in use, against plain loops and drawn samples."""

import itertools

import numpy as np
import pytest

from benchmarks.nas.suite_rules import at_most, equal, least_error, reliability
from shared.ensemble_weights import least_error_weights


def drawn(seed: int, count: int = 7, pairs: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of errors and PSNR."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=400) + rng.uniform(0.1, 0.6, (count, 1)) * rng.normal(size=(count, 400))
    return np.corrcoef(errors), 30 + 0.3 * rng.normal(size=(count, 1)) + rng.normal(size=(1, pairs))


@pytest.mark.parametrize("seed", range(3))
def test_rules_choose_the_least_of_what_they_minimise(seed: int) -> None:
    correlation, psnr = drawn(seed)
    deviations = 10 ** (-psnr.mean(axis=1) / 20)
    matrix = correlation * np.outer(deviations, deviations)
    suites = {size: list(itertools.combinations(range(7), size)) for size in (1, 2, 3)}
    means = {places: matrix[np.ix_(places, places)].mean() for size in suites for places in suites[size]}
    assert tuple(sorted(equal(correlation, psnr, size=3)[0])) == min(suites[3], key=means.__getitem__)
    assert tuple(sorted(at_most(correlation, psnr)[0])) == min(means, key=means.__getitem__)
    errors = []
    for places in means:
        part = matrix[np.ix_(places, places)]
        shares = least_error_weights(part)
        errors.append(float(shares @ part @ shares))
    members, shares = least_error(correlation, psnr, sizes=(1, 2, 3))
    assert shares @ matrix[np.ix_(members, members)] @ shares == pytest.approx(min(errors), rel=1e-6)


def test_reliability_is_the_part_of_the_spread_that_is_no_noise() -> None:
    rng = np.random.default_rng(0)
    true, noise = rng.normal(size=(400, 1)), rng.normal(size=(400, 9))
    pairs = 5 * rng.normal(size=(1, 9))  # what all have in common is no noise
    assert reliability(true + 3 * noise + pairs) == pytest.approx(0.5, abs=0.1)  # 9 / 9 pairs against 1
    assert reliability(3 * noise + pairs) < 0.15
    assert reliability(true + 0.01 * noise + pairs) > 0.99
