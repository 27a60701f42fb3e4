"""What each preset costs in dB, on real pairs with trained members, and in CPU time. One thread.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/quality.py ../shared/data runs/real_pairs \
        --work runs/quality.jsonl --out benchmarks/inference/quality

The suites are those of benchmarks/real_pairs: searched and trained on one camera (LR crops of 32 px), tested on the other, and
on a third set. LR images of these sets are 128 px; City100 photographs reduced by 4 (210x150) show larger ones. Each image's
figures are kept in --work, so the command goes on where it stopped. Writes quality.json and quality.md.
"""

import argparse
import json
import shlex
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import results
import torch
from scipy.stats import t as student

from shared import metrics
from shared.data.source import open_pairs
from shared.images.pixels import quantise, read_image, to_float
from shared.resize import bicubic_downscale
from train_torch.ensemble import load_suite
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PassPlan, preset
from train_torch.ensemble.self_ensemble import transforms

SCALE, CROP = 4, 4
PLANS: dict[str, PassPlan] = {
    "fast": preset("fast", SCALE),
    "balanced": preset("balanced", SCALE),
    "paper": preset("paper", SCALE),
    "patches of fast, 8 transforms": replace(preset("balanced", SCALE), transforms=transforms(8)),
    "fast, bfloat16 trunk": replace(preset("fast", SCALE), precision="bfloat16"),
}
HALF = "fast, bfloat16 trunk"
EVERY = {"patches of fast, 8 transforms": 4, HALF: 12}  # images, for time; bfloat16 is emulated by this CPU
COMPARED = (
    ("balanced", "paper"),
    ("fast", "paper"),
    ("patches of fast, 8 transforms", "paper"),
    ("fast", "balanced"),
    (HALF, "fast"),
)
SETS = {  # name -> (suite, folder of pairs, pattern, every)
    "Canon to Nikon": ("canon", "realsr_x4", "Nikon", 1),
    "Nikon to Canon": ("nikon", "realsr_x4", "Canon", 1),
    "Canon to DRealSR": ("canon", "drealsr_x4", "", 4),
    "Nikon to City100 (made LR)": ("nikon", "city100_same_size", "", 4),
}


def pairs_of(data: Path, name: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, LR float32, HR uint8) of a set."""
    _, folder, pattern, every = SETS[name]
    if folder == "city100_same_size":
        found = []
        for path in sorted((data / "pairs" / folder / "HR").glob("*.png"))[::every]:
            hr = read_image(path).pixels
            height, width = (size // SCALE * SCALE for size in hr.shape[:2])
            lr = quantise(bicubic_downscale(hr[:height, :width], SCALE))
            found.append((path.stem, to_float(lr), hr[:height, :width]))
        return found
    source = open_pairs(data / "pairs" / folder, scale=SCALE)
    chosen = [pair for pair in source if pair.name.startswith(pattern)][::every]
    return [(pair.name, to_float(pair.lr), pair.hr) for pair in chosen]


def measure(data: Path, runs: Path, name: str, work: Path, most: int) -> list[dict]:
    """PSNR-RGB and CPU seconds of every plan on the images of a set, `most` at most: every second one first."""
    known = {}
    if work.exists():
        known = {(r["set"], r["image"]): r for r in map(json.loads, work.read_text().splitlines())}
    members, weights, scale = load_suite(runs / SETS[name][0] / "train")
    networks, half = prepare(members, scale), prepare(members, scale, precision="bfloat16")
    rows = []
    pairs = pairs_of(data, name)
    for index, (image, lr, hr) in enumerate([*pairs[::2], *pairs[1::2]][:most]):
        row = known.get((name, image))
        if row is None:
            row = {"set": name, "image": image, "height": lr.shape[0], "width": lr.shape[1], "psnr": {}, "seconds": {}}
        missing = [plan for plan in PLANS if plan not in row["psnr"] and index % EVERY.get(plan, 1) == 0]
        for plan_name in missing:
            started = time.process_time()
            used = half if plan_name == HALF else networks
            sr = np.concatenate(list(upscale_bands(used, lr, PLANS[plan_name], weights=weights)))
            row["seconds"][plan_name] = time.process_time() - started
            row["psnr"][plan_name] = metrics.psnr_rgb(quantise(sr), hr, crop=CROP)
        if missing:
            with work.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, image, {k: round(v, 3) for k, v in row["psnr"].items()}, flush=True)
        rows.append(row)
    return rows


def summary(rows: list[dict], plan: str, base: str) -> dict[str, float] | None:
    """Mean change against another plan, its 95 % interval, the speed-up, over images that have both; None for fewer than 3."""
    there = [row for row in rows if plan in row["psnr"] and base in row["psnr"]]
    if len(there) < 3:
        return None
    change = [row["psnr"][plan] - row["psnr"][base] for row in there]
    half_width = student.ppf(0.975, len(change) - 1) * stdev(change) / len(change) ** 0.5
    seconds = {name: sum(row["seconds"][name] for row in there) for name in (plan, base)}
    return {
        "images": len(there),
        "change": fmean(change),
        "low": fmean(change) - half_width,
        "high": fmean(change) + half_width,
        "worst": min(change),
        "time": seconds[base] / seconds[plan],
    }


def markdown(value: dict) -> str:
    lines = [
        "# What the presets cost in dB",
        "",
        f"Command: `{value['command']}`. 2 cores, AVX2; {value['versions']}; one thread.",
        "PSNR-RGB, crop 4 px, 8-bit outputs. Change: mean over images, with the 95 % "
        "interval of Student's t; speed-up by CPU time on these images. bfloat16 is emulated here: its "
        "time says nothing.",
        "",
    ]
    for name, comparisons in value["sets"].items():
        lines += [
            f"## {name}: {value['sizes'][name]}",
            "",
            "| plan | against | images | change, dB | 95 % interval | worst image | speed-up |",
            "|---|---|---|---|---|---|---|",
        ]
        for pair, s in comparisons.items():
            plan, base = pair.split(" | ")
            speed = "-" if plan == HALF else f"{s['time']:.1f}"
            lines.append(
                f"| {plan} | {base} | {s['images']} | {s['change']:+.4f} | {s['low']:+.4f} to {s['high']:+.4f} | "
                f"{s['worst']:+.3f} | {speed} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/quality.jsonl"))
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--images", type=int, default=10**6, help="of a set, at most")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.parent.mkdir(parents=True, exist_ok=True)
    measured = {name: measure(args.data, args.runs, name, args.work, args.images) for name in args.sets}
    everything = [row for rows in measured.values() for row in rows]
    sets = measured | {"all sets": everything}
    value = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/inference/quality.py DATA runs/real_pairs "
        f"--sets {shlex.join(args.sets)}",
        "versions": results.versions(),
        "sizes": {
            name: "LR " + ", ".join(sorted({f"{row['width']}x{row['height']} px" for row in rows}))
            for name, rows in sets.items()
        },
        "sets": {
            name: {f"{a} | {b}": found for a, b in COMPARED if (found := summary(rows, a, b)) is not None}
            for name, rows in sets.items()
        },
        "images": everything,
    }
    results.write(args.out, value, markdown(value))


if __name__ == "__main__":
    main()
