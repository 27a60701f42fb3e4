"""The whole chain by the demo's own commands, with settings of seconds: it ends as promised, and kills change nothing.

Neither framework is imported here: they run in the processes that the commands start.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SPACE = """
[constants]
image_skip = "bicubic"
value_range = 255
mean_shift = "div2k"
[families.drn]
features = [16]
blocks = [1, 2]
stages = [1]
[families.rcan]
features = [16]
groups = [1]
blocks = [1, 2]
"""
SEARCH = """
trials = 4
round_size = 2
[proxy]
steps = 4
patch = 12
batch = 2
validation_pairs = 2
"""
TRAIN = """
steps = 12
patch = 12
batch = 2
ms_ssim_levels = 1
validate_every = 6
checkpoint_every = 3
validation_pairs = 2
threads = 1
"""


def write_config(folder: Path) -> Path:
    folder.mkdir()
    for name, text in (("space", SPACE), ("search", SEARCH), ("train", TRAIN)):
        (folder / f"{name}.toml").write_text(text)
    return folder


def start(out: Path, config: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "shared.cli.main", "demo", "--out", str(out), "--config", str(config), "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp("chain") / "config")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, config):
    out = tmp_path_factory.mktemp("finished") / "demo"
    stdout, stderr = (process := start(out, config)).communicate()
    assert process.returncode == 0, stderr[-3000:]
    return out, json.loads(stdout), stderr


def facts(out: Path) -> dict:
    """What must not depend on kills: trials, specs, weights, scores."""
    lines = (out / "search" / "journal.jsonl").read_text().splitlines()[1:]
    trials = sorted((json.loads(line) for line in lines), key=lambda trial: trial["trial"])
    return {
        "trials": [(t["id"], t["score"], t["status"]) for t in trials],
        "specs": sorted(path.name for path in (out / "search" / "archive").iterdir()),
        "suite": json.loads((out / "suite.json").read_text()),
        "weights": {path.name: path.read_bytes() for path in (out / "train" / "members").iterdir()},
        "table": json.loads((out / "ablation" / "ablation.json").read_text())["rows"],
    }


def test_it_ends_with_suite_page_and_table(finished):
    out, value, stderr = finished
    assert (out / "suite.json").is_file()
    assert (out / "report.html").stat().st_size > 10_000
    names = [row["name"] for row in value["rows"]]
    assert names[0] == "bicubic"
    assert names[-1] == "ensemble, all three levels"
    members = json.loads((out / "suite.json").read_text())["members"]
    assert len(members) == 3
    assert len(names) == 1 + 2 * len(members) + 1
    assert "$ gpnas-sr search" in stderr


def test_test_photographs_are_seen_by_no_stage_before_the_table(finished):
    out, _, _ = finished
    report = json.loads((out / "pack.h5.report.json").read_text())
    used = json.dumps({"train": report["train"], "validation": report["validation"]})
    table = json.loads((out / "ablation" / "ablation.json").read_text())
    tested = [image["name"] for image in table["bicubic"]["images"]]
    assert tested
    assert not [name for name in tested if f'"{name}"' in used]


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(finished, config, tmp_path):
    """Kill -9 of the whole process group, again and again, at moments drawn from a seed; every stage is hit or passed."""
    out, moments = tmp_path / "demo", random.Random(3)
    kills = 0
    while kills < 12:
        process = start(out, config)
        deadline = time.monotonic() + moments.uniform(1.0, 9.0)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    assert kills >= 3
    stdout, stderr = (process := start(out, config)).communicate()
    assert process.returncode == 0, stderr[-3000:]
    assert json.loads(stdout)["rows"] == finished[1]["rows"]
    assert facts(out) == facts(finished[0])
