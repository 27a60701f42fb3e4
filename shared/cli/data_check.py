"""`gpnas-sr data check`: what is in a pack or a folder of pairs, and what is wrong with it."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr data check pack.h5
gpnas-sr data check RealSR/Nikon/Test/4 --scale 4 --ncc ncc_y_hr
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", type=Path, metavar="PACK.h5|DIR", help="a pack, or a folder of pairs")
    parser.add_argument("--scale", type=int, help="of a folder's pairs (default: read off the sizes)")
    parser.add_argument(
        "--ncc",
        choices=("ncc_rgb_lr", "ncc_y_hr"),
        default="ncc_rgb_lr",
        help="the NCC that is judged (default %(default)s)",
    )
    parser.add_argument("--ncc-threshold", type=float, default=0.99, metavar="T", help="default %(default)s")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every pair; status 2 if anything is wrong with one."""
    from shared.data.check import check

    value = check(args.path, scale=args.scale, definition=args.ncc, threshold=args.ncc_threshold)
    return {**value, "exit_status": 2} if value["problems"] else value


def render(value: dict[str, Any]) -> str:
    """A line a pair, then the problems."""
    width = max([4, *(len(pair["name"]) for pair in value["pairs"])])
    lines = [f"{value['path']}: {value['kind']} of {len(value['pairs'])} pairs, scale {value['scale']}"]
    lines.append(f"{'name':{width}}  split       LR         HR         bits   ncc_rgb_lr  ncc_y_hr  shift (LR px)")
    for pair in value["pairs"]:
        lr, hr = ("x".join(map(str, pair[key])) for key in ("lr_size", "hr_size"))
        shift = "{:+.2f} {:+.2f}".format(*pair["shift"]) if pair["shift"] else "-"
        lines.append(
            f"{pair['name']:{width}}  {pair['split'] or '-':10}  {lr:9}  {hr:9}  {'/'.join(map(str, pair['bits'])):5}  "
            f"{pair['ncc_rgb_lr']:10.4f}  {pair['ncc_y_hr']:8.4f}  {shift}"
        )
    lines += [f"problem {item['name']}: {item['reason']}" for item in value["problems"]]
    lines.append(f"{len(value['problems'])} problems")
    return "\n".join(lines)
