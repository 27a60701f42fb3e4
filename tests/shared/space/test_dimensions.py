"""Dimensions and families that cannot be part of a search space."""

import pytest

from shared.errors import SpecError
from shared.space import SearchSpace


@pytest.mark.parametrize(
    ("choices", "categorical", "message"),
    [
        ({}, (), "no dimension"),
        ({"a": []}, (), "no choice"),
        ({"a": [1, 1.0]}, (), "every choice once"),
        ({"a": [2, 1]}, (), r"ascending numbers \[1, 2\]"),
        ({"a": ["x", "y"]}, (), "among the categorical names"),
        ({"a": [False, True]}, (), "among the categorical names"),
        ({"a": [1.0, float("nan")]}, (), "expected a JSON value"),
        ({"a": [object()]}, ["a"], "expected a JSON value"),
        ({"a": "xyz"}, ["a"], "expected a list of choices"),
        ({"a": {"x": 1}}, ["a"], "expected a list of choices"),
        ({"features": [1]}, ["feature"], "did you mean 'features'"),
        ({"": [1]}, (), "expected text"),
        ({3: [1]}, (), "expected text"),
    ],
)
def test_choices_that_are_none_are_refused(choices, categorical, message):
    with pytest.raises(SpecError, match=message):
        SearchSpace.from_choices(choices, categorical)


@pytest.mark.parametrize(
    ("families", "constants", "message"),
    [
        ({}, {}, "no family"),
        ({"drn": [1]}, {}, "expected a table"),
        ({"drn": {"family": [1]}}, {}, "use another name"),
        ({"drn": {"a": [1]}}, {"a": 1}, "drop one"),
        ({"drn": {"a": [1]}}, {"family": "drn"}, "drop one"),
        ({"drn": {"a": [1]}}, {"x": float("inf")}, "expected a JSON value"),
    ],
)
def test_families_that_are_none_are_refused(families, constants, message):
    with pytest.raises(SpecError, match=message):
        SearchSpace.from_families(families, constants)
