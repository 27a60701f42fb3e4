"""`gpnas-sr demo`: the whole method on simulated pairs. It only runs the public commands, one after another, and shows them.

Each command continues where it was interrupted, and so does the demo: run again after a kill, it ends with the same specs.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.records.scores import Scores

EXAMPLE = "gpnas-sr demo --out runs/demo"

CONFIG = Path(__file__).parent / "demo_config"
SCALE = 4
# One photograph of fine texture and one smooth one in each. VALIDATION scores the search and fits the ensemble weights. TEST
# makes the table, and no stage sees it before
VALIDATION = ("china_*", "flower_*")
TEST = ("coffee_*", "chelsea_*")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="RUN", help="folder (default runs/demo)")
    parser.add_argument(
        "--config",
        type=Path,
        default=CONFIG,
        metavar="FOLDER",
        help="folder with space.toml, search.toml and train.toml (default: the demo's own)",
    )
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one a core)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run every stage; the first that fails ends the demo with its status."""
    stages = _stages(args.out, args.config, args.jobs)
    for index, (title, words) in enumerate(stages, 1):
        _say(f"\n[{index}/{len(stages)}] {title}\n    $ gpnas-sr {shlex.join(words)}")
        status = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", *words], stdout=sys.stderr, check=False
        ).returncode
        if status != 0:
            _say(f"demo: stage {index} ({title}) ended with status {status}; run the demo again to continue from there")
            return {"out": str(args.out), "failed_stage": title, "exit_status": status}
    return {"out": str(args.out), **_summary(args.out)}


def render(value: dict[str, Any]) -> str:
    """PSNR of bicubic, of each member and of the ensemble; the page; the commands for one's own pairs."""
    if "rows" not in value:
        return f"demo stopped in stage: {value['failed_stage']}"
    title = f"test pairs ×{SCALE}, crop {value['crop']} px"
    width = max(len(title), *(len(row["name"]) for row in value["rows"]))
    out = value["out"]
    return "\n".join(
        [
            "",
            "your own pairs (LR/ and HR/ folders of one stem, or RealSR, DRealSR names), the same commands:",
            f"    gpnas-sr data prepare PAIRS --scale {SCALE} --out pack.h5",
            "    gpnas-sr search pack.h5 --out runs/search --minutes 120",
            "    gpnas-sr train runs/search --data pack.h5 --out runs/train",
            "    gpnas-sr upscale runs/train IN OUT",
            "",
            f"page: {out}/report.html      suite: {out}/suite.json",
            f"    {title:{width}}  PSNR-RGB   PSNR-Y",
            *(f"    {row['name']:{width}}  {row['psnr_rgb']:8.3f} {row['psnr_y']:8.3f} dB" for row in value["rows"]),
        ]
    )


def _stages(out: Path, config: Path, jobs: int) -> list[tuple[str, list[str]]]:
    """Title and words of each command."""
    pairs, pack, search, train, ablation = (str(out / n) for n in ("pairs", "pack.h5", "search", "train", "ablation"))
    scale, processes = ["--scale", str(SCALE)], ["--jobs", str(jobs)]
    space, proxies, training = (str(config / f"{name}.toml") for name in ("space", "search", "train"))
    held_out = [*_each("--exclude", TEST), *_each("--validation", VALIDATION)]
    return [
        (
            "simulate a camera on photographs from scikit-image and scikit-learn",
            ["data", "simulate", "builtin", *scale, "--out", pairs],
        ),
        ("check the pairs, split by photograph", ["data", "prepare", pairs, *scale, "--out", pack, *held_out]),
        (
            "search architectures: GP-NAS over short trainings on PaddlePaddle",
            ["search", pack, "--out", search, *processes, "--space", space, "--config", proxies],
        ),
        (
            "train the chosen networks on PyTorch",
            ["train", search, "--data", pack, "--out", train, *processes, "--config", training],
        ),
        (
            "the paper's Table 1 on photographs that no stage has seen",
            ["ablate", train, "--data", pairs, "--out", ablation, *_each("--include", TEST)],
        ),
        ("one page of it all", ["report", str(out), "--out", str(out / "report.html")]),
    ]


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _summary(out: Path) -> dict[str, Any]:
    """Scores of bicubic, single members and the whole suite, from the ablation; a copy of the suite file goes into `out`."""
    from shared.records.ablation import NAME, AblationTable
    from shared.records.record import read_record
    from shared.records.suite import read_suite, write_suite

    suite = read_suite(out / "train")
    write_suite(out / "suite.json", suite)
    table = read_record(AblationTable, out / "ablation" / NAME)
    rows = [_line("bicubic", table.bicubic)]
    for levels, words in (((), ", one pass"), (("self_ensemble", "patch_ensemble"), ", flips and patches")):
        singles = (row for row in table.rows if len(row.members) == 1 and row.levels == levels)
        rows += [_line(row.members[0] + words, row) for row in singles]
    whole = next(row for row in table.rows if len(row.members) == len(suite.members) and len(row.levels) == 2)
    rows.append(_line("ensemble, all three levels", whole))
    return {
        "suite": str(out / "suite.json"),
        "report": str(out / "report.html"),
        "crop": table.crop,
        "rows": rows,
    }


def _line(name: str, scores: "Scores") -> dict[str, Any]:
    metrics = ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y")
    return {"name": name} | {metric: getattr(scores, metric) for metric in metrics}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
