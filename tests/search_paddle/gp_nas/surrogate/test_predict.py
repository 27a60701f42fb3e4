"""Predictions: their unit, their intervals, outliers."""

from dataclasses import replace

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.surrogate.condition import make_surrogate
from search_paddle.gp_nas.surrogate.evaluations import Evaluation
from search_paddle.gp_nas.surrogate.predict import NODES, WIDER, weighted_quantile
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(8)), "c": list(range(4))})
ENCODING = make_encoding(SPACE)
CODES = ENCODING.codes(range(SPACE.size))


def model(trainings):
    return make_surrogate(
        ENCODING, [Evaluation(index, score) for index, scores in trainings.items() for score in scores]
    )


def smooth(index):
    _, (a, b, c) = SPACE.digits(index)
    return 30.0 + 0.3 * a - 0.1 * (b - 4) ** 2 + 0.2 * c


def drawn(count, seed=0):
    return [int(index) for index in np.random.default_rng(seed).permutation(SPACE.size)[:count]]


def test_predictions_are_in_the_unit_of_the_score():
    chosen = drawn(60)
    mean, std = model({index: [smooth(index)] for index in chosen}).predict(CODES)
    truth = np.array([smooth(index) for index in range(SPACE.size)])
    error = np.abs(mean - truth)
    assert error.mean() < 0.1 * truth.std()
    assert std.mean() < 0.3 * truth.std()
    scaled, wide = model({index: [7.0 - 100.0 + 7.0 * smooth(index)] for index in chosen}).predict(CODES)
    np.testing.assert_allclose(scaled, 7.0 - 100.0 + 7.0 * mean, rtol=1e-6)
    np.testing.assert_allclose(wide, 7.0 * std, rtol=0.05)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    truth = np.array([smooth(index) for index in range(SPACE.size)])
    held = []
    for seed in range(5):
        chosen = drawn(40, seed)
        mean, std = model({index: [truth[index] + 0.3 * rng.standard_normal()] for index in chosen}).predict(CODES)
        new = truth + 0.3 * rng.standard_normal(len(truth))
        held.append(np.mean(np.abs(new - mean) < 1.96 * std))
    assert 0.88 < np.mean(held) < 0.99


def test_quantiles_of_weighted_values_are_those_of_their_distribution():
    rng = np.random.default_rng(0)
    values, chances = rng.standard_normal((3, 400)), rng.dirichlet(np.ones(400))
    for level in (0.1, 0.5, 0.9):
        found = weighted_quantile(values, chances, level)
        below = np.sum((values <= found[:, None]) * chances, axis=1)
        np.testing.assert_allclose(below, level, atol=chances.max())
    assert not np.allclose(weighted_quantile(values, np.full(400, 1 / 400), 0.9), found, atol=1e-3)


def test_outliers_that_no_model_explains_widen_the_intervals_as_leaving_each_score_out_says():
    rng, chosen = np.random.default_rng(4), drawn(40)
    calm = {index: [smooth(index) + 0.1 * rng.standard_normal()] for index in chosen}
    wild = calm | {index: [smooth(index) + 8.0] for index in chosen[3:30:13]}
    assert model(calm).variance_inflation() == 1.0
    made = model(wild)
    assert made.variance_inflation() > 1.1
    known, found = dict(zip((point for point, _ in made.rows), made.components[0].known(), strict=True)), []
    for row, (point, _) in enumerate(made.rows):  # each left out for true, hyperparameters kept
        rest = np.arange(len(made.rows)) != row
        values = []
        for component in made.components:
            posterior = component.posterior
            others = make_posterior(posterior.kernel, posterior.hyper, posterior.observations.rows(rest))
            values.append(replace(component, posterior=others).new(ENCODING.codes([point])))
        chances = np.repeat([component.weight / len(NODES) for component in made.components], len(NODES))
        low, high = (weighted_quantile(np.concatenate(values, axis=1), chances, level)[0] for level in (0.1, 0.9))
        std = WIDER * (high - low) / (2 * 1.2815515655446004)
        found.append((known[point] - float((np.concatenate(values, axis=1) @ chances)[0])) / std)
    direct = 1.0 + (np.sqrt(np.mean(np.square(found))) - 1.0) * 40 / 50
    assert made.variance_inflation() == pytest.approx(direct, rel=1e-6)
    assert model({}).variance_inflation() == 1.0
