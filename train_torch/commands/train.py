"""`gpnas-sr train`: train a suite, or single specs, fully."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr train runs/search --data pack.h5 --out runs/train --config train.toml --jobs 2
gpnas-sr train drn-star rcan-star rcan --data pack.h5 --out runs/paper
gpnas-sr train runs/search/archive/small.json --data pack.h5 --out runs/student --distill runs/train
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="RUN|SUITE|SPEC",
        help="what to train: a search run's folder, a suite or spec file, a weights file, or a preset (drn-star, "
        "rcan-star, rcan, dual-regression-s, dual-regression-l)",
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="PACK.h5", help="pairs, from `gpnas-sr data prepare`"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; the same command again continues it"
    )
    parser.add_argument(
        "--config", type=Path, metavar="C.toml", help="settings, such as steps = 20000 (default: the paper's)"
    )
    parser.add_argument(
        "--distill",
        type=Path,
        metavar="SUITE",
        help="trained suite whose results are mixed into the targets (by distill_share of the configuration, default 0.5)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="J",
        help="members trained at once, in processes of their own (default 1)",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="optimiser steps of each member, instead of the configuration's"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="K",
        help="seed of the initial weights and of the order of crops, instead of the configuration's",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and report what each member reached."""
    from train_torch.config import read_config
    from train_torch.training.run import train_suite

    config = read_config(args.config, steps=args.steps, seed=args.seed)
    trained = train_suite(
        args.sources, pack=args.data, out=args.out, config=config, jobs=args.jobs, distill=args.distill
    )
    return trained.to_json()


def render(value: dict[str, Any]) -> str:
    """A table of members, and what to do next."""
    width = max(len("bicubic"), *(len(member["id"]) for member in value["members"]))
    baseline = value["bicubic_psnr_rgb"]
    lines = [
        f"{'member':{width}}  parameters   steps  PSNR-RGB  over bicubic",
        f"{'bicubic':{width}}  {'':10}  {'':6}  {baseline:8.2f}",
    ]
    for member in value["members"]:
        size, psnr_rgb = f"{member['parameters']:10,}  {member['steps']:6}", member["psnr_rgb"]
        lines.append(f"{member['id']:{width}}  {size}  {psnr_rgb:8.2f}  {psnr_rgb - baseline:+12.2f}")
    suite = value["suite"]
    lines += [
        "",
        "on the validation pairs, dB; EMA weights, each member alone, whole images",
        f"suite: {suite}",
        "next:",
        f"  gpnas-sr upscale {suite} IN OUT",
        f"  gpnas-sr evaluate {suite} --data PACK.h5|DIR",
        f"  gpnas-sr ablate {suite} --data PACK.h5|DIR",
    ]
    return "\n".join(lines)
