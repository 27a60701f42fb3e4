"""The model of a search: which warp it takes, failures, repeats, calibration."""

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.kernels import make_kernel
from search_paddle.gp_nas.priors import make_priors
from search_paddle.gp_nas.surrogate import make_surrogate
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(8)), "c": list(range(4))})
ENCODING = make_encoding(SPACE)
KERNEL = make_kernel(ENCODING)
CODES = ENCODING.codes(range(SPACE.size))


def model(trainings):
    return make_surrogate(ENCODING, KERNEL, make_priors(KERNEL), trainings)


def smooth(index):
    _, (a, b, c) = SPACE.digits(index)
    return 30.0 + 0.3 * a - 0.1 * (b - 4) ** 2 + 0.2 * c


def drawn(count, seed=0):
    return [int(index) for index in np.random.default_rng(seed).permutation(SPACE.size)[:count]]


def test_clean_scores_keep_the_identity_and_a_tail_of_broken_ones_does_not():
    chosen, rng = drawn(60), np.random.default_rng(3)
    clean = {index: [smooth(index)] for index in chosen}
    assert model(clean).warp.name == "identity"
    depths = np.where(rng.random(60) < 0.2, 100.0 * rng.gamma(2.0, size=60), 0.0)
    broken = {index: [smooth(index) - depth] for index, depth in zip(chosen, depths, strict=True)}
    assert model(broken).warp.name != "identity"


def test_predictions_are_in_the_unit_of_the_score():
    chosen = drawn(60)
    mean, std = model({index: [smooth(index)] for index in chosen}).predict(CODES)
    truth = np.array([smooth(index) for index in range(SPACE.size)])
    error = np.abs(mean - truth)
    assert error.mean() < 0.1 * truth.std()
    assert std.mean() < 0.3 * truth.std()
    scaled, wide = model({index: [7.0 - 100.0 + 7.0 * smooth(index)] for index in chosen}).predict(CODES)
    np.testing.assert_allclose(scaled, 7.0 - 100.0 + 7.0 * mean, rtol=1e-6)
    np.testing.assert_allclose(wide, 7.0 * std, rtol=1e-4)


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
    assert often.posterior.observations.repeats.max() == 9
    assert often.posterior.observations.values.min() == seldom.posterior.observations.values.min()
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
    assert made.indices == (2, 3)
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
    told = [(index, [smooth(index)]) for index in drawn(20)]
    forward, backward = model(dict(told)), model(dict(reversed(told)))
    assert np.array_equal(forward.posterior.theta, backward.posterior.theta)
    assert np.array_equal(forward.predict(CODES)[0], backward.predict(CODES)[0])
