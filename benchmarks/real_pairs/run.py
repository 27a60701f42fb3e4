"""The whole chain on real camera pairs: search and train on one camera, test on the other, then the reverse.

    .venv/bin/python benchmarks/real_pairs/run.py ../shared/data/pairs/realsr_x4 --out runs/real_pairs

Only public commands run, each resumes; nothing of the test camera is seen before the table. Writes results.json and
results.md here.
"""

import argparse
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CAMERAS = ("Canon", "Nikon")
SCALE = 4
PATCHES = ("--patch", 64, "--stride", 32)  # LR px; trained on 32: nearer than the 120 of the paper


def gpnas_sr(*words: object) -> None:
    line = [str(word) for word in words]
    print("$ gpnas-sr", shlex.join(line), flush=True)
    subprocess.run([sys.executable, "-m", "shared.cli.main", *line], check=True)


def chain(pairs: Path, out: Path, camera: str, other: str, jobs: int) -> dict[str, Any]:
    """One direction; returns the ablation."""
    pack, search, train, table = (out / name for name in ("pack.h5", "search", "train", "ablation"))
    gpnas_sr(
        "data", "prepare", pairs, "--scale", SCALE, "--include", f"{camera}_*", "--validation", f"{camera}_0[0-9][05]*",
        "--out", pack,
    )  # fmt: skip
    gpnas_sr(
        "search",
        pack,
        "--out",
        search,
        "--space",
        HERE / "space.toml",
        "--config",
        HERE / "search.toml",
        "--jobs",
        jobs,
    )
    gpnas_sr("train", search, "--data", pack, "--out", train, "--config", HERE / "train.toml", "--jobs", jobs)
    gpnas_sr("ablate", train, "--data", pairs, "--include", f"{other}_*", "--out", table, *PATCHES)
    gpnas_sr("report", out, "--out", out / "report.html")
    return json.loads((table / "ablation.json").read_bytes())


def markdown(results: dict[str, Any]) -> str:
    """The table of each direction, then the intervals."""
    lines = ["# Real pairs: search and train on one camera, test on the other", "", results["how"], ""]
    for name, ablation in results["directions"].items():
        images = len(ablation["bicubic"]["images"])
        lines += [
            f"## {name}",
            "",
            f"{images} test images, ×{ablation['scale']}, crop {ablation['crop']} px, 8-bit outputs.",
            "",
        ]
        lines += [
            "| members | PSNR-RGB | PSNR-Y | SSIM-RGB | SSIM-Y |",
            "|---|---|---|---|---|",
            row("bicubic", ablation["bicubic"]),
        ]
        lines += [row(label(entry), entry) for entry in ablation["rows"]]
        lines += ["", "| the whole ensemble over | metric | gain, dB | 95 % interval |", "|---|---|---|---|"]
        lines += [
            f"| {label(c['b'])} | {c['metric']} | {c['gain']:+.3f} | {c['low']:+.3f} to {c['high']:+.3f} |"
            for c in ablation["comparisons"]
        ]
        lines.append("")
    return "\n".join(lines)


def row(name: str, scores: dict[str, Any]) -> str:
    return f"| {name} | {scores['psnr_rgb']:.3f} | {scores['psnr_y']:.3f} | {scores['ssim_rgb']:.4f} | {scores['ssim_y']:.4f} |"


def label(entry: dict[str, Any]) -> str:
    off = [name for name in ("self_ensemble", "patch_ensemble") if name not in entry["levels"]]
    if not entry["members"]:
        return "bicubic"
    return " + ".join(entry["members"]) + (f" (no {', no '.join(off)})" if off else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="folder of RealSR x4 pairs, names Canon_* and Nikon_*")
    parser.add_argument("--out", type=Path, default=Path("runs/real_pairs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    directions = {}
    for camera, other in (CAMERAS, CAMERAS[::-1]):
        name = f"{camera} to {other}"
        directions[name] = chain(args.pairs, args.out / camera.lower(), camera, other, args.jobs)
    how = (
        "Command: `python benchmarks/real_pairs/run.py PAIRS`. Budget and space: the TOML files beside this one; "
        f"Python {platform.python_version()}, two CPU cores, one thread a process, no GPU."
    )
    results = {"how": how, "directions": directions}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
