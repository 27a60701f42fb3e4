"""What every worker process gets, and how its end is told, against real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import UsageError, WorkError
from shared.processes import ROOT, explain_status, module_command, run_module, stop, worker_environment


def test_workers_start_from_a_clean_environment():
    caller = {"OMP_NUM_THREADS": "8", "FLAGS_use_mkldnn": "1", "KMP_AFFINITY": "x", "HOME": "/h", "PYTHONPATH": "/mine"}
    environment = worker_environment(caller | {"OPENBLAS_CORETYPE": "Haswell"}, threads=3)
    assert {environment[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")} == {"3"}
    assert environment["HOME"] == "/h"
    assert environment["PYTHONPATH"] == f"{ROOT}:/mine"
    assert not {"FLAGS_use_mkldnn", "KMP_AFFINITY"} & environment.keys()
    assert environment["OPENBLAS_CORETYPE"] == "Haswell", "a choice of kernels is kept"


def test_only_amd_processors_get_the_faster_path_of_the_old_mkl():
    caller = {"MKL_DEBUG_CPU_TYPE": "3"}
    assert worker_environment(caller, cpu_info="vendor_id\t: AuthenticAMD\n")["MKL_DEBUG_CPU_TYPE"] == "5"
    assert "MKL_DEBUG_CPU_TYPE" not in worker_environment(caller, cpu_info="vendor_id\t: GenuineIntel\n")


def test_the_current_folder_does_not_shadow_our_modules(tmp_path):
    (tmp_path / "shared.py").write_text("raise SystemExit('the wrong module')")
    command = module_command("shared.processes")
    done = subprocess.run(command, cwd=tmp_path, env=worker_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    wrong = [word for word in command if word != "-P"]  # known wrong
    done = subprocess.run(wrong, cwd=tmp_path, env=worker_environment(), capture_output=True, text=True, check=False)
    assert "the wrong module" in done.stderr


WORKER = """
import os, signal, sys
if sys.argv[1] == "refuse":
    sys.exit(print("a trace", "got 1, expected 2", sep="\\n", file=sys.stderr) or 2)
if sys.argv[1] == "fail":
    raise ValueError("no such luck")
if sys.argv[1] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "child.py").write_text(WORKER)
    return worker_environment({"PYTHONPATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("refuse", UsageError, r"^got 1, expected 2$"),
        ("fail", WorkError, r"^torch worker ended by exit status 1: .*no such luck"),
        ("die", WorkError, r"^torch worker ended by SIGKILL \(killed, or out of memory\)"),
    ],
)
def test_the_end_of_a_module_is_told(environment, fault, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        run_module("child", fault, name="torch", environment=environment)


def test_a_module_that_does_its_work_says_nothing(environment, capfd):
    run_module("child", "work", name="torch", environment=environment)
    assert capfd.readouterr() == ("", "")


def test_a_process_that_does_not_end_is_killed():
    obstinate = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", obstinate], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert explain_status(stop(process, 0.2)) == "SIGKILL (killed, or out of memory)"
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        assert explain_status(stop(process)) == "exit status 3"
