"""The process against scikit-learn, finite differences and its own definition."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations, noise
from search_paddle.gp_nas.process.kernels import CONSTANT_VARIANCE, make_kernel
from search_paddle.gp_nas.process.likelihood import Likelihood
from search_paddle.gp_nas.process.matern import SMOOTHNESS
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.process.priors import make_priors
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
    return Observations(codes=codes, values=rng.standard_normal(count), repeats=repeats, gap=np.zeros(count))


def exact(observed):
    """The same with equal noise, as scikit-learn has it."""
    ones = np.ones(len(observed.values))
    return Observations(codes=observed.codes, values=observed.values, repeats=ones, gap=0.0 * ones)


def hyperparameters(kernel, seed):
    mode = make_priors(kernel).mode
    return mode.unpack(np.random.default_rng(seed).uniform(-1.0, 0.5, len(mode.pack())))


def scikit_learn(hyper, smoothness, slack=0.0):
    """The flat kernel in scikit-learn's terms, on warped positions less a half."""
    (scales,), variance = hyper.materns, np.exp(hyper.log_trend)
    trend = ConstantKernel(variance) * DotProduct(sigma_0=np.sqrt(CONSTANT_VARIANCE / variance))
    outputscale = np.exp(scales.log_outputscale) * (1.0 + slack)
    matern = ConstantKernel(outputscale) * Matern(length_scale=np.exp(scales.log_lengthscales), nu=smoothness)
    return GaussianProcessRegressor(trend + matern + WhiteKernel(np.exp(hyper.log_noise)), alpha=0.0, optimizer=None)


def positions(codes, hyper):
    return (codes[:, 1:] / np.array([3.0, 2.0, 5.0])) ** np.exp(hyper.log_warping) - 0.5


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
@pytest.mark.parametrize("seed", range(3))
def test_posterior_and_likelihood_equal_scikit_learn(seed, smoothness):
    kernel = make_kernel(make_encoding(FLAT), smoothness)
    hyper, observed, new = (
        hyperparameters(kernel, seed),
        exact(observations(FLAT, 25, seed)),
        observations(FLAT, 40, seed + 99),
    )
    old, held = positions(observed.codes, hyper), positions(new.codes, hyper)
    oracle = scikit_learn(hyper, smoothness).fit(old, observed.values)
    wrong = scikit_learn(hyper, smoothness, slack=1e-5).fit(old, observed.values)
    mean, std = oracle.predict(held, return_std=True)  # its std includes the noise
    posterior = make_posterior(kernel, hyper, observed)
    ours, variance = posterior.predict(new.codes)
    value, _ = Likelihood(kernel, observed)(hyper)

    tolerance = 1e-6 if smoothness == 0.5 else 1e-10  # the roughest one turns a distance of 1e-14 into 1e-7

    def compare(mean, std, likelihood):
        np.testing.assert_allclose(ours, mean, rtol=0, atol=tolerance)
        np.testing.assert_allclose(np.sqrt(variance + posterior.noise), std, rtol=0, atol=tolerance)
        assert abs(value - likelihood) < 1e-10

    compare(mean, std, oracle.log_marginal_likelihood_value_)
    with pytest.raises(AssertionError):
        compare(*wrong.predict(held, return_std=True), wrong.log_marginal_likelihood_value_)


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
def test_the_likelihood_uses_the_covariance_of_the_posterior(space):
    kernel = make_kernel(make_encoding(space))
    hyper, observed = hyperparameters(kernel, 0), observations(space, 12, 0)
    covariance = kernel.covariance(hyper, observed.codes) + noise(hyper, observed)
    quadratic = observed.values @ np.linalg.solve(covariance, observed.values)
    direct = -0.5 * (quadratic + np.linalg.slogdet(2.0 * np.pi * covariance)[1])
    assert abs(Likelihood(kernel, observed)(hyper)[0] - direct) < 1e-10
    np.testing.assert_allclose(
        np.diag(kernel.covariance(hyper, observed.codes)), kernel.diagonal(hyper, kernel.embed(hyper, observed.codes))
    )


def test_fantasies_keep_every_mean_and_equals_conditioning_on_it():
    kernel = make_kernel(make_encoding(CONDITIONAL))
    hyper, observed = hyperparameters(kernel, 1), observations(CONDITIONAL, 12, 1)
    everything = make_encoding(CONDITIONAL).codes(range(CONDITIONAL.size))
    before = make_posterior(kernel, hyper, observed)
    pending = everything[[0, 7, 20]]
    after = before.fantasized(pending)
    afresh = make_posterior(kernel, hyper, after.observations)
    (mean, variance), (old_mean, old_variance) = after.predict(everything), before.predict(everything)
    np.testing.assert_allclose(mean, old_mean, rtol=0, atol=1e-10)
    assert np.all(variance <= old_variance + 1e-12)
    assert variance[0] < 0.9 * old_variance[0]
    for ours, direct in zip((mean, variance), afresh.predict(everything), strict=True):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-10)
    assert before.fantasized(pending[:0]) is before


def test_the_denoised_mean_of_a_point_keeps_the_part_of_the_noise_that_is_its_own():
    """Against the process with that part in the kernel; with none of it, the posterior mean, with all, the score itself."""
    kernel = make_kernel(make_encoding(FLAT))
    hyper, observed = hyperparameters(kernel, 4), exact(observations(FLAT, 15, 4))
    posterior = make_posterior(kernel, hyper, observed)
    signal, luck = kernel.covariance(hyper, observed.codes), posterior.noise * np.eye(15)
    for own in (0.0, 0.3, 1.0):
        direct = (signal + own * luck) @ np.linalg.solve(signal + luck, observed.values)
        np.testing.assert_allclose(posterior.denoised_mean(own), direct, rtol=0, atol=1e-10)
    np.testing.assert_allclose(posterior.denoised_mean(0.0), posterior.mean(observed.codes), rtol=0, atol=1e-10)
    assert not np.allclose(posterior.denoised_mean(0.3), posterior.denoised_mean(0.0), atol=1e-3)


def test_leave_one_out_equals_leaving_one_out():
    kernel = make_kernel(make_encoding(FLAT))
    hyper, observed = hyperparameters(kernel, 2), observations(FLAT, 10, 2)
    means, variances = make_posterior(kernel, hyper, observed).leave_one_out()
    for left in range(10):
        keep = np.arange(10) != left
        parts = {name: getattr(observed, name)[keep] for name in ("codes", "values", "repeats", "gap")}
        mean, variance = make_posterior(kernel, hyper, Observations(**parts)).predict(observed.codes[[left]])
        assert abs(mean[0] - means[left]) < 1e-10
        assert abs(variance[0] + noise(hyper, observed)[left, left] - variances[left]) < 1e-10


def test_without_observations_the_posterior_is_the_prior():
    encoding = make_encoding(CONDITIONAL)
    kernel = make_kernel(encoding)
    none = Observations(codes=encoding.codes([]), values=np.zeros(0), repeats=np.zeros(0), gap=np.zeros(0))
    hyper, codes = make_priors(kernel).mode, encoding.codes(range(CONDITIONAL.size))
    prior = make_posterior(kernel, hyper, none)
    mean, variance = prior.predict(codes)
    assert not mean.any()
    np.testing.assert_allclose(variance, kernel.diagonal(hyper, kernel.embed(hyper, codes)))


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_an_appended_posterior_equals_a_new_one(space, smoothness):
    """To 1e-9, also where the values of the old points change, as they do when scores are warped again."""
    encoding, rng = make_encoding(space), np.random.default_rng(5)
    kernel = make_kernel(encoding, smoothness)
    hyper, observed = hyperparameters(kernel, 5), observations(space, 20, 5)
    parts = [
        Observations(**{name: getattr(observed, name)[rows] for name in ("codes", "values", "repeats", "gap")})
        for rows in (slice(0, 12), slice(12, 20))
    ]
    values, everything = rng.standard_normal(20), encoding.codes(range(space.size))
    warped = Observations(codes=observed.codes, values=values, repeats=observed.repeats, gap=observed.gap)
    before = make_posterior(kernel, hyper, parts[0])

    def compare(grown, whole):
        for ours, direct in zip(grown.predict(everything), whole.predict(everything), strict=True):
            np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-9)
        np.testing.assert_allclose(grown.mean(everything), whole.mean(everything), rtol=0, atol=1e-9)

    compare(before.appended(parts[1]), make_posterior(kernel, hyper, observed))
    compare(before.appended(parts[1], values), make_posterior(kernel, hyper, warped))
    with pytest.raises(AssertionError):
        compare(before.appended(parts[1]), make_posterior(kernel, hyper, warped))
    untouched = make_posterior(kernel, hyper, parts[0])
    assert np.array_equal(before.predict(everything)[0], untouched.predict(everything)[0])
