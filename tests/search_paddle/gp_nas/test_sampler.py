"""GPNAS: its first design, its batches, its recommendation, and what it refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from search_paddle.gp_nas import GPNAS
from shared.errors import SpecError, UsageError
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(6)), "b": list(range(6)), "c": list(range(6))})
FAMILIES = SearchSpace.from_families(
    {"big": {"a": list(range(8)), "b": list(range(8)), "c": list(range(8))}, "mid": {"a": [0, 4, 7]}, "one": {}}
)


def score(point):
    return 30.0 - 0.2 * (point["a"] - 4) ** 2 - 0.1 * (point["b"] - 1) ** 2 + 0.05 * point["c"]


def told(count, sampler=None, batch=1):
    sampler = sampler or GPNAS(SPACE, seed=1)
    for _ in range(count // batch):
        points = sampler.ask(batch)
        sampler.tell(points, [score(point) for point in points])
    return sampler


def test_the_first_points_are_spread_and_off_the_rim():
    points = GPNAS(SPACE, seed=0).ask(5)
    positions = np.array([list(point.values()) for point in points]) / 5
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=2)[np.triu_indices(5, 1)]
    assert gaps.min() > 0.3
    assert np.mean((positions == 0) | (positions == 1)) < 1 / 3, "random points have a third of their choices at an end"


def test_the_first_points_take_families_in_turn():
    """One of them has a single point, which a uniform draw from 516 would hardly meet."""
    families = [point["family"] for point in GPNAS(FAMILIES, seed=0).ask(8)]
    assert set(families[:3]) == {"big", "mid", "one"}
    assert (families.count("one"), families.count("mid")) == (1, 3), "until they are exhausted"


def test_asking_for_four_is_asking_four_times():
    whole, single = told(12), told(12)
    assert whole.ask(4) == [point for _ in range(4) for point in single.ask(1)]
    fresh, other = GPNAS(SPACE, seed=3), GPNAS(SPACE, seed=3)
    assert fresh.ask(4) == [point for _ in range(4) for point in other.ask(1)]


def test_the_points_of_a_batch_differ_by_more_than_a_step():
    """Pending points have fantasies: a batch without that would crowd around one optimum."""
    sampler = told(16)
    batch = sampler.ask(6)
    assert len({json.dumps(point) for point in batch}) == 6
    spread = np.array([list(point.values()) for point in batch])
    assert np.abs(spread - spread[0]).sum(axis=1).max() >= 3


def test_the_optimum_is_found_and_recommended():
    sampler = told(30)
    assert sampler.recommend() == {"a": 4, "b": 1, "c": 5}
    mean, std = sampler.predict([{"a": 4, "b": 1, "c": 5}, {"a": 0, "b": 5, "c": 0}])
    assert mean[0] == pytest.approx(30.25, abs=0.1)
    assert mean[0] - mean[1] > 2.0
    assert np.all(std > 0)


def test_the_recommendation_is_better_than_the_highest_of_noisy_scores():
    regrets = []
    for seed in range(10):
        rng, sampler = np.random.default_rng(seed), GPNAS(SPACE, seed=0)
        points = [SPACE.point(int(index)) for index in rng.permutation(SPACE.size)[:60]]
        scores = [score(point) + 1.0 * rng.standard_normal() for point in points]
        sampler.tell(points, scores)
        best = max(map(score, points))
        regrets.append((best - score(sampler.recommend()), best - score(points[int(np.argmax(scores))])))
    ours, highest = np.mean(regrets, axis=0)
    assert ours < 0.8 * highest


def test_a_failing_region_does_not_hide_the_best_beside_it():
    """Two thirds of the trainings with the highest predictions fail."""
    sampler, found = GPNAS(SPACE, seed=0), []
    for _ in range(24):
        points = sampler.ask(1)
        found += [point for point in points if point["a"] < 4]
        sampler.tell(points, [score(point) if point["a"] < 4 else float("nan") for point in points])
    assert {"a": 3, "b": 1, "c": 5} in found
    assert sampler.recommend() == {"a": 3, "b": 1, "c": 5}


def test_told_points_need_not_be_asked_and_pending_ones_stay_pending():
    sampler = GPNAS(SPACE, seed=0)
    pending = sampler.ask(3)
    sampler.tell([SPACE.point(7), pending[0]], [29.0, 28.0])
    later = sampler.ask(SPACE.size)
    assert len(later) == SPACE.size - 4
    assert not [point for point in later if point in [SPACE.point(7), *pending]]
    assert sampler.ask(1) == []


def test_a_point_told_twice_is_averaged():
    sampler = told(10)
    point = sampler.ask(1)[0]
    sampler.tell([point, point, point], [10.0, 20.0, float("nan")])
    assert sampler.ask(1) != [point]
    assert sampler.predict([point])[0][0] < 29.0


def test_predict_before_and_after_the_first_score():
    sampler = GPNAS(SPACE, seed=0)
    points = [SPACE.point(index) for index in (0, 100)]
    mean, std = sampler.predict(points)
    assert mean == pytest.approx([0, 0], abs=1e-12)
    assert np.all((std > 0.5) & (std < 3))
    assert [len(part) for part in sampler.predict([])] == [0, 0]
    sampler.tell(points[:1], [31.5])
    mean, std = sampler.predict(points)
    assert mean == pytest.approx([31.5, 31.5], abs=1e-6)
    assert std[0] < std[1]
    assert mean.dtype == std.dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda sampler: sampler.ask(-1), UsageError, "at least 0"),
        (lambda sampler: sampler.tell([SPACE.point(0)], []), UsageError, "1 points and 0 scores"),
        (lambda sampler: sampler.tell([SPACE.point(0)], [None]), UsageError, r"a failed training is float\('nan'\)"),
        (lambda sampler: sampler.tell([{"a": 0, "b": 0}], [1.0]), SpecError, "c is missing"),
        (lambda sampler: sampler.predict([{"a": 0, "b": 0, "d": 0}]), SpecError, "got 'd'"),
        (lambda sampler: sampler.recommend(), UsageError, "no finite score"),
        (lambda sampler: GPNAS(SPACE, seed=-1), UsageError, "integer >= 0"),
        (lambda sampler: GPNAS(SPACE, seed=1.5), UsageError, "integer >= 0"),
        (
            lambda sampler: GPNAS(SPACE, acquisition="log_expected_improvemnt"),
            UsageError,
            "did you mean|expected one of",
        ),
    ],
)
def test_wrong_use_is_refused_and_changes_nothing(call, error, message):
    sampler = GPNAS(SPACE, seed=0)
    with pytest.raises(error, match=message):
        call(sampler)
    assert sampler.ask(3) == GPNAS(SPACE, seed=0).ask(3)


JOURNEY = """
import sys, json
sys.path[:0] = {path!r}
from search_paddle.gp_nas import GPNAS
from shared.space import SearchSpace
space = SearchSpace.from_choices({{name: list(range(9)) for name in "abcde"}})
sampler = GPNAS(space, seed=5)
for _ in range(6):
    points = sampler.ask(4)
    sampler.tell(points, [-sum((value - 3.3) ** 2 for value in point.values()) for point in points])
print(json.dumps([*sampler.ask(4), sampler.predict([space.point(7)])[0].tolist()]))
"""


def test_another_number_of_threads_gives_the_same_proposals():
    outputs = []
    for threads in ("1", "2"):
        environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)}
        script = JOURNEY.format(path=sys.path)
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        outputs.append(json.loads(done.stdout))
    assert outputs[0][:4] == outputs[1][:4]
    assert outputs[0][4] == pytest.approx(outputs[1][4], rel=1e-9)


def test_a_rebuilt_sampler_goes_on_alike_after_many_trainings():
    """Told in the same order in other portions, past the first fits that are skipped, with a failure and a pending batch."""
    rng = np.random.default_rng(0)
    points = [SPACE.point(int(index)) for index in rng.permutation(SPACE.size)[:33]]
    scores = [
        float("nan") if place == 7 else score(point) + 0.1 * rng.standard_normal() for place, point in enumerate(points)
    ]
    gradual, at_once = GPNAS(SPACE, seed=4), GPNAS(SPACE, seed=4)
    for place in range(24, 34):
        told = slice(0, 24) if place == 24 else slice(place - 1, place)
        gradual.tell(points[told], scores[told])
        if place % 3 == 0:
            gradual.predict(points[:2])
    at_once.tell(points, scores)
    assert gradual.ask(3) == at_once.ask(3)
    assert np.array_equal(gradual.predict(points), at_once.predict(points))
    assert gradual.recommend() == at_once.recommend()


def test_it_recommends_and_improves_on_the_highest_fidelity_only():
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(8)
    sampler.tell(points, [90.0 - number for number in range(8)], steps=[100] * 8)
    sampler.tell(points[2:6], [30.0, 31.0, 30.5, 29.0], steps=[400] * 4)
    assert sampler.recommend() in points[2:6]
    mean, _ = sampler.predict(points)
    assert np.all((mean > 20) & (mean < 40))
    assert sampler.ask(1)[0] not in points


def test_failures_at_the_highest_fidelity_count_as_failures_and_are_recommended_last():
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(12)
    sampler.tell(points, [30.0 + number for number in range(12)], steps=[100] * 12)
    sampler.tell(points[6:], [float("nan")] * 6, steps=[400] * 6)
    assert sampler.recommend() == points[5]
    sampler.tell(points[:2], [20.0, 21.0], steps=np.array([400, 400]))
    assert sampler.recommend() == points[1]


@pytest.mark.parametrize("steps", [[0], [1.5], [True], [1, 2]])
def test_steps_that_are_none_are_refused_and_nothing_is_added(steps):
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(1)
    with pytest.raises(UsageError, match=r"expected an integer >= 1|got 1 points and 2 steps, expected"):
        sampler.tell(points, [1.0], steps)
    with pytest.raises(UsageError, match="no finite score"):
        sampler.recommend()


@pytest.mark.parametrize("first", [None, [100]])
def test_trainings_with_and_without_steps_are_not_mixed(first):
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(2)
    sampler.tell(points[:1], [1.0], first)
    with pytest.raises(UsageError, match="in one way"):
        sampler.tell(points[1:], [1.0], [100] if first is None else None)
    assert len(sampler.ask(1)) == 1
