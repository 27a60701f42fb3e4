"""Whole searches with a real sampler, journal and worker processes; the workers score by a formula instead of training."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_paddle.config import SearchConfig, make_config
from search_paddle.search import SearchResult, run_search
from search_paddle.space import read_space, within_limits
from search_paddle.standing import stand
from search_paddle.suite.error_covariance import correlate, error_products
from shared.errors import SpecError, UsageError, WorkError
from shared.network.cost import cost
from shared.records.archive import Archive
from shared.records.journal import read_journal
from shared.records.suite import read_suite
from shared.space import SearchSpace
from shared.spec import parse

WORKER = (sys.executable, "-P", str(Path(__file__).with_name("score_worker.py")))
FAMILIES = {
    "drn": {"features": [16, 32, 48], "blocks": [1, 2, 3], "stages": [1, 2]},
    "rcan": {"features": [16, 32, 48], "groups": [1, 2], "blocks": [1, 2, 3]},
}
CONSTANTS = {"scale": 2, "image_skip": "bicubic"}
SPACE = SearchSpace.from_families(FAMILIES, CONSTANTS)
TRIALS = 11  # not a multiple of the round


def search(pack: Path, out: Path, space: SearchSpace = SPACE, **fields: Any) -> SearchResult:
    config = make_config({"trials": TRIALS, "jobs": 1, "proxy": {"patch": 8}} | fields)
    return run_search(pack, out, space=space, config=config, command=WORKER)


def timeless(out: Path) -> list[dict[str, Any]]:
    """The journal's trials by number, without what a clock wrote."""
    _, trials = read_journal(out / "journal.jsonl")
    return [trial.model_dump(exclude={"seconds", "elapsed"}) for trial in trials]


@pytest.fixture(scope="module")
def undisturbed(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    search(tiny_pack, out)
    return out


def test_a_search_leaves_journal_archive_and_suite(undisturbed: Path) -> None:
    trials = timeless(undisturbed)
    assert [trial["trial"] for trial in trials] == list(range(TRIALS))
    assert [trial["round"] for trial in trials] == [0] * 4 + [1] * 4 + [2] * 3
    assert len({trial["id"] for trial in trials}) == TRIALS
    assert all(trial["predicted"] is None for trial in trials[:4])
    assert all(trial["predicted"]["std"] > 0 for trial in trials[4:])
    archive = Archive(undisturbed / "archive")
    assert archive.verify() == []
    assert archive.ids() == sorted(trial["id"] for trial in trials)
    found = archive.read(trials[5]["id"]).search
    assert (found["trial"], found["run"]) == (5, undisturbed.name)
    assert found["proxy"] == {"psnr_rgb": trials[5]["score"], "steps": 2, "seed": 0}
    run = json.loads((undisturbed / "run.json").read_bytes())
    assert SearchSpace.from_dict(run["space"]).sha256 == run["space_sha256"] == found["space_sha256"]


def test_the_suite_is_the_one_of_least_expected_error(undisturbed: Path) -> None:
    """Against plain loops over all threes; the windows' errors are read without our reader."""
    trials = timeless(undisturbed)
    errors = np.stack([np.load(undisturbed / "residuals" / f"{trial['trial']}.npy") for trial in trials]).astype(float)
    by_pair = errors.reshape(TRIALS, 2, -1)
    by_pair = by_pair / np.sqrt((by_pair**2).mean((0, 2)))[None, :, None]
    moments = np.einsum("ipv,jpv->ij", by_pair, by_pair)
    raw = moments / np.sqrt(np.outer(np.diag(moments), np.diag(moments)))
    deviations = 10 ** (-np.array([trial["score"] for trial in trials]) / 20)
    found = stand(undisturbed, read_journal(undisturbed / "journal.jsonl")[1], SearchConfig()).selection
    mean = raw[np.triu_indices(TRIALS, 1)].mean()
    shrinkage = correlate(error_products(errors.astype(np.int16), 2)).shrinkage
    covariance = np.outer(deviations, deviations) * ((1 - shrinkage) * raw + shrinkage * mean)
    np.fill_diagonal(covariance, deviations**2)
    best = min((covariance[np.ix_(three, three)].mean(), three) for three in itertools.combinations(range(TRIALS), 3))
    suite = read_suite(undisturbed)
    assert {member.spec.id for member in suite.members} == {trials[place]["id"] for place in best[1]}
    assert [member.spec.id for member in suite.members] == [candidate.id for candidate in found.members]
    assert [member.weight for member in suite.members] == pytest.approx([1 / 3] * 3)
    assert found.score == pytest.approx(-10 * np.log10(best[0]))
    assert all(member.weights_path is None for member in suite.members)


def test_without_errors_the_suite_is_the_best_of_each_family_and_the_best_of_the_rest(
    tiny_pack: Path, tmp_path: Path
) -> None:
    search(tiny_pack, tmp_path, proxy={"patch": 8, "residual_windows": 0})
    trials = timeless(tmp_path)
    assert not (tmp_path / "residuals").exists()
    assert all(trial["residuals"] is None for trial in trials)
    ranked = sorted(trials, key=lambda trial: -trial["score"])
    firsts = [next(t for t in ranked if t["architecture"]["family"] == family)["id"] for family in FAMILIES]
    rest = next(t["id"] for t in ranked if t["id"] not in firsts)
    suite = read_suite(tmp_path)
    assert sorted(member.spec.id for member in suite.members) == sorted([*firsts, rest])
    assert [member.weight for member in suite.members] == [1 / 3] * 3


def test_half_of_the_later_proposals_are_for_the_suite(tiny_pack: Path, tmp_path: Path, undisturbed: Path) -> None:
    search(tiny_pack, tmp_path, suite_proposals=False)
    alone, turns = ([trial["id"] for trial in timeless(out)] for out in (tmp_path, undisturbed))
    assert alone[:8] == turns[:8]
    assert alone[8] == turns[8]  # the first of a round is for the score
    assert alone != turns


def test_a_journal_of_the_first_version_goes_on_as_it_would_have(tiny_pack: Path, tmp_path: Path) -> None:
    """Its header and lines lack the fields that came later; the settings that mean the same are given."""
    former = {"suite_proposals": False, "proxy": {"patch": 8, "residual_windows": 0}}
    search(tiny_pack, tmp_path / "whole", **former)
    search(tiny_pack, tmp_path / "cut", **former, trials=6)
    path = tmp_path / "cut" / "journal.jsonl"
    header, *lines = map(json.loads, path.read_text().splitlines())
    added = {"suite_size", "suite_proposals", "max_suite_parameters", "max_suite_macs_per_pixel", "stop_margin"}
    assert not added & header["config"].keys()
    assert not {"validations", "residual_windows"} & header["config"]["proxy"].keys()
    for line in lines:
        del line["validation"], line["residuals"]
    path.write_text("".join(json.dumps(each) + "\n" for each in (header, *lines)))
    search(tiny_pack, tmp_path / "cut", **former)
    later = [{**trial, "validation": ()} for trial in timeless(tmp_path / "whole")]
    assert [{**trial, "validation": ()} for trial in timeless(tmp_path / "cut")] == later
    with pytest.raises(UsageError, match=r"config\.proxy\.residual_windows: 0 there, 8 here"):
        search(tiny_pack, tmp_path / "cut")


def test_errors_that_are_lost_are_missed(tiny_pack: Path, tmp_path: Path) -> None:
    search(tiny_pack, tmp_path, trials=4)
    path = tmp_path / "residuals" / "2.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match=r"2\.npy: got SHA-256 .*, expected"):
        search(tiny_pack, tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match=r"2\.npy: no such file"):
        search(tiny_pack, tmp_path)


STOPPING = {"stop_margin": 0.0, "trials": 20, "proxy": {"patch": 8, "steps": 2, "validations": 2}}


def test_hopeless_trainings_end_early_and_the_same_ones_in_every_order(tiny_pack: Path, tmp_path: Path) -> None:
    result = search(tiny_pack, tmp_path / "a", **STOPPING)
    stopped = [trial for trial in result.trials if trial.status == "stopped"]
    assert stopped
    assert all(trial.round >= 2 and trial.score is None and trial.steps == 1 for trial in stopped)
    assert not {trial.id for trial in stopped} & {trial.id for trial in result.members}
    assert Archive(tmp_path / "a" / "archive").ids() == sorted(
        trial.id for trial in result.trials if trial.status == "done"
    )
    for trials in (5, 20):
        search(tiny_pack, tmp_path / "b", **STOPPING | {"trials": trials}, jobs=3)
    assert timeless(tmp_path / "b") == timeless(tmp_path / "a")


def test_the_sampler_learns_and_ends_above_the_first_round(undisturbed: Path) -> None:
    scores = [trial["score"] for trial in timeless(undisturbed)]
    assert max(scores[4:]) > max(scores[:4])


@pytest.mark.parametrize("jobs", [2, 5])
def test_the_number_of_jobs_changes_nothing(tiny_pack: Path, tmp_path: Path, undisturbed: Path, jobs: int) -> None:
    search(tiny_pack, tmp_path, jobs=jobs)
    assert timeless(tmp_path) == timeless(undisturbed)
    assert (tmp_path / "suite.json").read_bytes() == (undisturbed / "suite.json").read_bytes()


def test_another_seed_proposes_otherwise(tiny_pack: Path, tmp_path: Path, undisturbed: Path) -> None:
    search(tiny_pack, tmp_path, seed=1, trials=4)
    assert [trial["id"] for trial in timeless(tmp_path)] != [trial["id"] for trial in timeless(undisturbed)[:4]]


def test_a_search_made_longer_step_by_step_is_the_long_one(tiny_pack: Path, tmp_path: Path, undisturbed: Path) -> None:
    for trials in (1, 3, 6, TRIALS):
        assert search(tiny_pack, tmp_path, trials=trials).stopped == "trials"
        assert len(timeless(tmp_path)) == trials
    assert timeless(tmp_path) == timeless(undisturbed)


SCRIPT = """
import sys
from pathlib import Path
from search_paddle.config import make_config
from search_paddle.search import run_search
from shared.space import SearchSpace
import json
pack, out, space, fields, *command = sys.argv[1:]
space = SearchSpace.from_dict(json.loads(space))
run_search(Path(pack), Path(out), space=space, config=make_config(json.loads(fields)), command=command)
"""


def start(pack: Path, out: Path, **environment: str) -> "subprocess.Popen[bytes]":
    fields = {"trials": TRIALS, "jobs": 2, "proxy": {"patch": 8}}
    words = [str(pack), str(out), json.dumps(SPACE.to_dict()), json.dumps(fields), *WORKER]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words], env=os.environ | paths | environment, stderr=subprocess.PIPE
    )


def test_killed_at_random_moments_it_ends_as_the_undisturbed_search(
    tiny_pack: Path, tmp_path: Path, undisturbed: Path
) -> None:
    rng, path = random.Random(0), tmp_path / "journal.jsonl"
    for _ in range(3):
        process = start(tiny_pack, tmp_path, STUB_SECONDS="0.05")
        lines, deadline = count_lines(path), time.monotonic() + 60
        while count_lines(path) == lines and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
        with path.open("ab") as file:  # and now and then amid a line
            file.write(b'{"trial": 3, "ro'[: rng.choice([0, 7, 16])])
    assert 2 <= count_lines(path) - 1 < TRIALS
    process = start(tiny_pack, tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    assert timeless(tmp_path) == timeless(undisturbed)
    assert (tmp_path / "suite.json").read_bytes() == (undisturbed / "suite.json").read_bytes()
    assert Archive(tmp_path / "archive").ids() == Archive(undisturbed / "archive").ids()


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_failed_trials_are_told_as_such_and_never_chosen(
    tiny_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_FAILS", "48")
    result = search(tiny_pack, tmp_path, jobs=2)
    failed = [trial for trial in result.trials if trial.status == "failed"]
    assert failed
    assert all(trial.architecture["features"] == 48 and trial.score is None for trial in failed)
    assert {trial.reason for trial in failed} == {"step 1: loss is nan"}
    assert all(trial.architecture["features"] != 48 for trial in result.members)
    assert not {trial.id for trial in failed} & set(Archive(tmp_path / "archive").ids())
    assert search(tiny_pack, tmp_path) == result  # and replayed


def test_a_trial_whose_worker_is_killed_twice_fails_and_the_search_goes_on(
    tiny_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_KILLED_BY", "32")
    result = search(tiny_pack, tmp_path, jobs=2)
    assert len(result.trials) == TRIALS
    for trial in result.trials:
        assert (trial.status == "failed") == (trial.architecture["features"] == 32)
        assert trial.reason is None or trial.reason.startswith("worker ended by SIGKILL (killed, or out of memory)")


def test_no_success_at_all_is_a_failure_with_its_reason(
    tiny_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_FAILS", "all")
    with pytest.raises(WorkError, match="no training of 6 succeeded: step 1: loss is nan"):
        search(tiny_pack, tmp_path, trials=6)


def test_limits_hold_for_every_proposal(tiny_pack: Path, tmp_path: Path) -> None:
    most = {"max_parameters": 60_000, "max_macs_per_pixel": 50_000}
    result = search(tiny_pack, tmp_path, **most)
    for trial in result.trials:
        assert trial.cost["parameters"] <= 60_000
        assert trial.cost["macs_per_pixel"] <= 50_000
        assert trial.cost == cost(parse(trial.architecture)).to_json()
    feasible = within_limits(SPACE, make_config(most))
    dropped = [point for point in SPACE.points() if not feasible(point)]
    assert 0 < len(dropped) < SPACE.size  # the limits do cut something


def test_the_suite_as_a_whole_is_within_its_limits(tiny_pack: Path, tmp_path: Path, undisturbed: Path) -> None:
    members = read_suite(undisturbed).members
    total = sum(cost(member.spec).parameters for member in members)
    result = search(tiny_pack, tmp_path, max_suite_parameters=total // 2)
    assert all(trial.cost["parameters"] <= total // 2 for trial in result.trials)
    assert result.members
    assert sum(trial.cost["parameters"] for trial in result.members) <= total // 2


def test_points_that_are_no_architecture_are_never_proposed(tiny_pack: Path, tmp_path: Path) -> None:
    space = SearchSpace.from_families({"drn": {"features": [8, 16, 24], "blocks": [1, 2], "stages": [1]}}, CONSTANTS)
    result = search(tiny_pack, tmp_path, space)  # 8 features < reduction 16
    assert result.stopped == "space"
    assert sorted(trial.architecture["features"] for trial in result.trials) == [16, 16, 24, 24]
    assert search(tiny_pack, tmp_path, space) == result


def test_the_time_of_earlier_runs_counts(tiny_pack: Path, tmp_path: Path) -> None:
    moment = 1e-6  # minutes; over before the first round ends
    first = search(tiny_pack, tmp_path, minutes=moment)
    assert (first.stopped, len(first.trials)) == ("minutes", 4)  # one whole round all the same
    assert all(0 < trial.elapsed < 600 for trial in first.trials)
    spent = max(trial.elapsed for trial in first.trials) / 60
    assert search(tiny_pack, tmp_path, minutes=spent * 0.99) == first
    longer = search(tiny_pack, tmp_path, minutes=spent + 10, trials=8)
    assert (longer.stopped, len(longer.trials)) == ("trials", 8)
    assert longer.trials[4].elapsed > first.trials[3].elapsed


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 5}, "config.seed: 0 there, 5 here"),
        ({"round_size": 3}, "config.round_size: 4 there, 3 here"),
        ({"max_parameters": 7_000_000}, "config.max_parameters: None there, 7000000 here"),
        ({"proxy": {"patch": 8, "steps": 7}}, "config.proxy.steps: 500 there, 7 here"),
    ],
)
def test_going_on_with_other_settings_is_refused(tiny_pack: Path, tmp_path: Path, fields: dict, named: str) -> None:
    search(tiny_pack, tmp_path, trials=1)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(UsageError, match="another search") as caught:
        search(tiny_pack, tmp_path, **fields)
    assert named in str(caught.value)
    assert (tmp_path / "run.json").read_bytes() == before


def test_going_on_with_other_data_or_another_space_is_refused(
    tiny_pack: Path, other_pack: Path, tmp_path: Path
) -> None:
    search(tiny_pack, tmp_path, trials=1)
    with pytest.raises(UsageError, match="data_sha256"):
        search(other_pack, tmp_path)
    space = SearchSpace.from_families({"drn": FAMILIES["drn"]}, CONSTANTS)
    with pytest.raises(UsageError, match="space_sha256"):
        search(tiny_pack, tmp_path, space)


def test_a_journal_of_other_proposals_is_no_base_to_go_on_from(tiny_pack: Path, tmp_path: Path) -> None:
    search(tiny_pack, tmp_path, trials=3)
    path = tmp_path / "journal.jsonl"
    _, (first, *_) = read_journal(path)
    other = parse({**first.architecture, "blocks": first.architecture["blocks"] % 3 + 1})
    path.write_text(path.read_text().replace(first.id, other.id))
    with pytest.raises(WorkError, match=f"trial 0: the journal has {other.id}, this version proposes {first.id}"):
        search(tiny_pack, tmp_path)


@pytest.mark.parametrize(
    ("families", "constants", "message"),
    [
        (FAMILIES, {**CONSTANTS, "scale": 3}, "got scale 3, expected 2"),
        (FAMILIES, {**CONSTANTS, "stage": 3}, "unknown field 'stage'"),
        ({"drn": FAMILIES["drn"], "rcna": FAMILIES["rcan"]}, CONSTANTS, "'rcna'"),
        (
            {"drn": {"features": [8], "blocks": [1], "stages": [1]}},
            CONSTANTS,
            "no point of drn is an architecture: .*features 8 < reduction 16",
        ),
    ],
)
def test_a_space_that_cannot_work_is_refused_before_anything_is_written(
    tiny_pack: Path, tmp_path: Path, families: dict, constants: dict, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        search(tiny_pack, tmp_path / "run", SearchSpace.from_families(families, constants))
    assert not (tmp_path / "run").exists()


def test_a_crop_larger_than_the_images_is_refused_before_anything_is_written(tiny_pack: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="200"):
        search(tiny_pack, tmp_path / "run", proxy={"patch": 200})
    assert not (tmp_path / "run").exists()


def test_the_default_space_is_feasible_and_has_a_bicubic_skip(tiny_pack: Path) -> None:
    space = read_space(None, tiny_pack)
    assert space.constants["scale"] == 2
    assert space.constants["image_skip"] == "bicubic"
    assert all(within_limits(space, SearchConfig())(point) for point in space.points())
