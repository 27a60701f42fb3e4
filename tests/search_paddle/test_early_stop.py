"""The floors of a round and the score to expect of a stopped training, by hand."""

import math
from typing import Any

import numpy as np
import pytest

from search_paddle.config import SearchConfig, make_config
from search_paddle.early_stop import FROM, expected_score, floors, scores_by_steps
from shared.records.trial import Trial

STEPS = (100, 200, 300)


def trial(number: int, scores: tuple[float, ...], status: str = "done", **fields: Any) -> Trial:
    return Trial(
        **{
            "trial": number,
            "round": number // 4,
            "id": f"drn-x2-{number}",
            "point": {},
            "architecture": {"family": "drn"},
            "status": status,
            "reason": None if status == "done" else "why",
            "score": scores[-1] if status == "done" and scores else None,
            "bicubic": 28.0,
            "psnr_rgb": {},
            "predicted": None,
            "validation": tuple(zip(STEPS, scores, strict=False)),
            "curve": (),
            "steps": STEPS[len(scores) - 1] if scores else 0,
            "seed": 0,
            "seconds": 0.0,
            "elapsed": 0.0,
            "cost": {},
            **fields,
        }
    )


def config(margin: float | None) -> SearchConfig:
    return make_config({"stop_margin": margin, "proxy": {"steps": 300, "validations": 3}})


FINALS = np.array([29.0, 29.5, 30.0, 29.2, 29.8, 29.1, 29.4, 29.6])
EARLY = FINALS - np.array([1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.3, 0.7])  # gains: mean 1.0, std 0.2
DONE = [trial(i, (early, final - 0.5, final)) for i, (early, final) in enumerate(zip(EARLY, FINALS, strict=True))]
MEMBERS = [DONE[2], DONE[4], DONE[7]]  # the worst has 29.6


def test_a_floor_is_the_worst_member_less_the_expected_gain_and_the_margin() -> None:
    assert floors(DONE, MEMBERS, config(0.0)) == [(100, pytest.approx(28.6)), (200, pytest.approx(29.1))]
    assert floors(DONE, MEMBERS, config(2.0)) == [(100, pytest.approx(28.2)), (200, pytest.approx(29.1))]


def test_nothing_stops_by_default_or_before_enough_trainings_came_to_their_end() -> None:
    assert SearchConfig().stop_margin is None
    assert floors(DONE, MEMBERS, config(None)) == []
    assert len(DONE) == FROM
    others = [trial(8, (28.0,), "stopped"), trial(9, (), "failed")]
    assert floors([*DONE[1:], *others], MEMBERS, config(0.0)) == []
    assert floors(DONE, [], config(0.0)) == []
    without = [trial(i, (), score=29.0) for i in range(9)]  # a journal of before: no validations
    assert floors(without, without[:1], config(0.0)) == []


def test_the_score_to_expect_of_a_stopped_training_adds_the_gain_of_the_others() -> None:
    assert expected_score(trial(8, (28.1,), "stopped"), DONE) == pytest.approx(29.1)
    assert expected_score(trial(8, (28.1, 28.4), "stopped"), DONE) == pytest.approx(28.9)
    assert expected_score(DONE[0], []) == 29.0
    assert math.isnan(expected_score(trial(8, (), "failed"), DONE))


def test_the_sampler_is_told_learning_curves_where_trainings_may_stop_and_ends_where_none_does() -> None:
    stopped, failed = trial(8, (28.1, 28.4), "stopped"), trial(9, (28.0,), "failed")
    assert scores_by_steps(stopped, config(1.0)) == {100: 28.1, 200: 28.4}
    assert scores_by_steps(DONE[0], config(1.0)) == dict(DONE[0].validation)
    assert scores_by_steps(DONE[0], config(None)) == {300: 29.0}
    assert list(scores_by_steps(failed, config(1.0))) == [300]
    assert math.isnan(scores_by_steps(failed, config(1.0))[300])
