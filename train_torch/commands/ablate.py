"""`gpnas-sr ablate`: the paper's Table 1 for a suite: singles, pairs, all, and all with each level off."""

import argparse
from pathlib import Path
from typing import Any

from shared.report.numbers import count_of
from train_torch.commands import ensemble_options
from train_torch.commands.evaluate import add_data, row

EXAMPLE = """
gpnas-sr ablate runs/demo/suite.json --data runs/demo/pairs --include 'coffee_*' --out runs/demo/ablation
gpnas-sr ablate runs/train --data pack.h5
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("suite", type=Path, metavar="SUITE", help="suite file, or folder with one")
    add_data(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="gets ablation.json and pictures (default: `ablation` beside the suite)",
    )
    parser.add_argument(
        "--examples", type=int, default=4, metavar="N", help="pairs whose pictures are kept (default 4)"
    )
    ensemble_options.configure(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every row on every pair."""
    from shared.data.source import open_pairs
    from shared.records.suite import read_suite
    from train_torch.ensemble import load_suite
    from train_torch.evaluation.ablate import Ablation, ablate
    from train_torch.evaluation.evaluate import Levels

    networks, _, scale = load_suite(args.suite)
    pairs = open_pairs(args.data, scale=scale)
    crop = scale if args.crop is None else args.crop
    levels = Levels(**ensemble_options.options(args))
    ablation = Ablation(suite=read_suite(args.suite), networks=networks, levels=levels, crop=crop)
    out = args.out or (args.suite if args.suite.is_dir() else args.suite.parent) / "ablation"
    table = ablate(ablation, pairs, out, include=args.include, examples=args.examples)
    skipped = [{"name": item.name, "reason": item.reason} for item in pairs.skipped]
    return {"out": str(out), **table.to_json(), "skipped": skipped}


def render(value: dict[str, Any]) -> str:
    """The table, then the intervals."""
    names = [_name(entry) for entry in value["rows"]]
    width = max(map(len, [*names, "bicubic"]))
    lines = [f"{'members':{width}}  PSNR-RGB   PSNR-Y  SSIM-RGB  SSIM-Y", row("bicubic", value["bicubic"], width)]
    lines += [row(name, entry, width) for name, entry in zip(names, value["rows"], strict=True)]
    images = count_of(len(value["bicubic"]["images"]), "image")
    lines.append(
        f"x{value['scale']}, crop {value['crop']} px, 8-bit outputs, mean over {images}; patches of {value['patch']} LR px at "
        f"stride {value['stride']}; a level of the ensemble is off only where the row says so"
    )
    lines += ["", "gain of the whole ensemble over …, dB, with its paired 95 % interval (Student's t) over images"]
    lines += [f"  {_gain(entry)}" for entry in value["comparisons"]]
    lines += [f"skipped {item['name']}: {item['reason']}" for item in value["skipped"]]
    return "\n".join([*lines, f"written: {value['out']}/ablation.json"])


def _name(entry: dict[str, Any]) -> str:
    off = [level for level in ("self_ensemble", "patch_ensemble") if level not in entry["levels"]]
    members = " + ".join(entry["members"]) or "bicubic"
    return members + (f"  (no {', no '.join(off)})" if off and entry["members"] else "")


def _gain(entry: dict[str, Any]) -> str:
    interval = "one image" if entry["low"] is None else f"{entry['low']:+.3f} to {entry['high']:+.3f}"
    return f"{entry['metric']:8}  {entry['gain']:+.3f}  ({interval})  {_name(entry['b'])}"
