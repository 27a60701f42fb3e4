"""The table of trained networks: what the file holds, and a whole search on it."""

import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.nas.sr_table import FAMILIES, SPACE, jobs, split_of
from benchmarks.nas.sr_table_file import TABLE, SrTable, write_table
from benchmarks.nas.sr_table_search import empty_pack, rank
from benchmarks.nas.suite_selection import SIZE, choose, judge, measure, psnr_by_pair
from search_paddle.config import make_config
from search_paddle.search import run_search
from shared.errors import UsageError
from shared.spec import parse


@pytest.fixture(scope="module")
def table() -> SrTable:
    return SrTable.read()


def test_the_table_is_small_and_has_sixty_architectures_at_two_budgets(table: SrTable) -> None:
    assert TABLE.stat().st_size < 20e6
    assert len(table.rows) >= 60
    for row in table.rows:
        assert parse(row["architecture"]).id == row["id"]
        assert SPACE.index(row["point"]) < SPACE.size
        short, long = row["runs"]["short"], row["runs"]["long"]
        assert short["steps"] < long["steps"]
        assert long["score"] == pytest.approx(np.mean(list(long["psnr_rgb"].values())))
        assert short["psnr_rgb"].keys() == long["psnr_rgb"].keys() == table.bicubic["psnr_rgb"].keys()
        assert long["test_psnr_rgb"].keys() == table.bicubic["test_psnr_rgb"].keys()
    assert not table.bicubic["psnr_rgb"].keys() & table.bicubic["test_psnr_rgb"].keys()
    assert (table.scores("long") > table.bicubic["score"]).all()


def test_errors_on_windows_agree_with_the_scores_of_whole_crops(table: SrTable) -> None:
    """Pair by pair: a network that is better on a crop is mostly better on its windows."""
    for run in ("short", "long"):
        residuals = table.residuals[run, "validation"]
        names = table.rows[0]["runs"][run]["psnr_rgb"]
        errors = np.log((residuals.reshape(len(table.rows), len(names), -1).astype(float) ** 2).mean(axis=2))
        scores = np.array([list(row["runs"][run]["psnr_rgb"].values()) for row in table.rows])
        alike = [np.corrcoef(errors[:, pair], -scores[:, pair])[0, 1] for pair in range(len(names))]
        assert np.median(alike) > 0.5


def test_the_psnr_of_a_suite_is_that_of_the_mean_of_its_members(table: SrTable) -> None:
    measured = measure(table)
    members, shares = [3, 11, 20], np.array([0.5, 0.2, 0.3])
    errors = np.tensordot(shares, table.residuals["long", "test"][members] / 510, axes=1)
    by_pair = errors.reshape(len(measured.test), -1)
    assert psnr_by_pair(measured.test, members, shares) == pytest.approx(-10 * np.log10((by_pair**2).mean(axis=1)))
    alone = psnr_by_pair(measured.crops, [7], np.ones(1))
    assert alone == pytest.approx(list(table.rows[7]["runs"]["long"]["test_psnr_rgb"].values()))


def test_rules_choose_among_what_was_searched_and_see_no_held_out_pair(table: SrTable) -> None:
    measured = measure(table)
    nothing = np.full_like(measured.test, np.nan)
    blind = replace(measured, test=nothing, crops=nothing)
    rows = list(range(0, 60, 2))
    chosen = choose(blind, "long", rows)
    for members in chosen.values():
        assert set(members) <= set(rows)
        assert len(set(members)) == SIZE
    judged = judge(measured, "long", 30, 2)
    assert judged["windows, equal shares"]["covariance"].shape == (2, len(measured.test))


def test_a_search_on_the_table_finds_one_of_the_best_and_a_suite(table: SrTable, tmp_path: Path) -> None:
    command = (sys.executable, "-P", "-m", "benchmarks.nas.sr_table_replay", str(TABLE), "long")
    config = make_config({"trials": 20, "jobs": 1, "proxy": {"patch": 8}})
    found = run_search(empty_pack(tmp_path / "empty.h5"), tmp_path / "run", space=SPACE, config=config, command=command)
    scores = table.scores("long")
    assert rank(scores, max(trial.score for trial in found.trials if trial.score is not None)) <= 10
    assert len(found.members) == 3
    assert len({trial.id for trial in found.trials}) == 20


def test_pairs_of_one_number_are_on_one_side_and_the_order_goes_through_the_space() -> None:
    assert split_of("Canon_012_LR4") == split_of("Nikon_012_LR4") == split_of("DSC_0990_x1") == "test"
    assert {split_of(f"Canon_{number:03}_LR4") for number in range(1, 36)} == {"train", "validation", "test"}
    listed = [job for job in jobs() if job.run.name == "short"]
    assert len({job.spec.id for job in listed}) == SPACE.size
    assert {job.spec.family for job in listed[:8]} == set(FAMILIES)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        SrTable.read(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["schema"] = "gpnas-sr/pack/1"
    with pytest.raises(UsageError, match="got schema 'gpnas-sr/pack/1', expected 'gpnas-sr/sr-table/1'"):
        SrTable.read(tmp_path / "other.h5")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    residuals = np.random.default_rng(0).integers(-500, 500, (2, 4, 3, 3, 3)).astype(np.int16)
    rows = [{"id": name, "runs": {"long": {"score": 1.5}}} for name in "ab"]
    path = tmp_path / "t.h5"
    kept = {("short", "validation"): list(residuals[::-1]), ("long", "test"): list(residuals)}
    write_table(path, about={"a": 1}, rows=rows, bicubic={}, residuals=kept)
    found = SrTable.read(path)
    assert np.array_equal(found.residuals["short", "validation"], residuals[::-1])
    assert (found.about, list(found.rows)) == ({"a": 1}, rows)
    assert np.array_equal(found.residuals["long", "test"], residuals)
    assert np.isnan(found.scores("short")).all()
