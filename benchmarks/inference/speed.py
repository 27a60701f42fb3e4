"""Speed of the presets against the paper's scheme written plainly. One thread, process CPU time, in turn in one process.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/speed.py --rounds 3 --out benchmarks/inference/speed

The naive scheme is what a paper's test script does: one patch of 120 at stride 60, one flip, one network at a time, eager, NCHW,
float32. Three small networks with random weights, LR 180x240, x4; and one patch of 120 through RCAN* (128 features). Rounds
are kept in --work, so the command goes on where it stopped. Writes speed.json and speed.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import results
import torch
from torch import nn
from torch.nn import functional

from shared.network.cost import graph_cost
from shared.network.families import build_graph
from shared.spec import parse
from train_torch.ensemble.modules import PreparedMember, evaluating, prepare
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PRESETS, preset
from train_torch.network import build

SCALE, HEIGHT, WIDTH, PATCH, STRIDE = 4, 180, 240, 120, 60
SMALL = (
    {"family": "rcan", "scale": SCALE, "features": 32, "groups": 2, "blocks": 4},
    {"family": "rcan", "scale": SCALE, "features": 32, "groups": 3, "blocks": 3},
    {"family": "drn", "scale": SCALE, "features": 32, "blocks": 4, "stages": 2},
)
FULL = {"family": "rcan", "scale": SCALE, "features": 128, "groups": 5, "blocks": 10}
TARGETS = {"paper": 2.8, "balanced": 10.0, "fast": 25.0, "RCAN* patch": 1.2}


def starts(size: int) -> list[int]:
    return [0] if size <= PATCH else [*range(0, size - PATCH, STRIDE), size - PATCH]


def naive(members: list[nn.Module], lr: np.ndarray) -> np.ndarray:
    """The paper's scheme in plain loops: float64 (scale·h, scale·w, 3)."""
    height, width = lr.shape[:2]
    y, x = np.mgrid[: SCALE * PATCH, : SCALE * PATCH] - (SCALE * PATCH - 1) / 2
    distance = np.hypot(y, x)
    window = (1 - distance / (distance.max() + 1))[..., None]
    total = np.zeros((SCALE * height, SCALE * width, 3))
    weights = np.zeros((SCALE * height, SCALE * width, 1))
    for top in starts(height):
        for left in starts(width):
            patch = lr[top : top + PATCH, left : left + PATCH]
            mean = np.zeros((SCALE * PATCH, SCALE * PATCH, 3))
            for member in members:
                for turns in range(4):
                    for mirror in (False, True):
                        turned = np.rot90(patch[:, ::-1] if mirror else patch, turns)
                        with torch.no_grad():
                            batch = torch.from_numpy(turned.transpose(2, 0, 1)[None].copy())
                            sr = member(batch)[0].permute(1, 2, 0).numpy()
                        back = np.rot90(sr, -turns)
                        mean += (back[:, ::-1] if mirror else back) / (8 * len(members))
            here = np.s_[SCALE * top : SCALE * (top + PATCH), SCALE * left : SCALE * (left + PATCH)]
            total[here] += window * mean
            weights[here] += window
    return total / weights


def ours(networks: tuple[PreparedMember, ...], lr: np.ndarray, quality: str) -> np.ndarray:
    return np.concatenate(list(upscale_bands(networks, lr, preset(quality, SCALE))))


def cpu_seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def in_turn(ways: dict[str, Callable[[], object]], index: int) -> dict[str, float]:
    """CPU seconds of each way, once: forwards in even rounds, backwards in odd ones."""
    seconds = {}
    for name in list(ways)[:: 1 if index % 2 == 0 else -1]:
        seconds[name] = cpu_seconds(ways[name])
        print(f"  round {index + 1}: {name} {seconds[name]:.2f} s", flush=True)
    return {name: seconds[name] for name in ways}


def speedups(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median, least and greatest of the rounds' ratios to the first way, and median seconds."""
    base = next(iter(rounds[0]))
    rows = {}
    for name in rounds[0]:
        ratios = [seconds[base] / seconds[name] for seconds in rounds]
        middle = median(seconds[name] for seconds in rounds)
        rows[name] = {"ratio": median(ratios), "low": min(ratios), "high": max(ratios), "seconds": middle}
    return rows


def peak_gflops() -> dict[str, float]:
    """What one core reaches: a matrix product, and the best 3x3 convolution (channels last), best of seven."""
    a, image = torch.rand(2048, 2048), torch.rand(1, 64, 120, 120).to(memory_format=torch.channels_last)
    weight = torch.rand(64, 64, 3, 3).to(memory_format=torch.channels_last)
    with torch.no_grad():
        matmul = min(cpu_seconds(lambda: a @ a) for _ in range(7))
        conv = min(cpu_seconds(lambda: functional.conv2d(image, weight, padding=1)) for _ in range(7))
    return {"matmul": 2 * 2048**3 / matmul / 1e9, "conv": 2 * 120**2 * 64 * 64 * 9 / conv / 1e9}


def gflop(specs: tuple[dict, ...], networks: tuple[PreparedMember, ...], pixels: int) -> tuple[float, float]:
    """Of as many LR px through all networks: as defined, and as rewritten."""
    defined = sum(graph_cost(build_graph(parse(spec)).inference()).macs_per_pixel for spec in specs)
    rewritten = sum(graph_cost(network.graph).macs_per_pixel for network in networks)
    return 2e-9 * pixels * defined, 2e-9 * pixels * rewritten


def one_round(index: int) -> dict:
    """Every way once; largest differences to the naive one beside the times."""
    members = [build(parse(spec), seed=seed) for seed, spec in enumerate(SMALL)]
    networks = prepare(members, SCALE)
    lr = np.random.default_rng(index).random((HEIGHT, WIDTH, 3), dtype=np.float32)
    ours(networks, lr, "fast")  # warm-up
    images: dict[str, Any] = {}
    ways: dict[str, Callable[[], object]] = {"naive": lambda: images.update(naive=naive(members, lr))}
    for quality in PRESETS:
        ways[quality] = lambda quality=quality: images.update({quality: ours(networks, lr, quality)})
    small = in_turn(ways, index)
    star = build(parse(FULL), seed=0)
    fast = prepare([star], SCALE)[0]
    x = torch.rand(1, 3, PATCH, PATCH)
    with evaluating([fast]):
        ways = {
            "naive RCAN* patch": lambda: images.update(star=star(x)),
            "RCAN* patch": lambda: images.update(fast_star=fast(x)),
        }
        full = in_turn(ways, index)
    return {
        "peak_gflops": peak_gflops(),
        "small": small,
        "full": full,
        "difference": float(np.abs(images["paper"] - images["naive"]).max()),
        "full_difference": float((images["star"] - images["fast_star"]).abs().max()),
    }


def summary(rounds: list[dict]) -> dict:
    rows = speedups([one["small"] for one in rounds])
    networks = prepare([build(parse(spec)) for spec in SMALL], SCALE)
    for name, row in rows.items():
        naive_pixels = 8 * PATCH**2 * len(starts(HEIGHT)) * len(starts(WIDTH))
        pixels = naive_pixels if name == "naive" else preset(name, SCALE).pixels(HEIGHT, WIDTH)
        defined, rewritten = gflop(SMALL, networks, pixels)
        computed = defined if name == "naive" else rewritten
        row |= {"pixels_per_pixel": pixels / (HEIGHT * WIDTH), "gflops_computed": computed / row["seconds"]}
        row["gflops_defined"] = defined / row["seconds"]
    full = speedups([one["full"] for one in rounds])
    defined, rewritten = gflop((FULL,), prepare([build(parse(FULL))], SCALE), PATCH**2)
    for row, computed in zip(full.values(), (defined, rewritten), strict=True):
        row |= {"gflops_computed": computed / row["seconds"], "gflops_defined": defined / row["seconds"]}
    rows["paper"]["max_difference"] = max(one["difference"] for one in rounds)
    full["RCAN* patch"] |= {
        "max_difference": max(one["full_difference"] for one in rounds),
        "limit_flops": defined / rewritten,
    }
    peaks = {name: max(one["peak_gflops"][name] for one in rounds) for name in rounds[0]["peak_gflops"]}
    return {"rounds": len(rounds), "peak_gflops": peaks, "small": rows, "full": full}


def markdown(value: dict) -> str:
    peak = max(value["peak_gflops"].values())
    lines = [
        "# Speed of the presets",
        "",
        f"Command: `{value['command']}`. {value['machine']}; {value['versions']}; one thread, CPU time, {value['rounds']} rounds "
        "in turn, median (least to greatest).",
        f"Peak of one core, measured in the same run: matrix product {value['peak_gflops']['matmul']:.0f}, "
        f"3x3 convolution {value['peak_gflops']['conv']:.0f} GFLOP/s.",
        "",
        "| way | speed-up | target | CPU s | computed LR px per px | GFLOP/s computed | of the peak | GFLOP/s as defined |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in (value["small"] | value["full"]).items():
        spread = "" if row["ratio"] == 1 else f" ({row['low']:.2f} to {row['high']:.2f})"
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        pixels = row.get("pixels_per_pixel", float("nan"))
        lines.append(
            f"| {name} | {row['ratio']:.2f}{spread} | {target} | {row['seconds']:.2f} | {pixels:.2f} | "
            f"{row['gflops_computed']:.0f} | {row['gflops_computed'] / peak:.0%} | {row['gflops_defined']:.0f} |"
        )
    lines += [
        "",
        f"Largest difference to the naive scheme on [0, 1]: paper {value['small']['paper']['max_difference']:.1e}, "
        f"RCAN* patch {value['full']['RCAN* patch']['max_difference']:.1e}. balanced and fast compute another result by design: "
        "quality.md has its cost in dB.",
        f"RCAN* patch: {value['full']['RCAN* patch']['limit_flops']:.2f} would be the speed-up if both ran at one rate.",
        "",
    ]
    return "\n".join(line.replace("nan", "") for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/speed.jsonl"), help="rounds are kept here")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.parent.mkdir(parents=True, exist_ok=True)
    rounds = [json.loads(line) for line in args.work.read_text().splitlines()] if args.work.exists() else []
    while len(rounds) < args.rounds:
        rounds.append(one_round(len(rounds)))
        with args.work.open("a") as file:
            file.write(json.dumps(rounds[-1]) + "\n")
    value = {
        "command": f"OMP_NUM_THREADS=1 python benchmarks/inference/speed.py --rounds {args.rounds}",
        "machine": "2 cores, AVX2",
        "versions": results.versions(),
        **summary(rounds),
    }
    results.write(args.out, value, markdown(value))


if __name__ == "__main__":
    main()
