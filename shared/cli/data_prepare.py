"""`gpnas-sr data prepare`: check LR/HR pairs and write them into one pack."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr data prepare RealSR/Canon/Train/4 --scale 4 --out canon.h5
gpnas-sr data prepare pairs/ --out pack.h5 --include 'Canon_*' --validation 'Canon_03*'
"""

OPTIONS = ("ncc", "ncc_threshold", "validation_fraction", "validation", "group", "seed", "include", "exclude")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("sources", type=Path, nargs="+", metavar="SRC", help="folder of pairs, searched recursively")
    parser.add_argument("--out", type=Path, required=True, metavar="PACK.h5", help="gets PACK.h5.report.json beside it")
    parser.add_argument("--scale", type=int, help="2, 3 or 4 (default: read off the sizes)")
    parser.add_argument("--ncc", choices=("ncc_rgb_lr", "ncc_y_hr"), help="which NCC (default ncc_rgb_lr)")
    parser.add_argument("--ncc-threshold", type=float, metavar="T", help="pairs below are dropped (default 0.99)")
    for name, help_text in (
        ("--include", "use the pairs of these names only"),
        ("--exclude", "leave out the pairs of these names"),
        ("--validation", "validate on the pairs of these names"),
    ):
        parser.add_argument(
            name, action="append", metavar="PATTERN", help=f"{help_text}; shell pattern, may be repeated"
        )
    parser.add_argument(
        "--validation-fraction", type=float, metavar="F", help="without --validation: on this share (default 600/19000)"
    )
    parser.add_argument("--group", metavar="REGEX", help="never split pairs for which its first bracket is the same")
    parser.add_argument("--seed", type=int, help="of the split by share (default 0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the pack; dropped pairs are listed, and no failure as long as one is kept."""
    from shared.data.prepare import make_config, prepare, report_path

    config = make_config({name: value for name in OPTIONS if (value := getattr(args, name)) is not None})
    report = prepare(args.sources, args.out, config=config, scale=args.scale)
    return {**report.to_json(), "pack": str(args.out), "report": str(report_path(args.out))}


def render(value: dict[str, Any]) -> str:
    """What was found, kept, dropped, and where it stands."""
    lines = [f"layout: {value['layout']}; scale {value['scale']}"]
    lines.append(
        f"{value['pairs']} pairs: {value['kept']} kept ({value['train']} train, {value['validation']} validation), "
        f"{len(value['dropped'])} dropped"
    )
    lines.append(f"{value['config']['ncc']}: median {value['ncc']['median']:.4f}, least {value['ncc']['min']:.4f}")
    if value["shift"]:
        lines.append(f"shift: median {value['shift']['median']:.2f}, largest {value['shift']['max']:.2f} LR px")
    lines += [f"  dropped {item['name']}: {item['reason']}" for item in value["dropped"]]
    done = "stands already, unchanged" if value["unchanged"] else "written"
    lines.append(f"{value['pack']} {done} (content {value['sha256'][:12]}); report: {value['report']}")
    return "\n".join(lines)
