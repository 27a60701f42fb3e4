"""The pool against real processes that answer, die, hang and print."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search_paddle.executors import Died, ProcessExecutor
from shared.errors import WorkError

STUB = (sys.executable, "-P", str(Path(__file__).with_name("stub_worker.py")))


def run(requests: list[dict], tmp_path: Path, jobs: int = 2) -> dict[int, object]:
    with ProcessExecutor(jobs, logs=tmp_path, command=STUB) as executor:
        return dict(executor.run(requests))


def start_both(executor: ProcessExecutor) -> None:
    pids: set[int] = set()
    while len(pids) < 2:
        pids |= {answer["pid"] for _, answer in executor.run([{"sleep": 0.05}] * 2)}


def is_alive(pid: int) -> bool:
    """Running, not a zombie (a killed parent's children may wait long for their new parent to reap them)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_request_is_answered_once_by_its_index(tmp_path: Path, jobs: int) -> None:
    answers = run([{"value": value} for value in range(7)], tmp_path, jobs)
    assert {index: answer["echo"] for index, answer in answers.items()} == {index: index for index in range(7)}
    assert len({answer["pid"] for answer in answers.values()}) <= jobs


def test_two_jobs_work_at_the_same_time(tmp_path: Path) -> None:
    with ProcessExecutor(2, logs=tmp_path, command=STUB) as executor:
        start_both(executor)
        started = time.monotonic()
        answers = dict(executor.run([{"sleep": 1.0}] * 2))
    assert time.monotonic() - started < 1.8
    assert answers[0]["pid"] != answers[1]["pid"]


def test_what_a_worker_prints_goes_to_its_log(tmp_path: Path) -> None:
    run([{}], tmp_path, jobs=1)
    log = (tmp_path / "worker-0.log").read_text()
    assert "a stray line on stdout" in log
    assert "a stray line of a child" in log
    assert "another one" in log


def test_workers_are_kept_between_runs(tmp_path: Path) -> None:
    with ProcessExecutor(1, logs=tmp_path, command=STUB) as executor:
        pids = {answer["pid"] for _ in range(3) for _, answer in executor.run([{}])}
    assert len(pids) == 1


def test_a_request_whose_worker_died_once_is_done_by_the_next(tmp_path: Path) -> None:
    answers = run([{"value": 0}, {"value": 1, "die_once": str(tmp_path / "died")}, {"value": 2}], tmp_path)
    assert {index: answer["echo"] for index, answer in answers.items()} == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"die": "SIGKILL"}, "worker ended by SIGKILL (killed, or out of memory): another one (2 attempts)"),
        ({"die": "SIGSEGV"}, "worker ended by SIGSEGV: another one (2 attempts)"),
        ({"raise": "bad luck"}, "worker ended by exit status 1: ValueError: bad luck (2 attempts)"),
    ],
)
def test_a_request_that_kills_two_workers_is_given_up_and_the_others_go_on(
    tmp_path: Path, fault: dict, reason: str
) -> None:
    answers = run([{"value": 0}, fault, {"value": 2}, {"value": 3}], tmp_path)
    assert answers[1] == Died(reason=reason)
    assert [answers[index]["echo"] for index in (0, 2, 3)] == [0, 2, 3]


def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_REFUSES_TO_START", "1")
    with pytest.raises(WorkError, match=r"workers do not start: got 3 failures in a row.*no framework here"):
        run([{}], tmp_path)


def test_leaving_early_ends_busy_workers_and_the_pool_stays_usable(tmp_path: Path) -> None:
    with ProcessExecutor(2, logs=tmp_path, command=STUB) as executor:
        start_both(executor)
        busy = tmp_path / "pid"
        answers = executor.run([{"value": 0}, {"sleep": 60, "pid_file": str(busy)}])
        assert next(answers)[0] == 0
        wait_until(busy.exists)
        answers.close()
        assert not is_alive(int(busy.read_text()))
        assert dict(executor.run([{"value": 5}]))[0]["echo"] == 5


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with SIGINT ignored
from pathlib import Path
from search_paddle.executors import ProcessExecutor
folder, *command = sys.argv[1:]
with ProcessExecutor(2, logs=Path(folder), command=command) as executor:
    dict(executor.run([{"sleep": 60, "pid_file": f"{folder}/pid-{n}"} for n in range(2)]))
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_busy_workers_end_with_their_parent(tmp_path: Path, name: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *STUB], env=environment, stderr=subprocess.DEVNULL
    )
    files = [tmp_path / f"pid-{number}" for number in range(2)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    pids = [int(file.read_text()) for file in files]
    assert all(is_alive(pid) for pid in pids)
    parent.send_signal(getattr(signal, name))
    parent.wait(20)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_the_environment_of_a_worker_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("KMP_AFFINITY", "verbose")
    monkeypatch.setenv("FLAGS_check_nan_inf", "1")
    answers = run([{}], tmp_path, jobs=1)
    assert answers[0]["environment"] == {"OMP_NUM_THREADS": "1", "KMP_AFFINITY": None, "FLAGS_check_nan_inf": None}
