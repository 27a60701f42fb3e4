"""The model of a search: which warp it takes, failures, repeats, calibration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.gp import make_posterior
from search_paddle.gp_nas.surrogate import ALWAYS, NODES, WIDER, Training, make_surrogate, refit_at, weighted_quantile
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(8)), "c": list(range(4))})
ENCODING = make_encoding(SPACE)
CODES = ENCODING.codes(range(SPACE.size))


def model(trainings):
    return make_surrogate(ENCODING, [Training(index, score) for index, scores in trainings.items() for score in scores])


def share(made, name):
    """Of the average that is under a warp."""
    return sum(component.weight for component in made.components if component.warp.name == name)


def smooth(index):
    _, (a, b, c) = SPACE.digits(index)
    return 30.0 + 0.3 * a - 0.1 * (b - 4) ** 2 + 0.2 * c


def drawn(count, seed=0):
    return [int(index) for index in np.random.default_rng(seed).permutation(SPACE.size)[:count]]


def test_clean_scores_keep_the_identity_and_a_tail_of_broken_ones_does_not():
    chosen, rng = drawn(60), np.random.default_rng(3)
    clean = {index: [smooth(index)] for index in chosen}
    assert share(model(clean), "identity") > 0.5
    depths = np.where(rng.random(60) < 0.2, 100.0 * rng.gamma(2.0, size=60), 0.0)
    broken = {index: [smooth(index) - depth] for index, depth in zip(chosen, depths, strict=True)}
    assert share(model(broken), "identity") < 0.01


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


def test_repeated_trainings_are_averaged_and_trusted_more():
    chosen, rng = drawn(30), np.random.default_rng(1)
    once = {index: [smooth(index) + 0.5 * rng.standard_normal()] for index in chosen}
    target, low = chosen[0], smooth(chosen[0]) - 2.0
    seldom, often = (model({**once, target: [low] * repeats}) for repeats in (1, 9))
    assert [each.components[0].posterior.observations.repeats.max() for each in (seldom, often)] == [1, 9]
    away = [abs(each.predict(CODES[[target]])[0][0] - low) for each in (seldom, often)]
    assert away[1] < 0.7 * away[0]


def test_failures_leave_the_scores_alone_and_teach_where_trainings_fail():
    corner = [index for index in range(SPACE.size) if SPACE.digits(index)[1][0] == 7]
    others = np.setdiff1d(range(SPACE.size), corner)
    clean = {index: [smooth(index)] for index in drawn(50) if index not in corner}
    failing = {**clean, **{index: [float("nan")] for index in corner[::3]}}
    before, after = model(clean), model(failing)
    assert np.array_equal(before.predict(CODES)[0], after.predict(CODES)[0])
    assert before.success.probability(CODES).tolist() == [1.0] * SPACE.size
    probability = after.success.probability(CODES)
    assert probability[others].mean() > 0.85
    assert probability[corner[1::3]].mean() < 0.35
    one = model({**clean, corner[0]: [float("nan")]}).success.probability(CODES)
    assert 0.5 < one[corner[0]] < one[others].mean() < 1.0


def test_infinite_scores_failed_too_and_a_point_with_one_finite_score_did_not():
    told = {0: [np.inf], 1: [-np.inf], 2: [np.nan, 3.0], 3: [1.0, 2.0]}
    made = model(told)
    assert made.rows == ((2, 0), (3, 0))
    assert made.success.rate == 3 / 6
    assert np.isfinite(made.predict(CODES)).all()


@pytest.mark.parametrize("scores", [[], [31.0], [np.nan], [31.0, 31.0, 31.0], [31.0, np.nan], [1e6, -1e6, 0.0]])
def test_few_scores_give_finite_predictions(scores):
    mean, std = model({index: [score] for index, score in enumerate(scores)}).predict(CODES)
    assert np.isfinite(mean).all()
    assert np.all(std > 0)


def test_nothing_told_is_the_prior_and_one_score_is_its_centre():
    mean, std = model({}).predict(CODES)
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    assert np.all((std > 0.9) & (std < 2.0))
    mean, std = model({5: [31.0]}).predict(CODES)
    np.testing.assert_allclose(mean, 31.0, atol=1e-9)
    assert np.argmin(std) == 5


def test_the_order_of_telling_does_not_matter():
    """As long as every score is followed by a fit."""
    told = [(index, [smooth(index)]) for index in drawn(ALWAYS)]
    forward, backward = model(dict(told)), model(dict(reversed(told)))
    for ours, other in zip(forward.components, backward.components, strict=True):
        assert np.array_equal(ours.posterior.theta, other.posterior.theta)
    assert np.array_equal(forward.predict(CODES)[0], backward.predict(CODES)[0])


def test_hyperparameters_are_fitted_at_every_tenth_more():
    reached = [refit_at(count) for count in range(60)]
    assert reached[: ALWAYS + 1] == list(range(ALWAYS + 1))
    steps = sorted(set(reached[ALWAYS:]))
    assert steps[:6] == [16, 17, 18, 19, 20, 22]
    assert all(1 <= after - before <= before / 10 for before, after in itertools.pairwise(steps))


def test_a_model_that_grows_is_to_the_bit_the_one_made_at_once():
    """With a point trained again, a failure, and fits on the way: what a search that was killed relies on."""
    order = drawn(34)
    told = [Training(index, smooth(index)) for index in order]
    told[25], told[28] = Training(order[3], 31.0), Training(order[28], float("nan"))
    grown = None
    for count in range(22, len(told) + 1):
        grown = make_surrogate(ENCODING, told[:count], grown)
        if count in (27, 31, 34):
            at_once = make_surrogate(ENCODING, told[:count])
            assert grown.rows == at_once.rows
            for ours, direct in zip(grown.predict(CODES), at_once.predict(CODES), strict=True):
                assert np.array_equal(ours, direct)
    assert (grown.scored, grown.fitted) == (33, 33)
    assert refit_at(32) < 32, "so some of these were not fitted anew"


def test_few_scores_are_averaged_over_more_models_than_many():
    few, many = (model({index: [smooth(index)] for index in drawn(count)}) for count in (12, 200))
    assert len(few.components) == 16
    assert len(many.components) == 8
    for made in (few, many):
        weights = [component.weight for component in made.components]
        assert sum(weights) == pytest.approx(1.0)
        assert weights == sorted(weights, reverse=True)


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
    assert model(calm).surprise() == 1.0
    made = model(wild)
    assert made.surprise() > 1.1
    known, found = dict(zip((point for point, _ in made.rows), made.components[0].known(), strict=True)), []
    for row, (point, _) in enumerate(made.rows):  # each left out for true, hyperparameters kept
        rest = np.arange(len(made.rows)) != row
        values = []
        for component in made.components:
            posterior = component.posterior
            others = make_posterior(posterior.kernel, posterior.theta, posterior.observations.rows(rest))
            values.append(replace(component, posterior=others).new(ENCODING.codes([point])))
        chances = np.repeat([component.weight / len(NODES) for component in made.components], len(NODES))
        low, high = (weighted_quantile(np.concatenate(values, axis=1), chances, level)[0] for level in (0.1, 0.9))
        std = WIDER * (high - low) / (2 * 1.2815515655446004)
        found.append((known[point] - float((np.concatenate(values, axis=1) @ chances)[0])) / std)
    direct = 1.0 + (np.sqrt(np.mean(np.square(found))) - 1.0) * 40 / 50
    assert made.surprise() == pytest.approx(direct, rel=1e-6)
    assert model({}).surprise() == 1.0
