"""The choice of a suite, against all suites tried one by one in plain loops."""

import itertools

import numpy as np
import pytest

from search_paddle.suite import selection as suite
from search_paddle.suite.selection import ScoredSpec, Selection, select_complementary, select_suite, suite_scores
from shared.errors import UsageError


def candidate(name: str, score: float, macs: float = 1.0) -> ScoredSpec:
    return ScoredSpec(id=name, family=name.split("-")[0], score=score, cost={"macs_per_pixel": macs})


POOL = [candidate("rcan-a", 30.0), candidate("rcan-b", 29.9), candidate("rcan-c", 29.8), candidate("drn-a", 28.0, 3.0)]
POOL += [candidate("drn-b", 27.0), candidate("dual-a", np.nan)]


def ids(selection: Selection) -> list[str]:
    assert len(set(selection.weights)) <= 1
    assert sum(selection.weights) == pytest.approx(1 if selection.members else 0)
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


def trials(count: int, seed: int) -> tuple[list[ScoredSpec], np.ndarray]:
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
        ScoredSpec(id=f"{i:03}", family="ab"[i % 2], score=float(score), cost={"macs_per_pixel": float(cost)})
        for i, (score, cost) in enumerate(parts)
    ], covariance


def allowed(candidates: list[ScoredSpec], limit: float, size: int) -> list[tuple[int, ...]]:
    """Suites of `size`, and smaller ones that no other candidate fits into."""
    macs = [one.cost["macs_per_pixel"] for one in candidates]
    found = []
    for count in range(1, size + 1):
        for places in itertools.combinations(range(len(candidates)), count):
            left = limit - sum(macs[place] for place in places)
            has_room = any(macs[place] <= left for place in range(len(candidates)) if place not in places)
            if left >= 0 and (count == size or not has_room):
                found.append(places)
    return found


def error_of_mean(covariance: np.ndarray, places: tuple[int, ...]) -> float:
    return sum(covariance[i, j] for i in places for j in places) / len(places) ** 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("limit", "size"), [(np.inf, 3), (9.0, 3), (4.0, 3), (12.0, 4)])
def test_the_suite_is_the_best_of_all_suites(seed: int, limit: float, size: int) -> None:
    candidates, covariance = trials(9, seed)
    found = select_complementary(candidates, covariance, {"macs_per_pixel": limit}, size=size)
    errors = {places: error_of_mean(covariance, places) for places in allowed(candidates, limit, size)}
    places = tuple(sorted(int(one.id) for one in found.members))
    assert places in errors
    assert errors[places] == pytest.approx(min(errors.values()), rel=1e-12)
    assert found.score == pytest.approx(-10 * np.log10(min(errors.values())))
    scores = [one.score for one in found.members]
    assert scores == sorted(scores, reverse=True)


def test_a_suite_is_full_even_where_fewer_would_err_less() -> None:
    """Two good networks, all others weak, as proxies say it: the best pair alone would be expected to err less."""
    candidates = [
        candidate(name, score) for name, score in (("a-1", 30.0), ("a-2", 30.0), ("b-1", 28.0), ("b-2", 27.9))
    ]
    deviations = 10 ** (-np.array([one.score for one in candidates]) / 20)
    covariance = np.outer(deviations, deviations) * (0.95 + 0.05 * np.eye(4))
    assert error_of_mean(covariance, (0, 1)) < error_of_mean(covariance, (0, 1, 2))  # known wrong: fewer members
    assert ids(select_complementary(candidates, covariance)) == ["a-1", "a-2", "b-1"]
    assert ids(select_complementary(candidates[:2], covariance[:2, :2])) == ["a-1", "a-2"]


def test_two_large_networks_that_fill_the_limit_may_win_over_three_small_ones() -> None:
    costs = {"a-1": 5.0, "a-2": 5.0, "b-1": 3.0, "b-2": 3.0, "b-3": 3.0}
    for small, expected in ((28.0, ["a-1", "a-2"]), (29.95, ["b-1", "b-2", "b-3"])):
        candidates = [candidate(name, 30.0 if name[0] == "a" else small, macs) for name, macs in costs.items()]
        deviations = 10 ** (-np.array([one.score for one in candidates]) / 20)
        covariance = np.outer(deviations, deviations) * (0.8 + 0.2 * np.eye(5))
        assert ids(select_complementary(candidates, covariance, {"macs_per_pixel": 10.0})) == expected


def test_unlike_errors_win_over_better_scores_of_the_same_kind() -> None:
    """Nothing tells the choice of families: with errors alike across families the best scores win."""
    scores = {"rcan-a": 30.0, "rcan-b": 29.99, "rcan-c": 29.98, "drn-a": 29.9}
    candidates = [candidate(name, score) for name, score in scores.items()]
    deviations = 10 ** (-np.array([one.score for one in candidates]) / 20)
    is_drn = np.array([one.family == "drn" for one in candidates])
    for across, third in ((0.98, "rcan-c"), (0.93, "drn-a")):
        correlation = np.where(is_drn[:, None] != is_drn, across, 0.98)
        np.fill_diagonal(correlation, 1.0)
        found = select_complementary(candidates, np.outer(deviations, deviations) * correlation)
        assert ids(found) == ["rcan-a", "rcan-b", third]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [np.inf, 12.0, 5.0])
def test_exchanges_come_near_the_best_of_many(seed: int, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, covariance = trials(40, seed)
    best = select_complementary(candidates, covariance, {"macs_per_pixel": limit})
    monkeypatch.setattr(suite, "MOST_SUITES", 100)
    near = select_complementary(candidates, covariance, {"macs_per_pixel": limit})
    assert tuple(sorted(int(one.id) for one in near.members)) in allowed(candidates, limit, 3)
    assert best.score is not None
    assert near.score is not None
    assert best.score - 0.005 <= near.score <= best.score + 1e-9


def test_the_order_of_trials_changes_nothing() -> None:
    candidates, covariance = trials(12, 5)
    rng = np.random.default_rng(0)
    expected = select_complementary(candidates, covariance)
    for _ in range(5):
        order = rng.permutation(12)
        found = select_complementary([candidates[i] for i in order], covariance[np.ix_(order, order)])
        assert ids(found) == ids(expected)
        assert found.score == pytest.approx(expected.score, abs=1e-9)


def test_one_trial_is_a_suite_and_none_is_none() -> None:
    one = [candidate("rcan-a", 30.0)]
    found = select_complementary(one, np.array([[1e-3]]))
    assert (ids(found), found.weights) == (["rcan-a"], (1.0,))
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
