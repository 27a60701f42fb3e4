"""Draws are paired and nested, and predictions are judged on rows that no model saw."""

import numpy as np
import pytest

from benchmarks.nas.predictions import MODELS, SIZES, judge, make_draw
from benchmarks.nas.tables import read_table


@pytest.fixture(scope="module")
def macro(real_data):
    return read_table(real_data, "nas_bench_macro")


def test_draws_of_a_seed_are_nested_and_share_what_is_held_out(macro):
    small, large, other = (
        make_draw(macro, "acc", 25, 1),
        make_draw(macro, "acc", 100, 1),
        make_draw(macro, "acc", 25, 2),
    )
    np.testing.assert_array_equal(large.known[:25], small.known)
    np.testing.assert_array_equal(large.held, small.held)
    assert not set(large.known) & set(large.held)
    assert set(small.known) != set(other.known)
    np.testing.assert_array_equal(small.scores, macro.columns["acc"][small.known])
    assert max(SIZES) == 100


def test_tau_and_coverage_of_known_predictions(macro):
    draw = make_draw(macro, "acc", 25, 0)
    truth = macro.columns["acc"][draw.held]
    assert judge(draw, "acc", (truth, np.ones(len(truth)))) == {"tau": 1.0, "coverage": 1.0}
    assert judge(draw, "acc", (-truth, None)) == {"tau": -1.0, "coverage": None}
    assert judge(draw, "acc", (np.zeros(len(truth)), None))["tau"] == 0.0  # all equal: it ranks nothing
    noise = np.random.default_rng(0).standard_normal(len(truth))
    assert judge(draw, "acc", (truth + noise, np.ones(len(truth))))["coverage"] == pytest.approx(0.95, abs=0.02)
    assert judge(draw, "acc", (truth + noise, 0.5 * np.ones(len(truth))))["coverage"] < 0.75


def test_the_published_formulas_have_their_measured_tau(macro):
    """From 50 trainings .771 on average over ten other draws."""
    draws = [make_draw(macro, "acc", 50, seed) for seed in range(20)]
    taus = [judge(draw, "acc", MODELS["ps"](draw))["tau"] for draw in draws]
    assert np.mean(taus) == pytest.approx(0.771, abs=0.02)
