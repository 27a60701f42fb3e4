"""Where two descriptions of a work differ."""

from shared.identity import differences

HERE = {"id": "a", "config": {"steps": 3, "proxy": {"patch": 8}}}


def test_equal_objects_do_not_differ() -> None:
    assert differences(HERE, {**HERE}) == []


def test_each_field_inside_is_named_with_both_values() -> None:
    there = {"id": "b", "config": {"steps": 3, "proxy": {"patch": 9}}}
    assert differences(there, HERE) == ["id: 'b' there, 'a' here", "config.proxy.patch: 9 there, 8 here"]


def test_a_field_that_one_side_lacks_is_a_difference() -> None:
    assert differences({"id": "a"}, HERE) == [
        "config.steps: None there, 3 here",
        "config.proxy.patch: None there, 8 here",
    ]
    assert differences({**HERE, "seed": 1}, HERE) == ["seed: 1 there, None here"]


def test_a_default_stands_for_what_there_lacks_and_for_nothing_else() -> None:
    there = {"id": "a", "config": {"proxy": {"patch": 8}}}
    assert differences(there, HERE, {"config.steps": 3, "unknown": 5}) == []
    assert differences(there, HERE, {"config.steps": 4}) == ["config.steps: 4 there, 3 here"]
    assert differences(HERE, HERE, {"config.steps": 4}) == []
