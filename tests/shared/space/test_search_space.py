"""Search spaces: numbering, neighbours, identity, strictness."""

import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SpecError, UsageError
from shared.space import SearchSpace
from shared.spec import parse

FLAT = {"features": [16, 32, 64], "blocks": [2, 4, 8], "op1": ["conv", None, [1, 2]]}
FAMILIES = {
    "drn": {"features": [16, 32], "blocks": [2, 4, 8], "stages": [1, 3]},
    "rcan": {"features": [32, 64, 128], "groups": [1, 2]},
}
CONSTANTS = {"scale": 4, "image_skip": "bicubic"}

names = st.text("abcdefgh", min_size=1, max_size=3)
numbers = st.lists(st.integers(-50, 50) | st.sampled_from([0.5, 1.25, 7.5]), min_size=1, max_size=4, unique=True).map(
    sorted
)
labels = st.lists(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.text("xyz", max_size=2)
    | st.lists(st.integers(0, 2), max_size=2),
    min_size=1,
    max_size=4,
    unique_by=lambda value: json.dumps(value),
)


@st.composite
def spaces(draw):
    ordinals = draw(st.dictionaries(names, numbers, min_size=1, max_size=3))
    unordered = draw(st.dictionaries(names.map(str.upper), labels, max_size=2))
    if draw(st.booleans()):
        return SearchSpace.from_choices({**ordinals, **unordered}, categorical=unordered)
    families = draw(st.lists(st.sampled_from(["drn", "rcan", "dual"]), min_size=1, max_size=3, unique=True))
    chosen = {
        family: {name: ordinals[name] for name in draw(st.sets(st.sampled_from(sorted(ordinals))))}
        for family in families
    }
    chosen[families[0]] |= unordered
    return SearchSpace.from_families(chosen, {"scale": 2}, categorical=unordered)


def canonical(point):
    return json.dumps(point, sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_numbers_and_points_match_one_to_one(space):
    points = list(space.points())
    assert len(points) == space.size == len({canonical(point) for point in points})
    assert [space.index(point) for point in points] == list(range(space.size))
    assert [space.point(index) for index in range(space.size)] == points
    assert all(space.contains(point) for point in points)


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 10**6))
def test_neighbours_are_the_points_with_one_other_choice(space, number):
    point = space.point(number % space.size)
    by_hand = [
        other
        for other in space.points()
        if other.keys() == point.keys() and sum(canonical(other[key]) != canonical(point[key]) for key in point) == 1
        if other.get("family") == point.get("family")
    ]
    assert sorted(map(canonical, space.neighbours(point))) == sorted(map(canonical, by_hand))
    for other in space.neighbours(point):
        assert point in space.neighbours(other)


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_a_space_survives_its_dict_and_json(space):
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)
    assert again.sha256 == space.sha256
    assert list(again.points()) == list(space.points())


@settings(max_examples=30, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_samples_are_points_and_follow_the_seed(space, seed):
    first, second = (space.sample(np.random.default_rng(seed)) for _ in range(2))
    assert first == second
    assert space.contains(first)


def test_a_flat_point_has_the_dimensions_alone():
    space = SearchSpace.from_choices(FLAT, categorical=("op1",), constants=CONSTANTS)
    assert space.size == 27
    assert space.constants == CONSTANTS
    assert {canonical(point) for point in space.points()} == {
        canonical(dict(zip(FLAT, values, strict=True))) for values in itertools.product(*FLAT.values())
    }


def test_a_conditional_point_has_its_family_and_only_its_dimensions():
    space = SearchSpace.from_families(FAMILIES, CONSTANTS)
    assert space.size == 2 * 3 * 2 + 3 * 2
    assert {frozenset(point) for point in space.points()} == {
        frozenset({"family", "features", "blocks", "stages"}),
        frozenset({"family", "features", "groups"}),
    }


def test_the_order_of_writing_does_not_matter():
    other = {name: dict(reversed(choices.items())) for name, choices in reversed(FAMILIES.items())}
    one, two = (
        SearchSpace.from_families(FAMILIES, CONSTANTS),
        SearchSpace.from_families(other, dict(reversed(CONSTANTS.items()))),
    )
    assert one == two
    assert list(one.points()) == list(two.points())
    assert SearchSpace.from_choices({"op": [3, 1]}, ["op"]) == SearchSpace.from_choices({"op": [1, 3]}, ["op"])


def test_every_part_changes_the_sha256():
    changed = [
        SearchSpace.from_families(FAMILIES, CONSTANTS),
        SearchSpace.from_families(FAMILIES, {**CONSTANTS, "scale": 2}),
        SearchSpace.from_families(FAMILIES, CONSTANTS, categorical=["groups"]),
        SearchSpace.from_families({**FAMILIES, "rcan": {"features": [32, 64, 128], "groups": [1, 3]}}, CONSTANTS),
        SearchSpace.from_families({**FAMILIES, "dual_regression": FAMILIES["rcan"]}, CONSTANTS),
        SearchSpace.from_choices(FAMILIES["drn"], constants=CONSTANTS),
    ]
    assert len({space.sha256 for space in changed}) == len(changed)
    assert len(set(changed)) == len(changed)


def test_the_sha256_is_that_of_the_canonical_json():
    space = SearchSpace.from_choices({"b": [1, 2.5], "a": [3.0]}, constants={"scale": 4})
    text = '{"categorical":[],"choices":{"a":[3],"b":[1,2.5]},"constants":{"scale":4},"schema":"gpnas-sr/space/1"}'
    assert space.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_space_beyond_64_bits_is_numbered_exactly():
    space = SearchSpace.from_choices({f"d{place:02}": list(range(10)) for place in range(25)})
    assert space.size == 10**25
    point = {f"d{place:02}": (7 * place) % 10 for place in range(25)}
    assert space.index(point) == int("".join(str(value) for value in point.values()))
    assert space.point(space.index(point)) == point
    assert len(space.neighbours(point)) == 25 * 9
    assert next(space.points()) == dict.fromkeys(point, 0), "enumeration is lazy"
    drawn = np.array(
        [list(space.point(index).values()) for index in space.sample_indices(np.random.default_rng(0), 4000)]
    )
    assert np.abs(drawn.mean(axis=0) - 4.5).max() < 6 * 2.87 / np.sqrt(4000), "every digit is uniform"
    assert space.contains(space.sample(np.random.default_rng(1)))


def test_samples_are_uniform_over_points_not_over_families():
    space = SearchSpace.from_families({"big": {"a": list(range(30))}, "small": {"a": [1, 2]}})
    counts = np.bincount(space.sample_indices(np.random.default_rng(0), 32_000), minlength=32)
    assert np.abs(counts - 1000).max() < 6 * np.sqrt(1000)


def test_choices_are_copies():
    space = SearchSpace.from_choices({"op": [[1, 2], [3]]}, ["op"], constants={"list": [1]})
    before = space.sha256
    space.point(0)["op"].append(99)
    space.constants["list"].append(99)
    next(space.points())["op"].append(99)
    assert space.point(0) == {"op": [1, 2]}
    assert space.constants == {"list": [1]}
    assert SearchSpace.from_dict(space.to_dict()).sha256 == before


def test_equal_numbers_are_one_choice_but_true_is_not_1():
    space = SearchSpace.from_choices({"a": [1, 2], "flag": [True, 1, "1"]}, ["flag"])
    assert space.index({"a": 1.0, "flag": 1}) == space.index({"a": np.int64(1), "flag": 1.0})
    assert len({space.index({"a": 1, "flag": flag}) for flag in (True, 1, "1")}) == 3
    assert not space.contains({"a": True, "flag": True})
    assert SearchSpace.from_choices({"a": np.array([1, 2, 4])}) == SearchSpace.from_choices({"a": [1, 2, 4]})


def test_points_with_the_constants_are_architectures():
    rcan = {**FAMILIES["rcan"], "blocks": [1]}
    space = SearchSpace.from_families({"drn": FAMILIES["drn"], "rcan": rcan}, CONSTANTS)
    ids = {parse({**space.constants, **point}).id for point in space.points()}
    assert len(ids) == space.size


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"features": 32, "groups": 1}, "family is missing"),
        ({"family": "rcam", "features": 32, "groups": 1}, "did you mean 'rcan'"),
        ({"family": ["rcan"], "features": 32, "groups": 1}, "expected one of"),
        ({"family": "rcan", "features": 32, "group": 1}, "did you mean 'groups'"),
        ({"family": "rcan", "features": 32}, "groups is missing"),
        ({"family": "rcan", "features": 16, "groups": 1}, r"expected one of \[32, 64, 128\]"),
        ({"family": "rcan", "features": {1}, "groups": 1}, "expected one of"),
        ({"family": "rcan", "features": 32, "groups": 1, "stages": 1}, "got 'stages'"),
    ],
)
def test_what_is_no_point_is_refused_with_the_nearest_name(point, message):
    space = SearchSpace.from_families(FAMILIES, CONSTANTS)
    assert not space.contains(point)
    with pytest.raises(SpecError, match=message):
        space.index(point)


def test_a_number_out_of_range_and_a_newer_schema_are_refused():
    space = SearchSpace.from_families(FAMILIES)
    for index in (-1, space.size):
        with pytest.raises(UsageError, match=f"expected 0 to {space.size - 1}"):
            space.point(index)
    with pytest.raises(SpecError, match="newer"):
        SearchSpace.from_dict({**space.to_dict(), "schema": "gpnas-sr/space/2"})
    with pytest.raises(SpecError, match="did you mean 'constants'"):
        SearchSpace.from_dict({**space.to_dict(), "constant": {}})
