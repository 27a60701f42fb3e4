"""The process against scikit-learn, finite differences and its own definition."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.factor import factorise
from search_paddle.gp_nas.gp import Observations, make_posterior
from search_paddle.gp_nas.kernels import BEND, CONSTANT_VARIANCE, FIRST, NOISE, SMOOTHNESS, TREND, make_kernel
from search_paddle.gp_nas.likelihood import Density, Likelihood, fit
from search_paddle.gp_nas.priors import make_priors
from shared.space import SearchSpace

FLAT = SearchSpace.from_choices({"a": [1, 2, 4, 8], "b": [0, 1, 2], "c": list(range(6))})
CONDITIONAL = SearchSpace.from_families(
    {
        "drn": {"features": [16, 32, 64], "stages": [1, 2, 3], "op": ["x", "y"]},
        "rcan": {"features": [32, 64, 128], "groups": [1, 2]},
        "one": {"features": [64]},
    },
    categorical=["op"],
)


def observations(space, count, seed):
    rng = np.random.default_rng(seed)
    codes = make_encoding(space).codes(rng.permutation(space.size)[:count].tolist())
    repeats = rng.integers(1, 4, count).astype(float)
    return Observations(codes=codes, values=rng.standard_normal(count), repeats=repeats, short=np.zeros(count))


def exact(observed):
    """The same with equal noise, as scikit-learn has it."""
    ones = np.ones(len(observed.values))
    return Observations(codes=observed.codes, values=observed.values, repeats=ones, short=0.0 * ones)


def hyperparameters(kernel, seed):
    return np.random.default_rng(seed).uniform(-1.0, 0.5, kernel.size)


def scikit_learn(theta, smoothness, slack=0.0):
    """The flat kernel in scikit-learn's terms, on bent positions less a half."""
    scales = np.exp(theta)
    trend = ConstantKernel(scales[TREND]) * DotProduct(sigma_0=np.sqrt(CONSTANT_VARIANCE / scales[TREND]))
    matern = ConstantKernel(scales[FIRST] * (1.0 + slack)) * Matern(length_scale=scales[FIRST + 1 :], nu=smoothness)
    return GaussianProcessRegressor(trend + matern + WhiteKernel(scales[NOISE]), alpha=0.0, optimizer=None)


def positions(codes, theta):
    return (codes[:, 1:] / np.array([3.0, 2.0, 5.0])) ** np.exp(theta[BEND]) - 0.5


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
@pytest.mark.parametrize("seed", range(3))
def test_posterior_and_likelihood_equal_scikit_learn(seed, smoothness):
    kernel = make_kernel(make_encoding(FLAT), smoothness)
    theta, observed, new = (
        hyperparameters(kernel, seed),
        exact(observations(FLAT, 25, seed)),
        observations(FLAT, 40, seed + 99),
    )
    old, held = positions(observed.codes, theta), positions(new.codes, theta)
    oracle = scikit_learn(theta, smoothness).fit(old, observed.values)
    wrong = scikit_learn(theta, smoothness, slack=1e-5).fit(old, observed.values)
    mean, std = oracle.predict(held, return_std=True)  # its std includes the noise
    posterior = make_posterior(kernel, theta, observed)
    ours, variance = posterior.predict(new.codes)
    value, _ = Likelihood(kernel, observed)(theta)

    tolerance = 1e-6 if smoothness == 0.5 else 1e-10  # the roughest one turns a distance of 1e-14 into 1e-7

    def compare(mean, std, likelihood):
        np.testing.assert_allclose(ours, mean, rtol=0, atol=tolerance)
        np.testing.assert_allclose(np.sqrt(variance + posterior.noise), std, rtol=0, atol=tolerance)
        assert abs(value - likelihood) < 1e-10
        assert abs(posterior.log_likelihood() - likelihood) < 1e-10

    compare(mean, std, oracle.log_marginal_likelihood_value_)
    with pytest.raises(AssertionError):
        compare(*wrong.predict(held, return_std=True), wrong.log_marginal_likelihood_value_)


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
@pytest.mark.parametrize("smoothness", SMOOTHNESS)
@pytest.mark.parametrize("seed", range(2))
def test_the_gradient_is_exact(space, smoothness, seed):
    kernel = make_kernel(make_encoding(space), smoothness)
    theta, likelihood = hyperparameters(kernel, seed), Likelihood(kernel, observations(space, 25, seed))
    step = 1e-5
    numeric = [
        (likelihood(theta + step * axis)[0] - likelihood(theta - step * axis)[0]) / (2 * step)
        for axis in np.eye(kernel.size)
    ]
    gradient = likelihood(theta)[1]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)
    for place in range(kernel.size):  # the comparison sees a wrong sign in any place
        flipped = gradient.copy()
        flipped[place] *= -1.0
        assert gradient[place] != 0
        assert not np.allclose(flipped, numeric, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_the_prior_is_exact():
    priors = make_priors(make_kernel(make_encoding(CONDITIONAL)))
    theta = priors.location + np.linspace(-1, 1, len(priors.location))
    numeric = approx_fprime(theta, lambda at: priors.log_density(at)[0], 1e-7)
    np.testing.assert_allclose(priors.log_density(theta)[1], numeric, atol=1e-5)
    for start in priors.starts():
        assert np.all((priors.low < start) & (start < priors.high))


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
def test_the_likelihood_uses_the_covariance_of_the_posterior(space):
    kernel = make_kernel(make_encoding(space))
    theta, observed = hyperparameters(kernel, 0), observations(space, 12, 0)
    covariance = kernel.covariance(theta, observed.codes) + observed.noise(kernel, theta)
    quadratic = observed.values @ np.linalg.solve(covariance, observed.values)
    direct = -0.5 * (quadratic + np.linalg.slogdet(2.0 * np.pi * covariance)[1])
    assert abs(Likelihood(kernel, observed)(theta)[0] - direct) < 1e-10
    np.testing.assert_allclose(
        np.diag(kernel.covariance(theta, observed.codes)), kernel.diagonal(theta, kernel.embed(theta, observed.codes))
    )


def test_believing_keeps_every_mean_and_equals_conditioning_on_it():
    kernel = make_kernel(make_encoding(CONDITIONAL))
    theta, observed = hyperparameters(kernel, 1), observations(CONDITIONAL, 12, 1)
    everything = make_encoding(CONDITIONAL).codes(range(CONDITIONAL.size))
    before = make_posterior(kernel, theta, observed)
    pending = everything[[0, 7, 20]]
    after = before.believing(pending)
    afresh = make_posterior(kernel, theta, after.observations)
    (mean, variance), (old_mean, old_variance) = after.predict(everything), before.predict(everything)
    np.testing.assert_allclose(mean, old_mean, rtol=0, atol=1e-10)
    assert np.all(variance <= old_variance + 1e-12)
    assert variance[0] < 0.9 * old_variance[0]
    for ours, direct in zip((mean, variance), afresh.predict(everything), strict=True):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-10)
    assert before.believing(pending[:0]) is before


def test_the_worth_of_a_point_is_its_mean_if_a_share_of_the_noise_is_its_own():
    """Against the process with that share in the kernel; with none of it, the posterior mean, with all, the score itself."""
    kernel = make_kernel(make_encoding(FLAT))
    theta, observed = hyperparameters(kernel, 4), exact(observations(FLAT, 15, 4))
    posterior = make_posterior(kernel, theta, observed)
    signal, noise = kernel.covariance(theta, observed.codes), posterior.noise * np.eye(15)
    for own in (0.0, 0.3, 1.0):
        direct = (signal + own * noise) @ np.linalg.solve(signal + noise, observed.values)
        np.testing.assert_allclose(posterior.worth(own), direct, rtol=0, atol=1e-10)
    np.testing.assert_allclose(posterior.worth(0.0), posterior.mean(observed.codes), rtol=0, atol=1e-10)
    assert not np.allclose(posterior.worth(0.3), posterior.worth(0.0), atol=1e-3)


def test_leave_one_out_equals_leaving_one_out():
    kernel = make_kernel(make_encoding(FLAT))
    theta, observed = hyperparameters(kernel, 2), observations(FLAT, 10, 2)
    means, variances = make_posterior(kernel, theta, observed).leave_one_out()
    for left in range(10):
        keep = np.arange(10) != left
        parts = {name: getattr(observed, name)[keep] for name in ("codes", "values", "repeats", "short")}
        mean, variance = make_posterior(kernel, theta, Observations(**parts)).predict(observed.codes[[left]])
        assert abs(mean[0] - means[left]) < 1e-10
        assert abs(variance[0] + observed.noise(kernel, theta)[left, left] - variances[left]) < 1e-10


def test_without_observations_the_posterior_is_the_prior():
    encoding = make_encoding(CONDITIONAL)
    kernel = make_kernel(encoding)
    none = Observations(codes=encoding.codes([]), values=np.zeros(0), repeats=np.zeros(0), short=np.zeros(0))
    theta, codes = make_priors(kernel).location, encoding.codes(range(CONDITIONAL.size))
    prior = make_posterior(kernel, theta, none)
    mean, variance = prior.predict(codes)
    assert not mean.any()
    np.testing.assert_allclose(variance, kernel.diagonal(theta, kernel.embed(theta, codes)))
    assert prior.log_likelihood() == 0.0


def test_the_fit_finds_a_better_place_than_where_it_starts_and_what_made_the_data():
    encoding = make_encoding(FLAT)
    kernel, rng = make_kernel(encoding), np.random.default_rng(0)
    priors, codes = make_priors(kernel), encoding.codes(rng.permutation(FLAT.size)[:60].tolist())
    truth = priors.location.copy()
    truth[NOISE], truth[FIRST + 1 :] = np.log(0.05), np.log([0.3, 20.0, 1.0])
    covariance = kernel.covariance(truth, codes) + 0.05 * np.eye(60)
    observed = Observations(
        codes=codes, values=factorise(covariance) @ rng.standard_normal(60), repeats=np.ones(60), short=np.zeros(60)
    )
    density = Density(kernel, priors, observed)
    theta = fit(density, priors, priors.starts())
    assert density(theta)[0] > max(density(other)[0] for other in (*priors.starts(), truth))
    assert theta[FIRST + 1] < theta[FIRST + 2], "the dimension that matters has the shorter length-scale"
    inside = (theta > priors.low + 0.01) & (theta < priors.high - 0.01)
    assert np.abs(density(theta)[1][inside]).max() < 0.1


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_an_appended_posterior_equals_a_new_one(space, smoothness):
    """To 1e-9, also where the values of the old points change, as they do when scores are warped anew."""
    encoding, rng = make_encoding(space), np.random.default_rng(5)
    kernel = make_kernel(encoding, smoothness)
    theta, observed = hyperparameters(kernel, 5), observations(space, 20, 5)
    parts = [
        Observations(**{name: getattr(observed, name)[rows] for name in ("codes", "values", "repeats", "short")})
        for rows in (slice(0, 12), slice(12, 20))
    ]
    values, everything = rng.standard_normal(20), encoding.codes(range(space.size))
    warped = Observations(codes=observed.codes, values=values, repeats=observed.repeats, short=observed.short)
    before = make_posterior(kernel, theta, parts[0])

    def compare(grown, whole):
        for ours, direct in zip(grown.predict(everything), whole.predict(everything), strict=True):
            np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-9)
        np.testing.assert_allclose(grown.mean(everything), whole.mean(everything), rtol=0, atol=1e-9)
        assert abs(grown.log_likelihood() - whole.log_likelihood()) < 1e-9

    compare(before.appended(parts[1]), make_posterior(kernel, theta, observed))
    compare(before.appended(parts[1], values), make_posterior(kernel, theta, warped))
    with pytest.raises(AssertionError):
        compare(before.appended(parts[1]), make_posterior(kernel, theta, warped))
    untouched = make_posterior(kernel, theta, parts[0])
    assert np.array_equal(before.predict(everything)[0], untouched.predict(everything)[0])


def test_the_precision_is_that_of_second_differences():
    encoding = make_encoding(FLAT)
    kernel = make_kernel(encoding)
    density, theta = Density(kernel, make_priors(kernel), observations(FLAT, 20, 3)), hyperparameters(kernel, 3)
    precision, step = density.precision(theta), 1e-3
    for place, axis in enumerate(np.eye(kernel.size)):
        ends = density(theta + step * axis)[0] + density(theta - step * axis)[0] - 2.0 * density(theta)[0]
        assert precision[place, place] == pytest.approx(-ends / step**2, rel=0.02, abs=0.02)
    assert np.array_equal(precision, precision.T)
