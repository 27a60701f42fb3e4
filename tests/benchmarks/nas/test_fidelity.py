"""The comparison of models told with and without steps, on scores whose answer is known."""

import numpy as np
import pytest

from benchmarks.nas.fidelity import MODELS, Case, judge, markdown
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(6)), "b": list(range(6))})


def case(agree: bool) -> Case:
    """Long scores without structure; short ones that are the same on another scale, or others."""
    rng = np.random.default_rng(0)
    long, other = rng.standard_normal((2, SPACE.size))
    return Case(
        name="made up",
        space=SPACE,
        points=list(SPACE.points()),
        short=10.0 + 3.0 * (long if agree else other),
        long=long,
        steps=(10, 40),
        sizes=((12, 36),),
    )


def test_steps_help_where_short_and_long_agree_and_equal_treatment_harms_where_they_do_not():
    (row,) = judge(case(agree=True), draws=3)
    assert row["agree"] == pytest.approx(1.0)
    assert row["tau"]["with steps"] > 0.9
    assert row["gain"] == pytest.approx(row["tau"]["with steps"] - row["tau"]["long alone"])
    assert row["gain"] > 0.5
    (other,) = judge(case(agree=False), draws=3)
    assert abs(other["gain"]) < 0.4
    assert set(row["coverage"]) == set(MODELS)
    text = markdown([row, other])
    assert text.count("\n") == 3
    assert "| 12, 36 |" in text
