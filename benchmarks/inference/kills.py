"""`gpnas-sr upscale` over a folder, killed at random moments of its work until all is done, against an undisturbed run.

    python benchmarks/inference/kills.py SUITE --pairs ../shared/data/pairs --kills 12 --seed 0

After each kill every file that is there must equal the undisturbed run's, byte for byte; in the end there must be no other file.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 30


def command(suite: str, source: Path, out: Path) -> list[str]:
    options = ["--quality", "fast", "--uncertainty"]
    return [sys.executable, "-m", "shared.cli.main", "upscale", suite, str(source), str(out), *options]


def begun(words: list[str], out: Path) -> subprocess.Popen:
    """The command, as soon as it has made its first file."""
    before = set(out.iterdir()) if out.exists() else set()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and (not out.exists() or set(out.iterdir()) <= before):
        time.sleep(0.002)
    return child


def contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as root:
        source, out, whole = (Path(root) / name for name in ("in", "out", "whole"))
        source.mkdir()
        for index, path in enumerate(sorted((args.pairs / "realsr_x4/LR").glob("*.png"))[:IMAGES]):
            if index % 2:
                shutil.copy(path, source)
            else:
                Image.open(path).save(source / f"{path.stem}.tif")
        child = begun(command(args.suite, source, whole), whole)
        started = time.monotonic()
        assert child.wait() == 0
        took = time.monotonic() - started
        expected = contents(whole)
        kills = strays = 0
        for _ in range(args.kills):  # so short that work is left to the end
            child = begun(command(args.suite, source, out), out)
            time.sleep(rng.uniform(0, 1.5 * took / args.kills))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            strays += len(list(out.glob(".*")))
            left = contents(out, "[!.]*")
            assert left.items() <= expected.items(), "a file that is there differs"
            print(f"{kills} kills, {len(left)} of {len(expected)} files there, all whole", flush=True)
        last = subprocess.run(command(args.suite, source, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert last.returncode == 0
        assert contents(out) == expected, "the folder differs from the undisturbed run's"
        print(
            f"{kills} kills left {strays} temporary files; in the end {len(expected)} files, the same bytes, no other file"
        )


if __name__ == "__main__":
    main()
