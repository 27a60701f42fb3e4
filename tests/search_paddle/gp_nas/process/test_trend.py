"""GP-NAS's posterior of w: two forms, and the integrated process."""

import numpy as np
import pytest

from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations, noise
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.process.priors import make_priors
from search_paddle.gp_nas.process.trend import posterior_of_weights, trend_of
from shared.space import SearchSpace

SPACE = SearchSpace.from_families({"drn": {"a": [1, 2, 4], "b": [1, 2, 3]}, "rcan": {"a": [1, 4, 8], "c": [0, 1]}})


def problem(count, seed=0):
    encoding = make_encoding(SPACE)
    kernel, rng = make_kernel(encoding), np.random.default_rng(seed)
    mode = make_priors(kernel).mode
    hyper = mode.unpack(rng.uniform(-1, 0.5, len(mode.pack())))
    codes = encoding.codes(rng.permutation(SPACE.size)[:count].tolist())
    ones = np.ones(count)
    observed = Observations(codes=codes, values=rng.standard_normal(count), repeats=ones, gap=0 * ones)
    return kernel, hyper, observed, encoding.codes(range(SPACE.size))


def first_form(phi, covariance, values, mean, prior):
    """Equation (1), by plain inverses."""
    precision = np.linalg.inv(prior) + phi.T @ np.linalg.inv(covariance) @ phi
    spread = np.linalg.inv(precision)
    return spread @ (np.linalg.inv(prior) @ mean + phi.T @ np.linalg.inv(covariance) @ values), spread


def paddleslim(phi, covariance, values, mean, prior):
    """PaddleSlim's m_flag 1: it inverts K once too often."""
    inner = np.linalg.inv(np.linalg.inv(covariance) + phi @ prior @ phi.T)
    return mean + prior @ phi.T @ inner @ (values - phi @ mean), prior - prior @ phi.T @ inner @ phi @ prior


@pytest.mark.parametrize("count", [1, 4, 15])
def test_both_forms_agree(count):
    kernel, hyper, observed, _ = problem(count)
    rng = np.random.default_rng(count)
    size = len(kernel.linear.names)
    root = rng.standard_normal((size, size))
    phi, mean, prior = kernel.phi(hyper, observed.codes), rng.standard_normal(size), root @ root.T + np.eye(size)
    known = kernel.embed(hyper, observed.codes)
    covariance = kernel.without_trend(hyper, known, known) + noise(hyper, observed)
    arguments = (phi, covariance, observed.values, mean, prior)

    def compare(form, tolerance):
        for ours, other in zip(posterior_of_weights(*arguments), form(*arguments), strict=True):
            np.testing.assert_allclose(ours, other, rtol=0, atol=tolerance)

    compare(first_form, 1e-9)
    with pytest.raises(AssertionError):
        compare(paddleslim, 1e-3)


@pytest.mark.parametrize("count", [0, 1, 5, 14])
def test_integrating_w_out_equals_predicting_with_its_posterior(count, two_step_prediction):
    kernel, hyper, observed, everything = problem(count, seed=count)
    posterior = make_posterior(kernel, hyper, observed)
    trend = trend_of(posterior)
    old, new = kernel.phi(hyper, observed.codes), kernel.phi(hyper, everything)
    known, held = kernel.embed(hyper, observed.codes), kernel.embed(hyper, everything)
    covariance = kernel.without_trend(hyper, known, known) + noise(hyper, observed)
    cross = kernel.without_trend(hyper, held, known)
    diagonal = np.diag(kernel.without_trend(hyper, held, held))

    def two_steps(spread):
        return two_step_prediction((old, new), (covariance, cross, diagonal), observed.values, (trend.mean, spread))

    for ours, other in zip(posterior.predict(everything), two_steps(trend.covariance), strict=True):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-10)
    with pytest.raises(AssertionError):  # what PaddleSlim leaves out: w is not known exactly
        np.testing.assert_allclose(
            posterior.predict(everything)[1], two_steps(0 * trend.covariance)[1], rtol=0, atol=1e-3
        )


def test_updating_by_new_data_equals_learning_from_all():
    """Today's posterior is tomorrow's prior where the deviations of old and new data are independent."""
    rng = np.random.default_rng(3)
    phi, values = rng.standard_normal((9, 3)), rng.standard_normal(9)
    covariance = np.diag(rng.uniform(0.5, 1.0, 9))
    mean, prior = np.zeros(3), np.eye(3)
    stages = [slice(0, 4), slice(4, 9)]
    gradual = (mean, prior)
    for rows in stages:
        gradual = posterior_of_weights(phi[rows], covariance[rows, rows], values[rows], *gradual)
    for ours, other in zip(gradual, posterior_of_weights(phi, covariance, values, mean, prior), strict=True):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-12)
    again = posterior_of_weights(phi[:4], covariance[:4, :4], values[:4], *gradual)
    assert np.trace(again[1]) < 0.95 * np.trace(gradual[1]), "using data twice makes it too sure"


def test_the_sampler_reports_the_trend_with_names():
    space = SearchSpace.from_choices(
        {"up": list(range(6)), "down": list(range(6)), "op": ["x", "y"]}, categorical=["op"]
    )
    sampler = GPNAS(space, seed=0)
    points = [space.point(index) for index in range(0, space.size, 3)]
    sampler.tell(points, [2.0 * point["up"] - point["down"] for point in points])
    trend = sampler.trend()
    weights = dict(zip(trend.names, trend.mean, strict=True))
    assert list(weights) == ["1", "down", "up", "op='x'", "op='y'"]
    assert weights["up"] > 1.0 > -0.5 > weights["down"]
    assert abs(weights["op='x'"] - weights["op='y'"]) < 0.1
    assert np.all(np.linalg.eigvalsh(trend.covariance) > 0)
