"""The covariance of scores of several fidelities, from its definition."""

import itertools

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.likelihood import Likelihood
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.process.priors import make_priors
from search_paddle.gp_nas.process.trend import posterior_of_weights, trend_of
from search_paddle.gp_nas.surrogate.evaluations import FidelityRange
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(6)), "c": list(range(4))})
ENCODING = make_encoding(SPACE)
CODES = ENCODING.codes(range(SPACE.size))


def problem(seed):
    """Eight points after 100 steps, five of them also after 200, three after 400."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(SPACE.size)[:8].tolist()
    rows = [(point, steps) for steps, count in ((100, 8), (200, 5), (400, 3)) for point in chosen[:count]]
    observed = Observations(
        codes=ENCODING.codes([point for point, _ in rows]),
        values=rng.standard_normal(len(rows)),
        repeats=rng.integers(1, 3, len(rows)).astype(float),
        gap=FidelityRange(highest=400, lowest=100).gaps(rows),
    )
    kernel = make_kernel(ENCODING, has_fidelity=True)
    mode = make_priors(kernel).mode
    hyper = mode.unpack(rng.uniform(-1.0, 0.5, len(mode.pack())))
    return rows, observed, kernel, hyper


def by_definition(kernel, hyper, rows, observed, *, forgets_replicates=False):
    """C entry by entry, from the formulas that open covariance.py and kernels.py."""
    plain = kernel.covariance(hyper, observed.codes)
    ratio, noise = hyper.fidelity.ratio, np.exp(hyper.log_noise)
    discrepancy, checkpoint = np.exp([hyper.fidelity.log_discrepancy, hyper.fidelity.log_checkpoint_noise])
    t = [np.log2(400 / steps) / 2 for _, steps in rows]
    whole = np.empty_like(plain)
    for i, j in itertools.product(range(len(rows)), repeat=2):
        same = rows[i][0] == rows[j][0] and (i == j or not forgets_replicates)
        replicate = noise / np.sqrt(observed.repeats[i] * observed.repeats[j]) if same else 0.0
        coupled = (1 + ratio * t[i]) * (1 + ratio * t[j]) + discrepancy * min(t[i], t[j])
        whole[i, j] = coupled * (plain[i, j] + replicate) + (checkpoint * t[i] / observed.repeats[i] if i == j else 0.0)
    return whole


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_and_posterior_are_those_of_the_definition(seed):
    rows, observed, kernel, hyper = problem(seed)
    covariance = by_definition(kernel, hyper, rows, observed)
    wrong = by_definition(kernel, hyper, rows, observed, forgets_replicates=True)
    loading = 1 + hyper.fidelity.ratio * observed.gap
    cross = kernel.cross(hyper, kernel.embed(hyper, CODES), kernel.embed(hyper, observed.codes)) * loading
    value = Likelihood(kernel, observed)(hyper)[0]
    mean, variance = make_posterior(kernel, hyper, observed).predict(CODES)

    def compare(covariance):
        solved = np.linalg.solve(covariance, observed.values)
        size = np.linalg.slogdet(2.0 * np.pi * covariance)[1]
        assert abs(value + 0.5 * (observed.values @ solved + size)) < 1e-9
        np.testing.assert_allclose(mean, cross @ solved, rtol=0, atol=1e-9)
        reduction = np.einsum("mn,nm->m", cross, np.linalg.solve(covariance, cross.T))
        diagonal = kernel.diagonal(hyper, kernel.embed(hyper, CODES))
        np.testing.assert_allclose(variance, diagonal - reduction, rtol=0, atol=1e-9)

    compare(covariance)
    with pytest.raises(AssertionError):
        compare(wrong)


def test_an_appended_posterior_equals_a_new_one():
    """A longer training of a known point, and the first of a new one."""
    _, observed, kernel, hyper = problem(2)
    grown = make_posterior(kernel, hyper, observed.rows(slice(0, 10))).appended(observed.rows(slice(10, None)))
    for ours, direct in zip(grown.predict(CODES), make_posterior(kernel, hyper, observed).predict(CODES), strict=True):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-9)
    known = make_posterior(kernel, hyper, observed.rows(slice(0, 10))).predict(CODES)[0]
    assert not np.allclose(grown.predict(CODES)[0], known, atol=1e-3)


def test_the_posterior_of_the_trend_predicts_as_the_process_does(two_step_prediction):
    _, observed, kernel, hyper = problem(3)
    posterior = make_posterior(kernel, hyper, observed)
    trend, loading = trend_of(posterior), 1 + hyper.fidelity.ratio * observed.gap
    phi, new = kernel.phi(hyper, observed.codes) * loading[:, None], kernel.phi(hyper, CODES)
    prior = np.diag(kernel.linear.variances(hyper))
    points, candidates = kernel.embed(hyper, observed.codes), kernel.embed(hyper, CODES)
    whole = posterior.factor.full @ posterior.factor.full.T
    without = whole - phi @ prior @ phi.T
    covariances = (
        without,
        kernel.without_trend(hyper, candidates, points) * loading,
        kernel.diagonal(hyper, candidates) - np.einsum("mp,pq,mq->m", new, prior, new),
    )
    weights = (trend.mean, trend.covariance)
    for ours, direct in zip(
        two_step_prediction((phi, new), covariances, observed.values, weights), posterior.predict(CODES), strict=True
    ):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-8)
    mean, _ = posterior_of_weights(phi, without, observed.values, np.zeros(len(prior)), prior)
    np.testing.assert_allclose(trend.mean, mean, rtol=0, atol=1e-8)
