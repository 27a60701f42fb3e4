"""PaddleSlim's published figures, its formulas written out with inverses, and what a wrong formula would give."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from search_paddle.gp_nas import paddleslim
from search_paddle.gp_nas.paddleslim import PaddleSlimGPNAS
from shared.errors import UsageError

# c_flag, m_flag: root mean square errors of its demo in points of 100 x accuracy: before, joint, linear part after the updates
PUBLISHED = {
    (2, 2): (2.2074981731, 0.3045711593, 0.2924612572),
    (1, 1): (2.2074981731, 0.2643755918, 0.2657009900),
    (1, 2): (2.2074981731, 0.3113649106, 0.3184977961),
    (2, 1): (2.2074981731, 0.2936386219, 0.3032087532),
}
DIGITS = 1e-8


@pytest.fixture(scope="module")
def stages(real_data):
    def read(name):
        with (real_data / "nas" / "paddleslim_cvpr21_track2" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        tokens = np.array([[float(row[f"op{place}"]) for place in range(1, 17)] for row in rows])
        return tokens, np.array([float(row["acc"]) for row in rows])

    return read("stage1"), read("stage2")


def demo(model, stages):
    """PaddleSlim's demo: errors before, with joint prediction, and of the linear part after two updates."""
    (cheap, cheap_scores), (dear, dear_scores) = stages
    train, scores, test, truth = dear[0::2], dear_scores[0::2], dear[1::2], dear_scores[1::2]

    def error(predicted):
        return 100 * np.sqrt(np.mean((predicted - truth) ** 2))

    model = model.initial_mean(cheap[1:], cheap_scores[1:])
    before = error(model.predict(test))
    for part in (slice(0, None, 3), slice(1, None, 3)):
        model = model.posterior_mean(train[part], scores[part])
    return before, error(model.predict_joint(test, train, scores)), error(model.predict(test))


@pytest.mark.parametrize("flags", PUBLISHED)
def test_the_demo_has_its_published_errors(flags, stages):
    errors = demo(PaddleSlimGPNAS(c_flag=flags[0], m_flag=flags[1]), stages)
    np.testing.assert_allclose(errors, PUBLISHED[flags], rtol=0, atol=DIGITS)


@pytest.mark.parametrize("flags", PUBLISHED)
def test_a_repaired_defect_or_another_constant_is_noticed(flags, stages, monkeypatch):
    model = PaddleSlimGPNAS(c_flag=flags[0], m_flag=flags[1])

    def differs():
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(demo(model, stages), PUBLISHED[flags], rtol=0, atol=DIGITS)

    with monkeypatch.context() as patch:
        patch.setattr(paddleslim, "PRIOR_VARIANCE", 0.0101)
        differs()
    if flags[1] == 1:
        with monkeypatch.context() as patch:
            patch.setattr(paddleslim, "first_update", right_update)
            differs()


def right_update(phi, covariance, values, weights):
    """What m_flag 1 was meant to be."""
    inner = covariance + paddleslim.PRIOR_VARIANCE * phi @ phi.T
    return weights + paddleslim.PRIOR_VARIANCE * phi.T @ np.linalg.solve(inner, values - phi @ weights)


def test_the_right_update_equals_the_second_form():
    """The two flags are two forms of one posterior, but for the defect: so the second is right, and the control is."""
    rng = np.random.default_rng(0)
    phi, values, weights = paddleslim.features(rng.integers(0, 5, (7, 3))), rng.normal(size=7), rng.normal(size=4)
    covariance = paddleslim.kernel(2, phi, phi) + paddleslim.RIDGE * np.eye(7)
    second = paddleslim.second_update(phi, covariance, values, weights)
    np.testing.assert_allclose(right_update(phi, covariance, values, weights), second, atol=1e-4)
    assert np.abs(paddleslim.first_update(phi, covariance, values, weights) - second).max() > 1e-2


@pytest.mark.parametrize("c_flag", [1, 2])
def test_the_kernel_is_the_published_loop(c_flag):
    rng = np.random.default_rng(c_flag)
    left, right = rng.integers(0, 6, (5, 4)).astype(float), rng.integers(0, 6, (3, 4)).astype(float)
    for row, column in np.ndindex(5, 3):
        apart = np.abs(left[row] - right[column])
        squared = np.dot(apart, apart)
        expected = 0.5 * np.exp(-squared / 16) if c_flag == 1 else np.exp(-np.sqrt(squared) / 12)
        assert paddleslim.kernel(c_flag, left, right)[row, column] == pytest.approx(expected, abs=1e-15)


def test_it_interpolates_its_trainings_and_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    tokens, scores = rng.permutation(np.stack(np.unravel_index(np.arange(81), (3,) * 4), 1))[:20], rng.normal(size=20)
    model = PaddleSlimGPNAS().initial_mean(tokens, scores)
    whole = model.predict_joint(tokens, tokens, scores)
    np.testing.assert_allclose(whole, scores, atol=1e-4)
    monkeypatch.setattr(paddleslim, "CHUNK", 3)
    np.testing.assert_allclose(model.predict_joint(tokens, tokens, scores), whole, atol=1e-12)


def test_an_update_leaves_the_old_value_alone():
    first = PaddleSlimGPNAS().initial_mean([[0, 1], [1, 0], [2, 2]], [1.0, 2.0, 4.0])
    weights = first.weights.copy()
    second = first.posterior_mean([[1, 1]], [9.0])
    np.testing.assert_array_equal(first.weights, weights)
    assert np.abs(second.weights - weights).max() > 0.01
    assert (second.c_flag, second.m_flag) == (2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PaddleSlimGPNAS(c_flag=3), "c_flag: got 3, expected 1 or 2"),
        (lambda: replace(PaddleSlimGPNAS(), m_flag=0), "m_flag: got 0"),
        (lambda: PaddleSlimGPNAS().predict([[1, 2]]), "expected `initial_mean` first"),
        (lambda: PaddleSlimGPNAS().initial_mean([1, 2], [1.0]), "expected \\(architectures, tokens\\)"),
        (lambda: PaddleSlimGPNAS().initial_mean([[1, 2]], [[1.0]]), "one an architecture"),
        (lambda: PaddleSlimGPNAS().initial_mean([[1, 2]], [1.0]).predict([[1]]), "got 1 an architecture, expected 2"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()
