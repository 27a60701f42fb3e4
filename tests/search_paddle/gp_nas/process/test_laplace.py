"""Evidence and draws against plain Monte Carlo over the prior."""

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.laplace import apportion, approximate, draw, find_mode
from search_paddle.gp_nas.process.likelihood import Likelihood
from search_paddle.gp_nas.process.priors import make_priors
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(9))})
KERNEL = make_kernel(make_encoding(SPACE))
PLACES = np.array([0, 1, 3, 4, 6, 8])


def observed(values):
    codes, ones = make_encoding(SPACE).codes(PLACES.tolist()), np.ones(len(PLACES))
    return Observations(codes=codes, values=np.array(values), repeats=ones, gap=0.0 * ones)


@pytest.fixture(scope="module")
def noisy():
    values = np.sqrt(PLACES / 8.0) + 0.2 * np.random.default_rng(3).standard_normal(len(PLACES))
    return observed((values - values.mean()) / values.std())


@pytest.fixture(scope="module")
def by_monte_carlo(noisy):
    """Hyperparameters drawn from the prior, and the likelihood of each."""
    priors, likelihood = make_priors(KERNEL), Likelihood(KERNEL, noisy)
    thetas = priors.location + priors.spread * np.random.default_rng(0).standard_normal((6000, len(priors.location)))
    thetas = np.clip(thetas, priors.low, priors.high)
    return thetas, np.exp([likelihood(priors.mode.unpack(theta))[0] for theta in thetas])


def test_the_evidence_is_the_mean_likelihood_over_the_prior(noisy, by_monte_carlo):
    _, likelihoods = by_monte_carlo
    model = approximate(find_mode(KERNEL, noisy))
    assert model.evidence == pytest.approx(np.log(likelihoods.mean()), abs=0.3)
    assert abs(model.mode.height - np.log(likelihoods.mean())) > 0.6, "the height of the mode alone is something else"


def test_weighted_draws_have_the_mean_of_the_posterior(noisy, by_monte_carlo):
    thetas, likelihoods = by_monte_carlo
    expected = likelihoods @ thetas / likelihoods.sum()
    spread = np.sqrt(likelihoods @ (thetas - expected) ** 2 / likelihoods.sum())
    hypers, weights = draw(approximate(find_mode(KERNEL, noisy)), 400)
    drawn = np.array([each.pack() for each in hypers])
    assert weights.sum() == pytest.approx(1.0)
    assert weights.max() < 0.1
    assert np.all(np.abs(weights @ drawn - expected) < 0.3 * spread)
    assert not np.all(np.abs(make_priors(KERNEL).location - expected) < 0.8 * spread)


def test_draws_come_in_pairs_and_are_the_same_every_time(noisy):
    model = approximate(find_mode(KERNEL, noisy))
    (first, _), (again, _) = draw(model, 6), draw(model, 6)
    assert np.array_equal([each.pack() for each in first], [each.pack() for each in again])
    np.testing.assert_allclose(first[0].pack() + first[1].pack(), 2.0 * model.mode.theta, atol=2e-3)
    single, weight = draw(model, 1)
    assert np.array_equal(single[0].pack(), model.mode.theta)
    assert weight.tolist() == [1.0]


def test_draws_are_apportioned_by_evidence():
    assert apportion([0.0, np.log(3.0)], 16) == [4, 12]
    assert apportion([0.0, 0.0, 0.0], 16) == [6, 5, 5]
    assert apportion([-1000.0, 5.0], 2) == [0, 2]
    assert apportion([7.0], 5) == [5]
