"""Tests and means of the summary against SciPy and by hand; the tables land between their marks."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks.nas import report
from benchmarks.nas.summary import (
    signed_rank,
    standard_error,
    summarise_predictions,
    trainings_to_reach,
)
from shared.errors import UsageError


def test_the_signed_rank_test_is_paired_and_on_logarithms():
    rng = np.random.default_rng(0)
    luck = np.exp(rng.normal(3, 1, 30))
    ours, theirs = np.ceil(luck).astype(int), np.ceil(1.5 * luck).astype(int)
    test = signed_rank(ours, theirs)
    assert test["p"] == pytest.approx(wilcoxon(np.log(ours / theirs).round(9)).pvalue)
    assert test["p"] < 1e-4
    assert test["log_ratio"] == pytest.approx(np.mean(np.log(ours)) - np.mean(np.log(theirs)))
    shuffled = signed_rank(ours, rng.permutation(theirs))
    assert shuffled["p"] > 0.01  # without the pairing, luck hides the difference


def test_equal_ranks_are_no_evidence():
    assert signed_rank([1, 2, 3], [1, 2, 3]) == {"p": 1.0, "log_ratio": 0.0}


def test_which_side_is_better_does_not_change_p():
    forth, back = signed_rank([1, 1, 2, 1], [3, 5, 4, 2]), signed_rank([3, 5, 4, 2], [1, 1, 2, 1])
    assert forth["p"] == back["p"]
    assert forth["log_ratio"] == -back["log_ratio"] < 0


def test_standard_error_of_the_mean():
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert standard_error([1.0]) is None


def test_trainings_needed():
    best = np.array([np.nan, 1.0, 1.0, 4.0, 4.0])
    assert [trainings_to_reach(best, level) for level in (0.5, 1.0, 2.0, 4.0, 5.0)] == [2, 2, 4, 4, np.inf]


def lines(model, taus, version=""):
    return [
        {
            "table": "t",
            "metric": "m",
            "size": 25,
            "draw": draw,
            "model": model,
            "version": version,
            "tau": tau,
            "coverage": None,
        }
        | {"cpu_s": 1.0}
        for draw, tau in enumerate(taus)
    ]


def test_predictions_are_compared_on_common_draws_and_with_the_best_other():
    everything = [
        *lines("ridge", [0.1, 0.3, 0.9]),
        *lines("ps", [0.2, 0.5]),
        *lines("ours", [0.4, 0.6, 0.0], version="new"),
        *lines("ours", [0.0, 0.0], version="old"),
    ]
    (row,) = summarise_predictions(everything, "new")
    assert row["draws"] == 2
    assert row["best_peer"] == "ps"
    assert row["gain"] == pytest.approx(0.15)
    assert row["gain_error"] == pytest.approx(0.05)
    assert row["models"]["ridge"]["tau"] == pytest.approx(0.2)


def test_tables_replace_what_stands_between_the_marks(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    page.write_text(f"# Title\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "markdown", lambda summary: summary["text"])
    for _ in range(2):
        report.write_tables(page, {"text": "new"})
        assert page.read_text() == f"# Title\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(UsageError, match="no place for the tables"):
        report.write_tables(page, {"text": "new"})
    assert page.read_text() == "no marks"


def test_every_figure_reaches_its_table():
    figures = {
        "seeds": 5,
        "rank": 3.25,
        "rank_error": 0.5,
        "rank_median": 2.0,
        "regret": 0.125,
        "regret_error": 0.0625,
        "repeats": 25,
        "infeasible": 5,
        "cpu_s": 1.5,
        "against_ours": {"pairs": 5, "p": 0.03, "log_ratio": -0.4},
        "trainings_to_reach_reference": {"median": None, "reached": 0.2},
    }
    models = {"ridge": {"tau": 0.5, "coverage": None}, "ours": {"tau": 0.625, "coverage": 0.95}}
    row = {"table": "t", "metric": "m", "size": 25, "draws": 5, "models": models, "gain": 0.125, "gain_error": 0.015}
    speed = {"what": "fit", "peer": "ps", "ours_s": 0.002, "peer_s": 0.8, "ratio": 400.0, "ratio_range": [390.0, 410.0]}
    text = report.markdown({"searches": {"nats_sss plain": {"TPE": figures}}, "predictions": [row], "speed": [speed]})
    for cell in (
        "| TPE | 3.25 ± 0.5 (2; p 0.03 ↓; 5 seeds) |",
        "| TPE | 0.125 ± 0.062 |",
        "| TPE | > 50 / 10 + 2 / 1.5 |",
        "| t m | 25 | 5 | 0.500 | 0.625 | +0.125 ± 0.015 |",
        "| fit | 2 ms | 800 ms (ps) | 400 (390–410) |",
    ):
        assert cell in text
