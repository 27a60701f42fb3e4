"""Contract of a sampler: every row of SAMPLERS keeps it on every space."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.acquisition import ACQUISITIONS
from shared.space import SearchSpace

SAMPLERS = {name: partial(GPNAS, acquisition=name) for name in ACQUISITIONS}
SPACES = {
    "flat": SearchSpace.from_choices({"features": [16, 32, 64], "blocks": [2, 4, 8], "op": ["a", None, [1]]}, ["op"]),
    "single": SearchSpace.from_choices({"features": [16]}),
    "conditional": SearchSpace.from_families(
        {
            "drn": {"features": [16, 32, 64], "blocks": [2, 4], "stages": [1, 3]},
            "rcan": {"features": [32, 64], "groups": [1, 2, 5], "mode": ["x", "y"]},
            "dual_regression": {"features": [16]},
        },
        {"scale": 4},
        ["mode"],
    ),
    "large": SearchSpace.from_choices({f"c{place}": list(range(6)) for place in range(8)}),
}
CASES = [
    pytest.param(make, space, id=f"{name}-{kind}") for name, make in SAMPLERS.items() for kind, space in SPACES.items()
]


def key(point):
    return json.dumps(point, sort_keys=True)


def score(space, point):
    """A smooth value with a little noise; a tenth of the trainings fails. A function of the point alone."""
    index = space.index(point)
    _, digits = space.digits(index)
    noise = np.random.default_rng([7, index % 2**63]).random(2)
    return float("nan") if noise[0] < 0.1 else sum(digits) - 0.1 * sum(digit**2 for digit in digits) + 0.1 * noise[1]


def feasible(point):
    """Refuses about a third."""
    return np.random.default_rng(list(key(point).encode())).random() > 1 / 3


def search(sampler, space, rounds, batch):
    journal = []
    for _ in range(rounds):
        points = sampler.ask(batch)
        if not points:
            break
        journal.append((points, [score(space, point) for point in points]))
        sampler.tell(*journal[-1])
    return journal


@pytest.mark.parametrize(("make", "space"), CASES)
def test_it_never_repeats_never_proposes_the_infeasible_and_ends_when_exhausted(make, space):
    sampler = make(space, seed=0, feasible=feasible)
    rounds = 6 if space.size > 1000 else space.size
    proposed = [point for points, _ in search(sampler, space, rounds, 3) for point in points]
    assert all(space.contains(point) and feasible(point) for point in proposed)
    assert len({key(point) for point in proposed}) == len(proposed)
    if space.size <= 1000:
        assert {key(point) for point in proposed} == {key(point) for point in space.points() if feasible(point)}
        assert sampler.ask(5) == []


@pytest.mark.parametrize(("make", "space"), CASES)
def test_pending_points_are_not_proposed_again(make, space):
    sampler = make(space, seed=0)
    proposed = [point for _ in range(4) for point in sampler.ask(3)]
    assert len({key(point) for point in proposed}) == len(proposed) == min(12, space.size)


@pytest.mark.parametrize(("make", "space"), CASES)
def test_the_seed_decides(make, space):
    journals = [search(make(space, seed=seed), space, 5, 3) for seed in (0, 0, 1)]
    assert repr(journals[0]) == repr(journals[1])
    if space.size > 1000:
        assert repr(journals[0]) != repr(journals[2])


@pytest.mark.parametrize(("make", "space"), CASES)
def test_a_sampler_rebuilt_from_its_saved_journal_goes_on_alike(make, space):
    sampler = make(space, seed=2, feasible=feasible)
    journal = json.loads(json.dumps(search(sampler, space, 5, 3)))  # JSON as Python writes it keeps NaN
    rebuilt, at_once = (make(space, seed=2, feasible=feasible) for _ in range(2))
    for points, scores in journal:
        rebuilt.tell(points, scores)
    at_once.tell(*([item for part in parts for item in part] for parts in zip(*reversed(journal), strict=True)))
    following = sampler.ask(4)
    assert rebuilt.ask(4) == following
    assert at_once.ask(4) == following, "nor does the order in which they are told matter"


@pytest.mark.parametrize(("make", "space"), CASES)
def test_only_failures_are_no_obstacle(make, space):
    sampler, proposed = make(space, seed=0), []
    for value in [float("nan"), float("inf"), float("-inf")] * 4:
        points = sampler.ask(2)
        proposed += points
        sampler.tell(points, [value] * len(points))
    assert len({key(point) for point in proposed}) == len(proposed) == min(24, space.size)
    mean, std = sampler.predict(proposed)
    assert np.isfinite(mean).all()
    assert np.all(std > 0)


@pytest.mark.parametrize(("make", "space"), CASES)
def test_nothing_feasible_gives_nothing(make, space):
    if space.size <= 1000:
        assert make(space, seed=0, feasible=lambda point: False).ask(3) == []


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_order_of_asking_and_telling_keeps_the_contract(make, data):
    space = SPACES["conditional"]
    sampler, pending, proposed = make(space, seed=data.draw(st.integers(0, 3)), feasible=feasible), [], []
    for _ in range(8):
        points = sampler.ask(data.draw(st.integers(0, 3)))
        proposed, pending = [*proposed, *points], [*pending, *points]
        chosen = [point for point in pending if data.draw(st.booleans())]
        pending = [point for point in pending if point not in chosen]
        sampler.tell(chosen, [data.draw(st.floats(-1e6, 1e6) | st.just(float("nan"))) for _ in chosen])
    assert len({key(point) for point in proposed}) == len(proposed)
    assert all(space.contains(point) and feasible(point) for point in proposed)
