"""Child processes: one clean environment for all workers, one way to start them, one wording of how they ended.

The pools differ and stay with their stages: search_paddle/executors.py keeps workers between trials, train_torch/training/jobs.py
and weights_convert/compare/workers.py give each task a process of its own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.errors import UsageError, WorkError

ROOT = Path(__file__).resolve().parents[1]  # the folder that holds the four packages
# Thread counts, affinities and flags that the calling process has (importing Paddle sets some) are not the workers' …
FOREIGN = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "FLAGS_")
# … but what chooses kernels stays: it is set where a library's own choice is wrong
KEPT = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"}
WRONG_INPUT = 2  # exit status of a worker that refuses its input; the last line on stderr says why
STOP_SECONDS = 5.0  # for a process to end by itself before it is killed
SHOWN = 2000  # characters of stderr in a message


def worker_environment(
    environment: Mapping[str, str] | None = None, *, threads: int = 1, cpu_info: str | None = None
) -> dict[str, str]:
    """The environment of a worker: the caller's, without the caller's thread settings and framework flags.

    The worker can import this project. On AMD CPUs MKL_DEBUG_CPU_TYPE=5 makes a training step 1.3 to 1.9 times faster with the
    old MKL in Paddle's wheel; nothing else reads it.

    Args:
        environment: the caller's variables; None: `os.environ`.
        threads: threads of OpenMP, MKL and OpenBLAS in the worker, >= 1.
        cpu_info: text of /proc/cpuinfo; None: this machine's.
    """
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if name in KEPT or not name.startswith(FOREIGN)}
    path = os.pathsep.join(part for part in (str(ROOT), environment.get("PYTHONPATH", "")) if part)
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    amd = {"MKL_DEBUG_CPU_TYPE": "5"} if "AuthenticAMD" in (_cpu_info() if cpu_info is None else cpu_info) else {}
    return kept | counts | amd | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this project with this Python."""
    return (sys.executable, "-P", "-m", module, *arguments)  # -P: modules of the current folder shall not shadow ours


def run_module(module: str, *arguments: str, name: str, environment: Mapping[str, str]) -> None:
    """Run a module in a process of its own until it ends. What it prints is kept for the message of an error.

    Args:
        module: full name.
        arguments: of its command line.
        name: what the process is, for messages: `torch`.
        environment: from `worker_environment`.

    Raises:
        UsageError: it refused its input (status 2); the message is its last line on stderr.
        WorkError: it failed or was killed; the message says how, with the end of its stderr.
    """
    command = module_command(module, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment))
    said = done.stderr.strip()
    if done.returncode == WRONG_INPUT and said:
        raise UsageError(said.splitlines()[-1])
    if done.returncode != 0:
        raise WorkError(f"{name} worker ended by {explain_status(done.returncode)}: {said[-SHOWN:]}")


def stop(process: "subprocess.Popen[Any]", seconds: float = STOP_SECONDS) -> int:
    """Wait for a process that was asked to end, kill it if it does not, and return its status."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def explain_status(status: int) -> str:
    """How a process ended, from its status as `subprocess` gives it.

    Example:
        >>> explain_status(1), explain_status(-11)
        ('exit status 1', 'SIGSEGV')
    """
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name} (killed, or out of memory)" if name == "SIGKILL" else name


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
