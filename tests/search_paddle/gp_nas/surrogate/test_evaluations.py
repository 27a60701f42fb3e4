"""Fidelities of trainings, and scores of several fidelities put on one level."""

import numpy as np
import pytest

from search_paddle.gp_nas.surrogate.evaluations import FidelityRange, aligned


def test_scores_of_low_fidelity_are_put_on_the_level_and_spread_of_the_highest():
    rows = [(point, steps) for steps in (50, 100) for point in range(6)] + [(9, 50)]
    long = np.array([30.0, 31.0, 29.0, 30.5, 32.0, 28.0])
    scores = np.concatenate([5.0 + 2.0 * (long - 30.0), long, [7.0]])
    moved = aligned(rows, scores)
    np.testing.assert_allclose(moved, [*long, *long, 31.0], atol=1e-12)
    apart = [(point, 50) for point in range(6)] + [(point + 6, 100) for point in range(6)]
    moved = aligned(apart, np.concatenate([scores[:6], long]))
    np.testing.assert_allclose(moved, [*long, *long], atol=1e-12)
    np.testing.assert_array_equal(aligned(rows[:6], scores[:6]), scores[:6])
    assert aligned([], np.zeros(0)).shape == (0,)


def test_few_shared_points_move_scores_and_do_not_stretch_them():
    """The best were trained longer: their mean is not that of all, and their spread says little."""
    rows = [(point, 50) for point in range(10)] + [(point, 100) for point in (7, 8, 9)]
    short = np.linspace(20.0, 29.0, 10)
    moved = aligned(rows, np.concatenate([short, short[7:] + 3.0]))
    np.testing.assert_allclose(moved[:10], short + 3.0)


@pytest.mark.parametrize("wobble", [0.0, 1e-17, 1e-4])
def test_equal_scores_of_shared_points_stretch_nothing(wobble):
    rows = [(point, 50) for point in range(14)] + [(point, 100) for point in range(6)]
    short = np.concatenate([0.1 + wobble * np.arange(6), np.linspace(0.5, 0.9, 8)])
    moved = aligned(rows, np.concatenate([short, np.linspace(0.6, 0.9, 6)]))
    assert np.ptp(moved[:14]) == pytest.approx(np.ptp(short))
    flat = aligned(rows, np.concatenate([short, np.full(6, 30.1)]))
    assert np.ptp(flat[:14]) == pytest.approx(np.ptp(short))


def test_the_gap_is_that_of_the_logarithms_of_steps():
    found = FidelityRange.of([400, 100, 200])
    assert (found.highest, found.lowest, found.has_low) == (400, 100, True)
    np.testing.assert_allclose(found.gaps([(0, 400), (1, 200), (2, 100)]), [0.0, 0.5, 1.0])
    assert not FidelityRange.of([0, 0]).has_low
    assert not FidelityRange.of([7, 7]).has_low
