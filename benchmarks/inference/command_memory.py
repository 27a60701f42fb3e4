"""Peak memory and time of `gpnas-sr upscale` on large images, each in a process of its own.

    python benchmarks/inference/command_memory.py SUITE --pairs ../shared/data/pairs \
        --out benchmarks/inference/command_memory.md --sizes 20000x300 300x20000 4000x3000 --memory 2GB

The images are mosaics of real photographs (City100). SUITE may be a single weights file. The peak is the kernel's (ru_maxrss).
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from shared.images.pixels import read_image
from shared.images.stream import write_image
from train_torch.commands.ensemble_options import parse_memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of the command."""

    width: int
    height: int
    peak: int
    cpu: float
    wall: float


def mosaic(folder: Path, width: int, height: int) -> np.ndarray:
    """A picture of that size from photographs beside and above each other."""
    tiles = [read_image(path).pixels for path in sorted(folder.glob("*.png"))]
    tall, wide, _ = tiles[0].shape
    rows = [
        np.concatenate([tiles[(row * 7 + column) % len(tiles)] for column in range(-(-width // wide))], axis=1)
        for row in range(-(-height // tall))
    ]
    return np.concatenate(rows, axis=0)[:height, :width]


def measure(words: list[str], width: int, height: int) -> Run:
    started = time.monotonic()
    child = subprocess.Popen(words)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)}: exit status {child.returncode}")
    wall = time.monotonic() - started
    return Run(width=width, height=height, peak=usage.ru_maxrss * 1024, cpu=usage.ru_utime + usage.ru_stime, wall=wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", required=True, metavar="WxH")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--suffix", default="png", choices=("png", "tif"))
    args = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            width, height = map(int, size.split("x"))
            source, target = Path(folder) / f"{size}.{args.suffix}", Path(folder) / f"{size}_sr.{args.suffix}"
            write_image(source, mosaic(args.pairs / "city100_same_size/HR", width, height), bits=8)
            words = [sys.executable, "-m", "shared.cli.main", "upscale", args.suite, str(source), str(target)]
            runs.append(measure([*words, "--quality", args.quality, "--memory", args.memory], width, height))
            print(runs[-1], flush=True)
            target.unlink()
    budget = parse_memory(args.memory)
    lines = [
        "# Peak memory of the command",
        "",
        f"`python benchmarks/inference/command_memory.py {' '.join(sys.argv[1:])}`",
        "",
        f"2 cores, AVX2, one thread; Python {platform.python_version()}, torch {torch.__version__}; "
        f"budget {budget / 1e6:.0f} MB.",
        "",
        "| LR px | megapixels of output | peak MB | share of the budget | CPU s | CPU s per megapixel of output |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        output = 16 * run.width * run.height / 1e6
        lines.append(
            f"| {run.width}x{run.height} | {output:.1f} | {run.peak / 1e6:.0f} | {run.peak / budget:.2f} "
            f"| {run.cpu:.0f} | {run.cpu / output:.2f} |"
        )
    args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
