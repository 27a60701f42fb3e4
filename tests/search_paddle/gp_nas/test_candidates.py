"""Which points are compared, and which is taken."""

import numpy as np
import pytest

from search_paddle.gp_nas import candidates
from search_paddle.gp_nas.candidates import Choice, Feasibility
from search_paddle.gp_nas.encoding import make_encoding
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(10)), "b": list(range(10)), "c": list(range(10))})
ENCODING = make_encoding(SPACE)


def choice(space=SPACE, *, seen=(), feasible=None, seed=0):
    check = Feasibility(space=space, feasible=feasible)
    encoding = ENCODING if space is SPACE else make_encoding(space)
    return Choice(encoding=encoding, seen=set(seen), feasible=check, rng=np.random.default_rng(seed))


def bowl(codes):
    """Largest at 7, 2, 5, its only local optimum."""
    return -np.sum((codes[:, 1:] - [7, 2, 5]) ** 2, axis=1).astype(float)


TOP = 725


@pytest.fixture
def as_a_large_space(monkeypatch):
    """Searches by neighbours, as in a space too large to be compared whole."""
    monkeypatch.setattr(candidates, "ENUMERATED", 0)
    monkeypatch.setattr(candidates, "RANDOM_POINTS", 12)


def test_a_small_space_is_compared_whole():
    assert choice().maximise(bowl, bowl, []) == TOP
    assert choice(seen=[TOP]).maximise(bowl, bowl, []) in {625, 825, 715, 735, 724, 726}


def test_local_search_finds_the_optimum_that_random_points_miss(as_a_large_space):
    for seed in range(10):
        assert choice(seed=seed).maximise(bowl, bowl, []) == TOP
        drawn = SPACE.sample_indices(np.random.default_rng(seed), 12)
        assert bowl(ENCODING.codes(drawn)).max() < 0


def test_local_search_goes_on_from_trained_points(as_a_large_space):
    def needle(codes):
        return (
            -1e3 * (codes[:, 1] != 3) - 1e3 * (codes[:, 2] != 3) - np.abs(codes[:, 3] - 4.0) - 1.0 * (codes[:, 3] == 4)
        )

    assert choice(seen=[339]).maximise(needle, needle, [339]) in {333, 335, 334}


def test_an_infeasible_summit_is_climbed_to_its_edge(as_a_large_space):
    """The objective grows into what is forbidden, as accuracy does with the number of weights."""

    def feasible(point):
        return point["a"] + point["b"] + point["c"] <= 9

    def slope(codes):
        return codes[:, 1:] @ [3.0, 2.0, 1.0]

    for seed in range(5):
        found = SPACE.point(choice(seed=seed, feasible=feasible).maximise(slope, slope, []))
        assert sum(found.values()) == 9
        assert 3 * found["a"] + 2 * found["b"] + found["c"] >= 23, "27 at most; a random feasible point has 12"


def test_two_changes_at_once_follow_a_limit_of_cost(as_a_large_space, monkeypatch):
    """Along the edge every better point needs one choice more and another less."""

    def feasible(point):
        return point["a"] + point["b"] <= 9

    def along(codes):
        return 10.0 * (codes[:, 1] + codes[:, 2]) - np.abs(codes[:, 1] - 7)

    def found(pairs):
        monkeypatch.setattr(candidates, "PAIRS", pairs)
        ends = [SPACE.point(choice(seed=seed, feasible=feasible).maximise(along, along, [])) for seed in range(8)]
        return [(point["a"], point["b"]) for point in ends]

    assert set(found(1000)) == {(7, 2)}
    assert set(found(0)) != {(7, 2)}


def test_the_screen_chooses_what_is_compared_and_the_acquisition_decides(monkeypatch):
    monkeypatch.setattr(candidates, "SCREENED", 10)
    assert choice().maximise(lambda codes: -bowl(codes), bowl, []) != TOP
    assert choice(feasible=lambda point: point["a"] == 0).maximise(bowl, bowl, []) == 25, "none of the ten is allowed"


def test_feasible_is_asked_once_a_point_and_only_where_needed():
    asked = []

    def feasible(point):
        asked.append(SPACE.index(point))
        return SPACE.index(point) % 2 == 1

    one = choice(feasible=feasible)
    assert one.maximise(bowl, bowl, []) == TOP
    assert asked == [TOP]
    other = Choice(encoding=ENCODING, seen={TOP}, feasible=one.feasible, rng=np.random.default_rng(1))
    assert other.maximise(bowl, bowl, []) % 2 == 1
    assert len(asked) == len(set(asked)) < 10


def test_what_feasible_does_to_its_point_changes_nothing():
    def vandal(point):
        allowed = point.pop("a") == 3
        point.clear()
        return allowed

    assert choice(feasible=vandal).maximise(bowl, bowl, []) == 325


def test_ties_follow_the_seed_and_not_the_order_given():
    flat = np.zeros(SPACE.size)
    forward = [choice(seed=seed).best(list(range(SPACE.size)), flat) for seed in range(20)]
    backward = [choice(seed=seed).best(list(reversed(range(SPACE.size))), flat) for seed in range(20)]
    assert forward == backward
    assert len(set(forward)) > 15
    noise = 1e-12 * np.random.default_rng(0).standard_normal(SPACE.size)
    assert [choice(seed=seed).best(list(range(SPACE.size)), flat + noise) for seed in range(20)] == forward
    real = 1e-6 * np.random.default_rng(0).standard_normal(SPACE.size)
    assert [choice(seed=seed).best(list(range(SPACE.size)), flat + real) for seed in range(20)] != forward


def test_one_feasible_point_in_a_thousand_is_found_and_none_ends_the_search(as_a_large_space):
    assert choice(feasible=lambda point: SPACE.index(point) == 123).maximise(bowl, bowl, []) == 123
    assert choice(feasible=lambda point: False).maximise(bowl, bowl, []) is None
    assert choice(seen=range(1000)).maximise(bowl, bowl, [5]) is None


def test_a_huge_space_without_feasible_points_ends_after_so_many_draws(monkeypatch):
    monkeypatch.setattr(candidates, "DRAWS", 50)
    space, asked = SearchSpace.from_choices({f"d{place:02}": list(range(10)) for place in range(25)}), []
    assert choice(space, feasible=lambda point: asked.append(1)).any() is None
    assert len(asked) == 50
