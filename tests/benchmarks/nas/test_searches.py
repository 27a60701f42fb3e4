"""Problems are paired by seed, methods keep the rules, searches are judged rightly, and a run goes on where it was cut."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.nas import searches
from benchmarks.nas.ledger import Ledger
from benchmarks.nas.problems import FORBIDDEN, STARTS, make_problem
from benchmarks.nas.searches import FIELDS, METHODS, rank, replay, run_searches, search
from benchmarks.nas.tables import Table, read_table
from shared.space import SearchSpace

OWN = ("random", "evolution", "local search", "ps", "ours")


def make_table(seed=0):
    """A complete table of 81 points under a real name, so that its metric is known; `acc_1` to `acc_3` are noisy looks at it."""
    space = SearchSpace.from_choices({f"l{place}": [0, 1, 2] for place in range(4)})
    codes = np.array([space.digits(index)[1] for index in range(space.size)])
    rng = np.random.default_rng(seed)
    truth = 90 + codes.sum(axis=1) + 0.1 * rng.standard_normal(len(codes))
    looks = {f"acc_{number}": truth + 0.5 * rng.standard_normal(len(codes)) for number in (1, 2, 3)}
    return Table(
        name="nas_bench_macro",
        space=space,
        complete=True,
        indices=list(range(space.size)),
        codes=codes,
        columns={"acc": truth, **looks},
    )


TABLE = make_table()


def test_a_design_depends_on_the_seed_alone():
    plain, again, other = (make_problem(TABLE, "plain", seed) for seed in (3, 3, 4))
    assert plain.design == again.design
    assert plain.design != other.design
    assert len(set(plain.design)) == STARTS


def test_forbidden_and_failing_points_are_the_same_for_every_method():
    first, second = (make_problem(TABLE, "constrained", 5) for _ in range(2))
    np.testing.assert_array_equal(first.allowed, second.allowed)
    np.testing.assert_array_equal(first.told, second.told)
    assert all(first.allowed[index] for index in first.design)
    many = [make_problem(TABLE, "constrained", seed) for seed in range(40)]
    assert np.mean([~problem.allowed for problem in many]) == pytest.approx(FORBIDDEN, abs=0.03)
    assert np.mean([np.isnan(problem.told) for problem in many]) == pytest.approx(0.1, abs=0.02)
    forbidden = int(np.flatnonzero(~first.allowed)[0])
    assert np.isnan(first.report(forbidden))


def test_the_noisy_problem_tells_one_training_and_is_judged_by_the_mean():
    for variant, seed, column in (
        ("noisy", 0, "acc_1"),
        ("noisy", 1, "acc_1"),
        ("noisy again", 4, "acc_2"),
        ("noisy again", 5, "acc_3"),
    ):
        problem = make_problem(TABLE, variant, seed)
        assert problem.report(7) == TABLE.columns[column][7]
        np.testing.assert_array_equal(problem.truth, TABLE.columns["acc"])


def test_the_number_of_a_code_is_that_of_the_space():
    problem = make_problem(TABLE, "plain", 0)
    assert [problem.index(code) for code in problem.codes] == list(range(TABLE.space.size))


@pytest.mark.parametrize("name", OWN)
def test_methods_begin_with_the_design_and_keep_to_what_is_allowed(name):
    problem = make_problem(TABLE, "constrained", 1)
    line = search(problem, METHODS[name](problem), 22)
    if name != "ours":
        assert tuple(line["indices"][:STARTS]) == problem.design
    assert problem.allowed[line["indices"]].all()
    if name != "evolution":
        assert len(set(line["indices"])) == 22
    assert line["recommended"] in line["indices"]
    assert np.isfinite(problem.report(line["recommended"]))


@pytest.mark.parametrize("name", ["random", "local search", "ps"])
def test_an_exhausted_space_ends_a_search(name):
    problem = make_problem(TABLE, "constrained", 2)
    line = search(problem, METHODS[name](problem), 100)
    assert sorted(line["indices"]) == np.flatnonzero(problem.allowed).tolist()


@pytest.mark.parametrize("name", ["random", "evolution", "local search", "ps"])
def test_the_same_seed_gives_the_same_search(name):
    lines = [search(problem, METHODS[name](problem), 25) for problem in [make_problem(TABLE, "plain", 4)] * 2]
    assert lines[0]["indices"] == lines[1]["indices"]


def test_a_linear_table_is_easy_for_a_linear_trend_and_hard_for_chance():
    """The harness would show a broken method: on a sum of choices the formulas find the best point at once, draws do not."""

    def found(name):
        problems = [make_problem(TABLE, "plain", seed) for seed in range(20)]
        lines = [search(problem, METHODS[name](problem), 14) for problem in problems]
        return np.mean([replay(problem, line)["rank"] for problem, line in zip(problems, lines, strict=True)])

    assert found("ps") < 1.6
    assert found("random") > 3


def test_replay_counts_repeats_and_forbidden_points_and_judges_by_the_truth():
    problem = make_problem(TABLE, "plain", 0)
    allowed, told = problem.allowed.copy(), problem.told.copy()
    order = np.argsort(-problem.truth)  # best first
    allowed[order[0]] = False
    told[order[1]] = np.nan
    problem = dataclasses.replace(problem, allowed=allowed, told=told)
    indices = [int(order[place]) for place in (0, 1, 5, 5, 3)]
    judged = replay(problem, {"indices": indices, "recommended": indices[2]})
    assert (judged["rank"], judged["recommended_rank"]) == (2, 4)  # places 2 and 3 are the best left
    assert (judged["repeats"], judged["infeasible"]) == (1, 1)
    assert judged["recommended_regret"] == pytest.approx(problem.truth[order[2]] - problem.truth[order[5]])
    expected = [np.nan, np.nan, *problem.truth[order[[5, 5, 3]]]]
    np.testing.assert_array_equal(judged["best"], expected)


def test_ties_share_a_rank():
    good = np.array([3.0, 3.0, 2.0, 1.0])
    assert [rank(good, score) for score in (3.0, 2.0, 1.0, 0.0)] == [1, 3, 4, 5]


def test_a_run_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(searches, "CASES", (("nas_bench_macro", "plain"), ("nas_bench_macro", "noisy")))
    tables = {"nas_bench_macro": TABLE}

    def lines(path):
        return [{**json.loads(line), "cpu_s": 0} for line in path.read_text().splitlines()]

    whole, cut = Ledger(tmp_path / "whole", FIELDS), Ledger(tmp_path / "cut", FIELDS)
    run_searches(tables, whole, ["random", "evolution"], range(3), "v1")
    run_searches(tables, cut, ["random", "evolution"], range(1), "v1")
    cut.path.write_bytes(cut.path.read_bytes()[:-20])
    cut = Ledger(cut.path, FIELDS)
    assert len(cut.lines) == 3
    run_searches(tables, cut, ["random", "evolution"], range(3), "v1")
    assert sorted(lines(cut.path), key=str) == sorted(lines(whole.path), key=str)
    before = cut.path.read_bytes()
    run_searches(tables, cut, ["random", "evolution"], range(3), "v2")
    assert cut.path.read_bytes() == before


def test_another_version_of_ours_runs_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(searches, "CASES", (("nas_bench_macro", "plain"),))
    monkeypatch.setitem(searches.METHODS, "ours", METHODS["random"])
    ledger = Ledger(tmp_path / "lines", FIELDS)
    for version in ("v1", "v1", "v2"):
        run_searches({"nas_bench_macro": TABLE}, ledger, ["ours", "random"], range(2), version)
    assert len(ledger.lines) == 2 + 2 * 2


def test_dear_methods_run_fewer_seeds_on_plain_tables_only(tmp_path, monkeypatch):
    monkeypatch.setattr(searches, "CASES", (("nas_bench_macro", "plain"), ("nas_bench_macro", "noisy")))
    monkeypatch.setattr(searches, "DEAR", {"random": 2})
    ledger = Ledger(tmp_path / "lines", FIELDS)
    run_searches({"nas_bench_macro": TABLE}, ledger, ["random"], range(4), "v1")
    assert sorted(ledger.lines) == [("nas_bench_macro", "plain", "random", seed, "") for seed in range(2)]


def test_real_tables_are_read_by_number(real_data):
    table = read_table(real_data, "nas_bench_macro")
    assert table.complete
    best = [table.space.point(int(row)) for row in np.flatnonzero(table.columns["acc"] == table.columns["acc"].max())]
    assert [list(point.values()) for point in best] == [[2, 2, 2, 1, 2, 2, 0, 2], [2, 2, 2, 1, 2, 2, 2, 0]]
    assert table.columns["params"].max() < 0
    sample = read_table(real_data, "paddleslim_cvpr21_track2", "stage1")
    assert not sample.complete
    assert len(sample.indices) == 200
