import itertools

import pytest

from shared.records.ablation import AblationTable, PairedGain
from shared.records.trial import Trial
from shared.report.summary import calibration, member_names, running_best, tables

BOTH = ("self_ensemble", "patch_ensemble")


def trial(number, score, mean=None, std=0.1):
    return Trial(
        trial=number,
        round=0,
        id=f"drn-x4-{number:012x}",
        point={},
        architecture={"family": "drn"},
        status="failed" if score is None else "done",
        reason="why" if score is None else None,
        score=score,
        bicubic=26.0,
        psnr_rgb={},
        predicted=None if mean is None else {"mean": mean, "std": std},
        curve=(),
        steps=0,
        seed=0,
        seconds=0.0,
        elapsed=0.0,
        cost={},
    )


def test_running_best_passes_over_failures():
    trials = [trial(0, None), trial(1, 28.0), trial(2, None), trial(3, 27.0), trial(4, 29.0)]
    assert running_best(trials) == [(1, 28.0), (2, 28.0), (3, 28.0), (4, 29.0)]


def test_tau_and_coverage_by_counting():
    scores, means = [28.0, 28.5, 29.0, 29.5, 30.0], [28.1, 29.1, 28.7, 29.45, 30.5]
    fit = calibration([trial(index, *pair) for index, pair in enumerate(zip(scores, means, strict=True))])
    pairs = list(itertools.combinations(range(5), 2))
    concordant = sum((scores[i] - scores[j]) * (means[i] - means[j]) > 0 for i, j in pairs)
    assert fit.tau == pytest.approx((2 * concordant - len(pairs)) / len(pairs))
    assert fit.tau < 1  # the control: one pair of predictions stands the wrong way round
    assert fit.coverage == 2 / 5  # |error| <= 0.196: 28.0 and 29.5
    assert fit.error == pytest.approx((0.1 + 0.6 + 0.3 + 0.05 + 0.5) / 5)


def test_calibration_needs_predictions_of_trials_that_succeeded():
    assert calibration([trial(0, 28.0), trial(1, None, 28.0)]) is None
    assert calibration([trial(0, 28.0, 28.0)]).tau is None  # one point has no order
    assert calibration([trial(0, 28.0, 28.0), trial(1, 28.5, 28.0)]).tau is None  # neither have equal predictions


def test_rows_are_sorted_into_the_tables(demo):
    file = AblationTable.model_validate_json((demo / "ablation" / "ablation.json").read_bytes())
    found = tables(file)
    assert [len(rows) for rows in (found.singles, found.pairs, found.larger, found.others)] == [2, 1, 0, 0]
    assert found.ensemble is found.pairs[0]
    assert found.best.psnr_rgb == max(row.psnr_rgb for row in found.singles)
    assert [row.levels for row in found.levels] == [BOTH, ("patch_ensemble",), ("self_ensemble",), ()]
    assert {id(row) for row in (*found.singles, *found.pairs, *found.levels)} == {id(row) for row in file.rows}


def make_file(members, *, whole_levels=((*BOTH,), ())):
    subsets = [[each] for each in members] + ([members] if len(members) > 1 else [])
    rows = [{"members": subset, "levels": BOTH, "psnr_rgb": 28.0 + len(subset)} for subset in subsets]
    rows += [{"members": members, "levels": levels, "psnr_rgb": 27.0} for levels in whole_levels if levels != BOTH]
    value = {"schema": "gpnas-sr/ablation/1", "scale": 4, "crop": 4, "bicubic": {"psnr_rgb": 26.0}, "rows": rows}
    return AblationTable.model_validate(value, strict=False)


def test_a_suite_of_one_is_its_own_ensemble():
    found = tables(make_file(["a"]))
    assert found.ensemble is found.best
    assert [row.levels for row in found.levels] == [BOTH, ()]


def test_rows_without_a_single_make_no_table():
    file = make_file(["a", "b"])
    assert tables(file) is not None
    assert tables(file.model_copy(update={"rows": file.rows[2:]})) is None


def compare(metric, b, *, a=("a", "b"), gain=0.1):
    sides = {"a": {"members": a, "levels": BOTH}, "b": {"members": b, "levels": BOTH if b else ()}}
    return PairedGain.model_validate(
        {**sides, "metric": metric, "gain": gain, "low": 0.05, "high": 0.2, "confidence": 0.95}, strict=False
    )


def test_gains_are_those_of_the_whole_ensemble():
    found = tables(make_file(["a", "b"]))
    comparisons = [
        compare("psnr_rgb", (), gain=3.0),
        compare("psnr_y", (), gain=4.0),
        compare("psnr_rgb", ("a",), gain=1.0),
        compare("psnr_rgb", (), a=("a",), gain=9.0),  # of a single: not the ensemble's
    ]
    bicubic, single = found.gains(comparisons)
    assert (bicubic.members, bicubic.psnr_rgb.gain, bicubic.psnr_y.gain) == ((), 3.0, 4.0)
    assert (single.members, single.psnr_rgb.gain, single.psnr_y) == (("a",), 1.0, None)


def test_names_are_as_short_as_they_can_be():
    assert member_names(["drn-x4-5b0f3e0c1a2d", "rcan-x4-90fa6c7d8e1b"]) == {
        "drn-x4-5b0f3e0c1a2d": "DRN",
        "rcan-x4-90fa6c7d8e1b": "RCAN",
    }
    same = ["drn-x4-5b0f3e0c1a2d", "drn-x4-5b0f000c1a2d", "drn-x4-aaaa000c1a2d"]
    assert list(member_names(same).values()) == [*same[:2], "DRN aaaa"]
    twice = ["drn-x4-5b0f3e0c1a2d", "drn-x4-5b0f3e0c1a2d-2"]  # one architecture twice in a suite
    assert len(set(member_names(twice).values())) == 2
    assert member_names(["<script>"]) == {"<script>": "<script>"}
