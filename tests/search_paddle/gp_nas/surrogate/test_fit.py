"""Which models have weight, and what low fidelity is worth."""

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.surrogate.condition import make_surrogate
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


def weight(made, name):
    """Weight of the models with an output warping."""
    return sum(component.weight for component in made.components if component.warping.name == name)


def test_clean_scores_keep_the_identity_and_a_tail_of_broken_ones_does_not():
    chosen, rng = drawn(60), np.random.default_rng(3)
    clean = {index: [smooth(index)] for index in chosen}
    assert weight(model(clean), "identity") > 0.5
    depths = np.where(rng.random(60) < 0.2, 100.0 * rng.gamma(2.0, size=60), 0.0)
    broken = {index: [smooth(index) - depth] for index, depth in zip(chosen, depths, strict=True)}
    assert weight(model(broken), "identity") < 0.01


def test_few_scores_are_averaged_over_more_models_than_many():
    few, many = (model({index: [smooth(index)] for index in drawn(count)}) for count in (12, 200))
    assert len(few.components) == 16
    assert len(many.components) == 8
    for made in (few, many):
        weights = [component.weight for component in made.components]
        assert sum(weights) == pytest.approx(1.0)
        assert weights == sorted(weights, reverse=True)


def rough(seed=0):
    """A function without any structure but its values: only training a point tells about it."""
    return np.random.default_rng(seed).standard_normal(SPACE.size)


def errors(high, low, count=15):
    """RMS error on points of low fidelity only: told with steps, from the high fidelity alone, and told as if all were equal."""
    chosen = np.random.default_rng(1).permutation(SPACE.size)[:60].tolist()
    expensive = [Evaluation(point, float(high[point]), 400) for point in chosen[:count]]
    cheap = [Evaluation(point, float(low[point]), 100) for point in chosen]
    found = []
    equal = [Evaluation(point, score + float(np.mean(high - low))) for point, score, _ in cheap[count:]] + expensive
    for told in (cheap + expensive, expensive, [Evaluation(point, score) for point, score, _ in equal]):
        mean, _ = make_surrogate(ENCODING, told).predict(ENCODING.codes(chosen[count:]))
        found.append(float(np.sqrt(np.mean((mean - high[chosen[count:]]) ** 2))))
    return found


def test_a_low_fidelity_that_agrees_tells_what_the_high_one_would():
    high = 30.0 + rough()
    with_steps, alone, _ = errors(high, 20.0 + 3.0 * (high - 30.0) + 0.1 * rough(1))
    assert alone > 0.7
    assert with_steps < 0.4 * alone


def test_a_low_fidelity_that_has_nothing_in_common_does_no_harm():
    _, digits = zip(*(SPACE.digits(index) for index in range(SPACE.size)), strict=True)
    a, b, c = np.array(digits).T
    high = 30.0 + 0.3 * a - 0.1 * (b - 3) ** 2 + 0.2 * c
    found = [errors(high, 25.0 + rough(seed), count=20) for seed in (2, 3, 4)]
    with_steps, alone, as_if_equal = np.mean(found, axis=0)
    assert with_steps < 1.5 * alone
    assert as_if_equal > 3.0 * alone


def test_many_trainings_of_which_few_are_of_high_or_few_of_low_fidelity():
    """More rows than a fit uses: whatever is left out, there are some of high fidelity among them."""
    values, order = rough(4), np.random.default_rng(5).permutation(SPACE.size)
    for rare in (100, 400):
        told = [Evaluation(int(point), float(values[point]), 500 - rare) for point in order] * 2
        told[5] = told[5]._replace(steps=rare)
        mean, std = make_surrogate(ENCODING, told).predict(CODES)
        assert np.isfinite(mean).all()
        assert np.all(std > 0)


def test_the_unit_of_the_score_decides_nothing():
    values, order = rough(5), np.random.default_rng(6).permutation(SPACE.size)[:24].tolist()
    for count in (1, 3, 10):
        told = [Evaluation(point, float(values[point]), 100) for point in order]
        told += [Evaluation(point, float(values[point]) + 5.0, 400) for point in order[:count]]
        mean, std = make_surrogate(ENCODING, told).predict(CODES)
        scaled = [each._replace(score=128.0 * each.score) for each in told]  # exact in binary
        large, wide = make_surrogate(ENCODING, scaled).predict(CODES)
        np.testing.assert_allclose(large, 128.0 * mean, rtol=1e-9)
        np.testing.assert_allclose(wide, 128.0 * std, rtol=1e-9)
