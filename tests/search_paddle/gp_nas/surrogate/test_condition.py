"""Models given all scores: growth, failures, repeats, few scores."""

import itertools

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.surrogate.condition import ALWAYS, make_surrogate, refit_at
from search_paddle.gp_nas.surrogate.evaluations import Evaluation
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
        assert np.array_equal(ours.posterior.hyper.pack(), other.posterior.hyper.pack())
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
    told = [Evaluation(index, smooth(index)) for index in order]
    told[25], told[28] = Evaluation(order[3], 31.0), Evaluation(order[28], float("nan"))
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


def test_a_model_of_several_fidelities_that_grows_is_to_the_bit_the_one_made_at_once():
    """Also where a training longer than all before changes the fidelity gaps."""
    values = np.random.default_rng(3).standard_normal(SPACE.size)
    order = np.random.default_rng(2).permutation(SPACE.size)[:24].tolist()
    told = [Evaluation(point, 30.0 + float(values[point]), steps) for point in order for steps in (100, 200)]
    told[31:31] = [Evaluation(order[2], 31.0, 400), Evaluation(order[5], 30.0, 400)]
    grown = None
    for count in range(24, len(told) + 1):
        grown = make_surrogate(ENCODING, told[:count], grown)
        if count in (31, 32, 40, len(told)):
            at_once = make_surrogate(ENCODING, told[:count])
            assert grown.rows == at_once.rows
            for ours, direct in zip(grown.predict(CODES), at_once.predict(CODES), strict=True):
                assert np.array_equal(ours, direct)
