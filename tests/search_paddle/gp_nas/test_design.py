"""Mutual-information design against its definition by log determinants."""

import itertools

import numpy as np
import pytest

from search_paddle.gp_nas.design import gains
from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.priors import make_priors
from shared.space import SearchSpace

NOISE = 0.02


def prior_covariance(space):
    encoding = make_encoding(space)
    kernel = make_kernel(encoding)
    codes = encoding.codes(range(space.size))
    return kernel.covariance(make_priors(kernel).mode, codes)


def information(noisy, chosen):
    """I(y_A; y_rest) = (log det C_A + log det C_rest - log det C) / 2."""
    rest = np.setdiff1d(np.arange(len(noisy)), chosen)
    parts = [noisy[np.ix_(rows, rows)] for rows in (np.array(chosen, dtype=int), rest)]
    return 0.5 * (sum(np.linalg.slogdet(part)[1] for part in parts) - np.linalg.slogdet(noisy)[1])


def first(covariance, chosen):
    """The covariance with the chosen points moved to the front, and where each row came from."""
    order = [*chosen, *(row for row in range(len(covariance)) if row not in chosen)]
    return covariance[np.ix_(order, order)], order


@pytest.mark.parametrize("chosen", [[], [4], [0, 8, 3]])
def test_the_criterion_is_the_gain_of_information(chosen):
    covariance = prior_covariance(SearchSpace.from_choices({"a": [1, 2, 3], "b": [1, 2, 3]}))
    noisy = covariance + NOISE * np.eye(9)
    moved, order = first(covariance, chosen)
    values = gains(moved, len(chosen), NOISE)
    assert np.all(values[: len(chosen)] == -np.inf)
    for row, value in list(zip(order, values, strict=True))[len(chosen) :]:
        gained = information(noisy, [*chosen, row]) - information(noisy, chosen)
        assert abs(0.5 * value - gained) < 1e-9
        entropy_only = 0.5 * np.log(noisy[row, row])
        assert abs(entropy_only - gained) > 1e-3


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace.from_choices({"a": [1, 2, 3, 4], "b": [1, 2]}),
        SearchSpace.from_choices({"a": [1, 2, 3, 4, 5], "b": ["x", "y"]}, categorical=["b"]),
        SearchSpace.from_families({"drn": {"a": [1, 2, 3], "b": [1, 2]}, "rcan": {"a": [1, 2, 3]}}),
    ],
)
def test_greedy_choice_is_near_the_best_of_all(space):
    covariance = prior_covariance(space)
    noisy = covariance + NOISE * np.eye(space.size)
    chosen = []
    for count in (1, 2, 3):
        moved, order = first(covariance, chosen)
        chosen.append(order[int(np.argmax(gains(moved, len(chosen), NOISE)))])
        everything = [information(noisy, list(rows)) for rows in itertools.combinations(range(space.size), count)]
        best, reached = max(everything), information(noisy, chosen)
        assert reached >= (1.0 - 1.0 / np.e) * best
        assert reached >= np.quantile(everything, 0.75) - 1e-9
        if count == 1:
            assert abs(reached - best) < 1e-12


def test_it_avoids_the_rim_that_the_largest_variance_takes():
    covariance = prior_covariance(SearchSpace.from_choices({"a": list(range(9))}))
    assert 1 <= np.argmax(gains(covariance, 0, NOISE)) <= 7
    assert np.argmax(np.diag(covariance)) in (0, 8)
