"""Codes of points."""

import numpy as np
import pytest

from search_paddle.gp_nas.encoding import ABSENT, make_encoding
from shared.space import SearchSpace

CONDITIONAL = SearchSpace.from_families(
    {"drn": {"features": [16, 64], "op": ["a", "b"]}, "rcan": {"features": [32, 64], "groups": [1, 2, 4]}},
    categorical=["op"],
)


def by_hand(space, encoding, index):
    """The code of each column by looking the choice up."""
    point = space.point(index)
    families = [branch.name for branch in space.branches]
    row = [families.index(point.get("family"))]
    return row + [c.choices.index(point[c.name]) if c.name in point else ABSENT for c in encoding.columns]


BIG = SearchSpace.from_choices({f"d{place:02}": list(range(0, 30, 3)) for place in range(25)})
FLAT = SearchSpace.from_choices({"a": [1, 5], "b": [2]})


@pytest.mark.parametrize("space", [CONDITIONAL, FLAT, BIG])
def test_codes_count_the_union_of_choices(space):
    encoding = make_encoding(space)
    indices = range(space.size) if space.size < 100 else space.sample_indices(np.random.default_rng(0), 20)
    assert encoding.codes(indices).tolist() == [by_hand(space, encoding, index) for index in indices]
    assert encoding.codes([]).shape == (0, 1 + len(encoding.columns))


@pytest.mark.parametrize("space", [CONDITIONAL, FLAT, BIG])
def test_neighbours_come_with_their_codes(space):
    encoding = make_encoding(space)
    for index in [0, space.size - 1, *space.sample_indices(np.random.default_rng(1), 3)]:
        indices, codes = encoding.neighbours(index)
        assert indices == space.neighbour_indices(index)
        assert np.array_equal(codes, encoding.codes(indices))


def test_a_point_without_dimensions_has_no_neighbours():
    encoding = make_encoding(SearchSpace.from_families({"rcan": {}, "drn": {"a": [1, 2]}}))
    indices, codes = encoding.neighbours(2)
    assert indices == []
    assert codes.shape == (0, 2)


def test_positions_are_even_among_the_choices_of_the_families():
    features = make_encoding(CONDITIONAL).columns[0]
    assert features.choices == (16, 32, 64)
    assert features.positions([0, 1]).tolist() == [0.0, 0.5, 1.0]
    assert features.positions([0])[[0, 2]].tolist() == [0.0, 1.0]
    assert features.positions([1])[[1, 2]].tolist() == [0.0, 1.0]
