"""Peak memory: what the model predicts against what a process reached.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/memory.py --out benchmarks/inference/memory

Each case is a process of its own: it builds a network with random weights, upscales a random uint8 image by bands that it throws
away, and reports its greatest resident size. Writes memory.json and memory.md.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import results
import torch

from shared.spec import parse
from train_torch.ensemble.memory import MEGABYTE, choose_traversal, need
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import preset
from train_torch.network import build

RCAN32 = {"family": "rcan", "scale": 4, "features": 32, "groups": 2, "blocks": 4}
RCAN64 = {**RCAN32, "features": 64, "image_skip": "bicubic"}
CASES = (  # spec, members, preset, batch, height, width
    (RCAN32, 1, "paper", None, 200, 400),
    (RCAN32, 1, "paper", 8, 200, 400),
    (RCAN32, 1, "fast", None, 500, 700),
    (RCAN32, 3, "fast", None, 500, 700),
    (RCAN32, 1, "fast", 4, 500, 700),
    (RCAN64, 1, "fast", None, 500, 700),
)


def measure(index: int) -> dict[str, float]:
    """One case, in this process."""
    fields, count, quality, batch, height, width = CASES[index]
    torch.set_num_threads(1)
    spec = parse(fields)
    networks = prepare([build(spec, seed=seed) for seed in range(count)], spec.scale)
    lr = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plan = replace(preset(quality, spec.scale), batch=batch)
    traversal = choose_traversal(networks, plan, height, width)
    predicted = need(networks, plan, height, width, traversal)
    started = time.process_time()
    rows = sum(len(band) for band in upscale_bands(networks, lr, plan))
    assert rows == height * spec.scale
    reached = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "held": predicted.held,
        "sums": predicted.sums,
        "work": predicted.work,
        "predicted": predicted.total,
        "reached": reached,
        "batch": traversal.batch,
        "cpu_seconds": time.process_time() - started,
    }


def markdown(value: dict) -> str:
    lines = [
        "# Peak memory of the engine",
        "",
        f"Command: `{value['command']}`. 2 cores, AVX2; {value['versions']}. MB = 10^6 bytes; one process a case, "
        "one thread. Whole frames under a budget: command_memory.md.",
        "",
        "| network | members | preset | batch | LR px | predicted MB | reached MB | reached / predicted | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, row in zip(CASES, value["rows"], strict=True):
        fields, count, quality, _, height, width = case
        name = f"{fields['family']} {fields['features']} x{fields['scale']}"
        lines.append(
            f"| {name} | {count} | {quality} | {row['batch']} | {width}x{height} | {row['predicted'] / MEGABYTE:.0f} | "
            f"{row['reached'] / MEGABYTE:.0f} | {row['reached'] / row['predicted']:.2f} | {row['cpu_seconds']:.0f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", type=int, help="run one case and print it (what the processes do)")
    parser.add_argument("--cases", type=int, nargs="*", default=range(len(CASES)))
    args = parser.parse_args()
    if args.case is not None:
        print(json.dumps(measure(args.case)))
        return
    rows = []
    for case in args.cases:
        command = [sys.executable, __file__, "--case", str(case)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(CASES[case], {key: round(v / MEGABYTE) if v > 10**5 else v for key, v in rows[-1].items()}, flush=True)
    value = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/inference/memory.py",
        "versions": results.versions(),
        "rows": rows,
    }
    results.write(args.out, value, markdown(value))


if __name__ == "__main__":
    main()
