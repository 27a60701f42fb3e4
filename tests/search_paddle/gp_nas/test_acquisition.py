"""Acquisition functions: log expected improvement against arbitrary precision, quadrature and draws; the average of processes."""

import numpy as np
import pytest
from numpy.polynomial.laguerre import laggauss
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

from search_paddle.gp_nas.acquisition import (
    ACQUISITIONS,
    LogProbabilityOfImprovement,
    log_expected_improvement,
)
from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.surrogate.condition import make_surrogate
from search_paddle.gp_nas.surrogate.evaluations import Evaluation
from shared.space import SearchSpace

U = np.concatenate(
    [np.linspace(-1e3, 10.0, 400), -np.logspace(-3, 7, 200), np.linspace(-52.0, -48.0, 40), [-1.0, -0.0, 30.0]]
)


def exact(u):
    """log(phi(u) + u Phi(u)) with as many digits as the cancellation needs."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(80):
        return np.array([float(mpmath.log(mpmath.npdf(x) + mpmath.mpf(x) * mpmath.ncdf(x))) for x in map(float, u)])


def from_survival_integral(u):
    """Logarithm of the integral of Phi over (-inf, u], by Gauss-Laguerre on the tail: h' = Phi."""
    nodes, weights = laggauss(60)
    rate = np.maximum(-u, 1.0)[:, None]
    logs = log_ndtr(u[:, None] - nodes / rate) + nodes
    top = logs.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(logs - top) @ weights)[:, None])[:, 0] - np.log(rate[:, 0])


def test_it_equals_arbitrary_precision():
    expected = exact(U)
    ours = log_expected_improvement(U, np.ones_like(U), 0.0)
    assert np.abs((ours - expected) / np.maximum(np.abs(expected), 1.0)).max() < 1e-13
    with np.errstate(divide="ignore", invalid="ignore"):
        naive = np.log(np.exp(-0.5 * U**2) / np.sqrt(2 * np.pi) + U * ndtr(U))
    assert not np.abs(naive - expected).max() < 1e-3


def test_it_equals_an_integral_of_the_normal_distribution():
    u = np.linspace(-200.0, -2.0, 60)
    np.testing.assert_allclose(log_expected_improvement(u, np.ones_like(u), 0.0), from_survival_integral(u), rtol=1e-7)


def test_it_is_a_mean_over_draws():
    draws = np.random.default_rng(0).normal(0.3, 2.0, 10**6)
    expected = np.log(np.maximum(draws - 1.0, 0.0).mean())
    ours = log_expected_improvement(np.array([0.3]), np.array([2.0]), 1.0)
    assert abs(ours[0] - expected) < 0.005


def test_it_rises_with_the_mean_and_with_the_std():
    means = np.linspace(-300.0, 5.0, 3000)
    assert np.all(np.diff(log_expected_improvement(means, np.ones(3000), 0.0)) > 0)
    stds = np.logspace(-6, 2, 3000)
    values = log_expected_improvement(np.full(3000, -1.0), stds, 0.0)
    assert np.isfinite(values).all()
    assert np.all(np.diff(values) > 0)


def test_the_probability_of_improvement_is_that_of_the_normal_distribution():
    mean, std = np.linspace(-40.0, 3.0, 50), np.linspace(0.1, 4.0, 50)
    ours = LogProbabilityOfImprovement.log_utility(mean, std, 0.7)
    np.testing.assert_allclose(ours, norm.logsf(0.7, loc=mean, scale=std), rtol=1e-12)
    assert not np.allclose(ours, norm.logsf(0.7, loc=mean, scale=1.1 * std), rtol=1e-3)


# by draws of the warped score, dy/dz of the score above the best: in the score's unit
UTILITIES = {
    "log_expected_improvement": lambda draws, best, rise: np.maximum(draws - best, 0.0).mean() * rise,
    "log_probability_of_improvement": lambda draws, best, rise: np.mean(draws > best),
}


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_an_acquisition_is_averaged_over_the_processes_and_times_the_chance_of_success(name):
    """Against draws from each process; near the best score, where draws see an improvement."""
    space = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(4))})
    encoding, rng = make_encoding(space), np.random.default_rng(0)
    told = [
        Evaluation(int(point), 30.0 + 0.1 * (point // 4) + rng.standard_normal()) for point in rng.permutation(32)[:14]
    ]
    told[3] = told[3]._replace(score=float("nan"))
    model, codes = make_surrogate(encoding, told), encoding.codes([told[0].point, told[5].point])
    expected = np.zeros(2)
    for component in model.components:
        posterior = component.posterior
        mean, variance = posterior.predict(codes)
        draws = rng.normal(mean, np.sqrt(variance + posterior.noise), (200_000, 2)).T
        best = posterior.observations.values.max()
        expected += component.weight * np.array([UTILITIES[name](each, best, component.warping.rise) for each in draws])
    expected *= model.success.probability(codes)
    np.testing.assert_allclose(np.exp(ACQUISITIONS[name](model.components, model.success)(codes)), expected, rtol=0.02)
    assert not np.allclose(expected / model.success.probability(codes), expected, rtol=0.02)
