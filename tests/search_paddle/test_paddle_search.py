"""The command with real Paddle workers on a tiny pack."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shared.records.journal import read_journal
from shared.records.suite import read_suite

pytestmark = [pytest.mark.paddle, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SPACE = """
[constants]
image_skip = "bicubic"
[families.drn]
features = [16, 24]
blocks = [1, 2]
stages = [1]
[families.rcan]
features = [16, 24]
groups = [1]
blocks = [1, 2]
"""
CONFIG = "trials = 6\nround_size = 3\n[proxy]\nsteps = 3\npatch = 12\nbatch = 2\nwarmup = 1\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "space.toml").write_text(SPACE)
    (folder / "config.toml").write_text(CONFIG)
    return ["--space", str(folder / "space.toml"), "--config", str(folder / "config.toml"), "--json"]


def start(pack: Path, out: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "shared.cli.main", "search", str(pack), "--out", str(out), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        command, env=environment, cwd=out.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def search(pack: Path, out: Path, *words: str) -> dict[str, Any]:
    process = start(pack, out, *words)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(output)  # one JSON value and nothing else, though Paddle prints


def timeless(out: Path) -> list[dict[str, Any]]:
    _, trials = read_journal(out / "journal.jsonl")
    return [trial.model_dump(exclude={"seconds", "elapsed"}) for trial in trials]


@pytest.fixture(scope="module")
def undisturbed(
    tiny_pack: Path, settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    return out, search(tiny_pack, out, "--jobs", "1", *settings)


def test_the_command_trains_proposals_and_writes_a_suite(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    out, value = undisturbed
    assert value["stopped"] == "trials"
    assert [trial["status"] for trial in value["trials"]] == ["done"] * 6
    assert len({trial["id"] for trial in value["trials"]}) == 6
    suite = read_suite(Path(value["suite"]))
    assert 1 <= len(suite.members) <= 3
    assert sum(member.weight for member in suite.members) == pytest.approx(1)
    assert sorted(path.name for path in (out / "residuals").iterdir()) == [f"{number}.npy" for number in range(6)]
    assert [member.spec.id for member in suite.members] == value["members"]
    assert all(len(trial["curve"]) == 3 and len(trial["psnr_rgb"]) == 2 for trial in timeless(out))


def test_killed_at_random_moments_with_two_jobs_it_ends_as_undisturbed_with_one(
    tiny_pack: Path, settings: list[str], tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    rng, out = random.Random(1), tmp_path / "run"
    journal = out / "journal.jsonl"
    for _ in range(3):
        process = start(tiny_pack, out, "--jobs", "2", *settings)
        size, deadline = journal.stat().st_size if journal.exists() else 0, time.monotonic() + 120
        while (
            process.poll() is None
            and time.monotonic() < deadline
            and (not journal.exists() or journal.stat().st_size == size)
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 3))
        workers = children_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        while any(is_running(pid) for pid in workers):
            assert time.monotonic() < deadline + 30, "a worker outlived its search"
            time.sleep(0.05)
    value = search(tiny_pack, out, "--jobs", "2", *settings)
    assert timeless(out) == timeless(undisturbed[0])
    assert value["trials"] == undisturbed[1]["trials"]


def test_killed_workers_cost_time_only(
    tiny_pack: Path, settings: list[str], tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    process = start(tiny_pack, out, "--jobs", "2", *settings)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and journal_lines(out) < 2:
        time.sleep(0.005)
    killed = children_of(process.pid)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert killed
    assert timeless(out) == timeless(undisturbed[0])


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def children_of(pid: int) -> set[int]:
    return (
        {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        if Path(f"/proc/{pid}").exists()
        else set()
    )


def journal_lines(out: Path) -> int:
    path = out / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_diverging_trainings_fail_and_end_the_command_with_their_reason(
    tiny_pack: Path, settings: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "wild.toml"
    config.write_text(CONFIG + "learning_rate = 1e38\n")
    words = [*settings[:2], "--config", str(config), "--trials", "2", "--jobs", "1", "--json"]
    process = start(tiny_pack, tmp_path / "run", *words)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (1, "")
    assert "no training of 2 succeeded: step " in errors
    trials = timeless(tmp_path / "run")
    assert [trial["status"] for trial in trials] == ["failed", "failed"]
    assert all("try a lower learning rate than 1e+38" in trial["reason"] for trial in trials)


def test_other_data_is_refused_with_status_2(
    other_pack: Path, settings: list[str], undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    process = start(other_pack, undisturbed[0], *settings)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "belongs to another search; got differences in data_sha256" in errors


def test_the_table_names_the_next_command(
    tiny_pack: Path, settings: list[str], undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    out, value = undisturbed
    process = start(tiny_pack, out, *settings[:-1])
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f"gpnas-sr train {out} --data {tiny_pack} --out {out}-trained" in output
    assert output.count(" dB") == 1
    best = max(value["trials"], key=lambda trial: trial["score"])
    first = output.splitlines()[2].split()
    assert first[0] == best["id"]
    assert float(first[2]) == round(best["score"], 2)
