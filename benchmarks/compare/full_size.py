"""Time and memory of `gpnas-sr compare` on the paper's networks at full size, one 48x48 image, forward and backward.

    python benchmarks/compare/full_size.py --out full_size.json [NAME…]

Wall time on a quiet machine is at least the CPU time over two cores and at most the CPU time; both are printed. Memory is
the largest sum of resident sets over all processes of the command, sampled every 0.2 s.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from shared.files import write_json
from shared.spec import software

NAMES = ("drn-star", "rcan-star", "rcan")


def resident(pid: int) -> int:
    """Bytes in memory of a process and its children."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        others = [t for t in os.listdir(f"/proc/{pid}/task") if t != str(pid)]
        children += [c for t in others for c in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)


def measure(name: str) -> dict[str, object]:
    command = [
        sys.executable,
        "-m",
        "shared.cli.main",
        "compare",
        name,
        "--scale",
        "2",
        "--size",
        "48x48",
        "--batch",
        "1",
        "--json",
    ]
    before, started, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.2)
        output = process.stdout.read() if process.stdout else ""
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    value = json.loads(output)
    return {
        "network": name,
        "equal": value["equal"],
        "max_scaled_error": value["max_scaled_error"],
        "nodes": value["subjects"][0]["nodes"],
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_gigabytes": round(peak / 1e9, 2),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = []
    for name in args.names:
        rows.append(measure(name))
        print(rows[-1], flush=True)
        write_json(
            args.out, {"command": "full_size.py", "machine": "2 cores, AVX2", "software": software(), "rows": rows}
        )


if __name__ == "__main__":
    main()
