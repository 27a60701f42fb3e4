"""`gpnas-sr upscale`: an image or a folder through the three-level ensemble."""

import argparse
from pathlib import Path
from typing import Any

from shared.cli import ensemble_options

EXAMPLE = """
gpnas-sr upscale runs/demo/suite.json photo.jpg photo_x4.png
gpnas-sr upscale runs/demo photos/ photos_x4/ --no-self-ensemble
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("suite", type=Path, metavar="SUITE", help="suite file, folder with one, or one weights file")
    parser.add_argument(
        "input", type=Path, metavar="IN", help="an image (PNG, TIFF, JPEG, WebP), or a folder: its images at any depth"
    )
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="a file, or a folder. In a folder names and formats are the inputs', but JPEG becomes PNG, without losses",
    )
    parser.add_argument("--overwrite", action="store_true", help="make outputs anew that exist (default: skip them)")
    parser.add_argument("--bits", type=int, choices=(8, 16), help="depth of the outputs (default: that of each input)")
    ensemble_options.configure(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Upscale every image; status 1 if one of several failed."""
    from train_torch.upscale_plan import plan

    todo = plan(args.input, args.output, bits=args.bits)  # refuses before torch and the networks are loaded

    from train_torch.ensemble import load_suite
    from train_torch.evaluate import Levels
    from train_torch.upscale_files import Ensemble, upscale_files

    members, weights, scale = load_suite(args.suite)
    levels = Levels(**ensemble_options.options(args))
    ensemble = Ensemble(members=members, weights=weights, scale=scale, levels=levels)
    value = {"suite": str(args.suite), **upscale_files(ensemble, todo, bits=args.bits, overwrite=args.overwrite)}
    return {**value, "exit_status": 1} if value["failed"] else value


def render(value: dict[str, Any]) -> str:
    """A line an image, then what was skipped, ignored and failed."""
    lines = [
        f"{item['input']} -> {item['output']}  {item['width']}x{item['height']}  {item['seconds']:.1f} s"
        for item in value["done"]
    ]
    if value["skipped"]:
        first = value["skipped"][0]["output"]
        lines.append(f"skipped {len(value['skipped'])} whose output exists, such as {first}; --overwrite makes it anew")
    if value["ignored"]:
        lines.append(
            f"ignored {len(value['ignored'])} files that are no images by suffix, such as {value['ignored'][0]}"
        )
    lines += [
        f"failed {item['input']}: {item['reason'].removeprefix(item['input'] + ': ')}" for item in value["failed"]
    ]
    counts = ", ".join(f"{len(value[key])} {key}" for key in ("done", "skipped", "failed"))
    return "\n".join([*lines, f"x{value['scale']}: {counts}"])
