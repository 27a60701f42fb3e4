"""Cost of `gpnas-sr --help` against importing both frameworks: CPU seconds of child processes, in turn (A B A B).

.venv/bin/python benchmarks/help_cost.py
"""

import os
import resource
import statistics
import subprocess
import sys

ROUNDS = 9
COMMANDS = {
    "gpnas-sr --help": ["-m", "shared.cli.main", "--help"],
    "argparse --help": ["-c", "import argparse; argparse.ArgumentParser().parse_args(['--help'])"],
    "import torch, paddle": ["-c", "import torch, paddle"],
}


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    for arguments in COMMANDS.values():
        cpu_seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(cpu_seconds(arguments))
    for name, values in times.items():
        print(f"{name:22} median {statistics.median(values):.3f} s  ({min(values):.3f} to {max(values):.3f})")
    ours, plain, frameworks = times.values()
    ratios = [both / help_ for both, help_ in zip(frameworks, ours, strict=True)]
    print(f"frameworks / --help    median {statistics.median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})")
    print(f"--help / plain argparse median {statistics.median(a / b for a, b in zip(ours, plain, strict=True)):.2f}")


if __name__ == "__main__":
    main()
