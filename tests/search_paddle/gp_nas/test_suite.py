"""The choice of a suite, against all suites tried one by one and a solver of ours that is not used there."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from search_paddle.gp_nas import suite
from search_paddle.gp_nas.suite import Candidate, Selection, select_complementary, select_suite, suite_scores
from shared.errors import UsageError


def candidate(name: str, score: float, macs: float = 1.0) -> Candidate:
    return Candidate(id=name, family=name.split("-")[0], score=score, cost={"macs_per_pixel": macs})


POOL = [candidate("rcan-a", 30.0), candidate("rcan-b", 29.9), candidate("rcan-c", 29.8), candidate("drn-a", 28.0, 3.0)]
POOL += [candidate("drn-b", 27.0), candidate("dual-a", np.nan)]


def ids(selection: Selection) -> list[str]:
    assert sum(selection.shares) == pytest.approx(1 if selection.members else 0)
    return [one.id for one in selection.members]


def test_the_best_of_each_family_comes_before_better_ones_of_the_same():
    assert ids(select_suite(POOL)) == ["rcan-a", "rcan-b", "drn-a"]
    assert ids(select_suite(POOL, size=2)) == ["rcan-a", "drn-a"]
    assert ids(select_suite(POOL, size=1)) == ["rcan-a"]


def test_failed_candidates_and_those_that_cost_too_much_together_are_left_out():
    assert ids(select_suite(POOL, {"macs_per_pixel": 4.0})) == ["rcan-a", "drn-a"]
    assert ids(select_suite(POOL, {"macs_per_pixel": 2.9})) == ["rcan-a", "drn-b"]
    assert ids(select_suite(POOL, {"macs_per_pixel": 0.5})) == []
    assert ids(select_suite(POOL, size=9)) == ["rcan-a", "rcan-b", "rcan-c", "drn-a", "drn-b"]


def test_the_order_of_candidates_does_not_matter():
    generator = np.random.default_rng(0)
    tied = [*POOL, candidate("rcan-d", 30.0), candidate("drn-c", 28.0)]
    expected = ids(select_suite(tied, size=4))
    for _ in range(20):
        assert ids(select_suite([tied[i] for i in generator.permutation(len(tied))], size=4)) == expected


def test_a_limit_on_an_unknown_figure_is_refused():
    with pytest.raises(UsageError, match="macs_per_pixle"):
        select_suite(POOL, {"macs_per_pixle": 1.0})


def trials(count: int, seed: int) -> tuple[list[Candidate], np.ndarray]:
    """Candidates with the covariance of errors of two families, and one twice."""
    rng = np.random.default_rng(seed)
    shared, family = rng.normal(size=400), rng.normal(size=(2, 400))
    errors = np.stack(
        [shared + 0.4 * family[i % 2] + rng.uniform(0.2, 0.6) * rng.normal(size=400) for i in range(count)]
    )
    errors[-1] = errors[0]
    covariance = errors @ errors.T / 400 / 1000
    scores = -10 * np.log10(np.diag(covariance))
    parts = zip(scores, rng.integers(1, 9, count), strict=True)
    return [
        Candidate(id=f"{i:03}", family="ab"[i % 2], score=float(score), cost={"macs_per_pixel": float(cost)})
        for i, (score, cost) in enumerate(parts)
    ], covariance


def least_error(covariance: np.ndarray) -> float:
    """Of a suite, by a general solver."""
    count = len(covariance)
    scale = np.trace(covariance)
    found = minimize(
        lambda w: w @ covariance @ w / scale,
        np.full(count, 1 / count),
        jac=lambda w: 2 * covariance @ w / scale,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        options={"ftol": 1e-14},
    )
    return float(found.fun * scale)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [np.inf, 9.0])
def test_the_suite_is_the_best_of_all_suites(seed: int, limit: float) -> None:
    candidates, covariance = trials(9, seed)
    found = select_complementary(candidates, covariance, {"macs_per_pixel": limit})
    errors = {
        three: least_error(covariance[np.ix_(three, three)])
        for size in (1, 2, 3)
        for three in itertools.combinations(range(9), size)
        if sum(candidates[place].cost["macs_per_pixel"] for place in three) <= limit
    }
    assert found.score == pytest.approx(-10 * np.log10(min(errors.values())), abs=1e-5)
    places = [int(one.id) for one in found.members]
    shares = np.array(found.shares)
    assert shares @ covariance[np.ix_(places, places)] @ shares == pytest.approx(min(errors.values()), rel=1e-6)
    assert sum(one.cost["macs_per_pixel"] for one in found.members) <= limit


def test_unlike_errors_win_over_better_scores_of_the_same_kind() -> None:
    """Nothing tells the choice of families: with errors alike across families the best scores win."""
    candidates = [
        candidate("rcan-a", 30.0),
        candidate("rcan-b", 29.99),
        candidate("drn-a", 29.9),
        candidate("rcan-c", 29.98),
    ]
    deviations = 10 ** (-np.array([one.score for one in candidates]) / 20)
    like = np.array([[0, 0, 1, 0]] * 4) != np.array([[0], [0], [1], [0]])
    alike, unlike = (
        np.outer(deviations, deviations) * (np.where(like, other, 0.98) + (1 - np.where(like, other, 0.98)) * np.eye(4))
        for other in (0.98, 0.93)
    )
    assert set(ids(select_complementary(candidates, alike))) == {"rcan-a", "rcan-b", "rcan-c"}
    assert set(ids(select_complementary(candidates, unlike, size=2))) == {"rcan-a", "drn-a"}


@pytest.mark.parametrize("seed", range(4))
def test_exchanges_come_near_the_best_of_many(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, covariance = trials(40, seed)
    best = select_complementary(candidates, covariance, {"macs_per_pixel": 12.0})
    monkeypatch.setattr(suite, "MOST_SUITES", 100)
    near = select_complementary(candidates, covariance, {"macs_per_pixel": 12.0})
    assert best.score is not None
    assert near.score is not None
    assert best.score - 0.02 <= near.score <= best.score + 1e-9


def test_the_order_of_trials_changes_nothing() -> None:
    candidates, covariance = trials(12, 5)
    rng = np.random.default_rng(0)
    expected = select_complementary(candidates, covariance)
    for _ in range(5):
        order = rng.permutation(12)
        found = select_complementary([candidates[i] for i in order], covariance[np.ix_(order, order)])
        assert [one.id for one in found.members] == [one.id for one in expected.members]
        assert found.shares == pytest.approx(expected.shares, abs=1e-9)


def test_one_trial_is_a_suite_and_none_is_none() -> None:
    one = [candidate("rcan-a", 30.0)]
    found = select_complementary(one, np.array([[1e-3]]))
    assert (ids(found), found.shares) == (["rcan-a"], (1.0,))
    assert found.score == pytest.approx(30.0)
    assert select_complementary(one, np.array([[1e-3]]), {"macs_per_pixel": 0.5}).members == ()


def test_suite_scores_are_those_of_the_mean_with_the_best_companions() -> None:
    _, covariance = trials(6, 1)
    covariance[4] = covariance[:, 4] = np.nan  # failed
    values = suite_scores(covariance, [0, 1, 2])
    for trial in (0, 1, 2, 3, 5):
        companions = [
            pair for pair in itertools.combinations((0, 1, 2), 2) if trial not in pair
        ]  # of the suite, whatever it holds
        errors = [sum(covariance[i, j] for i in (trial, *pair) for j in (trial, *pair)) / 9 for pair in companions]
        assert values[trial] == pytest.approx(-10 * np.log10(min(errors)))
    assert np.isnan(values[4])
    assert suite_scores(covariance, [0])[0] == pytest.approx(-10 * np.log10(covariance[0, 0]))
