"""`gpnas-sr upscale`: images and folders through the three-level ensemble."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UsageError
from train_torch.commands import ensemble_options

if TYPE_CHECKING:
    from train_torch.ensemble.plan import PassPlan

EXAMPLE = """
gpnas-sr upscale runs/demo/suite.json photo.jpg photo_x4.png
gpnas-sr upscale runs/demo photos/ 'more/*.tif' photos_x4/ --quality balanced --memory 2GB
gpnas-sr upscale runs/demo - - --quality fast
"""
STREAM = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("suite", type=Path, metavar="SUITE", help="suite file, folder with one, or one weights file")
    parser.add_argument(
        "input",
        nargs="+",
        metavar="IN",
        help="an image (PNG, TIFF, JPEG, WebP), a folder (its images at any depth), a pattern, or - for standard input",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help="a file, a folder, or - for a PNG on standard output. In a folder names and formats are the inputs', "
        "but JPEG becomes PNG, which loses nothing",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist (default: skip them)")
    parser.add_argument("--bits", type=int, choices=(8, 16), help="depth of the outputs (default: that of each input)")
    parser.add_argument(
        "--quality",
        choices=ensemble_options.QUALITIES,
        default="paper",
        help="how much of the paper's scheme is computed (default: paper, all of it); fast and balanced have their own "
        "patches, stride and transforms, and the options below change them",
    )
    ensemble_options.configure(parser)
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory that the process may use at most, such as 2GB (default: no limit)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 … (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--fusion",
        choices=ensemble_options.FUSIONS,
        default="robust",
        help="how the networks' images become one (default: robust, the mean, with less of a network that differs locally)",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write where the networks disagree, as OUT.uncertainty.png: white is a standard deviation of 1/4 or more",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Upscale every image; status 1 if one of several failed."""
    from train_torch.upscale.file_queue import queue_files

    _check_streams(args)
    memory = None if args.memory is None else ensemble_options.parse_memory(args.memory)
    queue = queue_files(
        args.input, args.output, bits=args.bits, uncertainty=args.uncertainty
    )  # refuses before torch is loaded

    from train_torch.device import on_device
    from train_torch.ensemble import load_suite
    from train_torch.upscale.files import upscale_files
    from train_torch.upscale.image import Ensemble

    members, weights, scale = load_suite(args.suite)
    ensemble = Ensemble(
        members=on_device(members, args.device),
        weights=weights,
        plan=_ensemble_plan(args, scale, memory),
        fusion=args.fusion,
    )
    standard_input = sys.stdin.buffer.read() if STREAM in args.input else None
    value = upscale_files(ensemble, queue, bits=args.bits, overwrite=args.overwrite, standard_input=standard_input)
    value = {"suite": str(args.suite), "quality": args.quality, "fusion": args.fusion, **value}
    return {**value, "exit_status": 1} if value["failed"] else value


def render(value: dict[str, Any]) -> str:
    """A line for each image, then what was skipped, ignored and failed. Empty if the image itself went to standard output."""
    if any(item["output"] == STREAM for item in value["done"]):
        return ""
    lines = [
        f"{item['input']} -> {item['output']}  {item['width']}x{item['height']}  {item['seconds']:.1f} s"
        for item in value["done"]
    ]
    if value["skipped"]:
        first = value["skipped"][0]["output"]
        lines.append(f"skipped {len(value['skipped'])} whose output exists, such as {first}; --overwrite replaces it")
    if value["ignored"]:
        lines.append(
            f"ignored {len(value['ignored'])} files without the suffix of an image, such as {value['ignored'][0]}"
        )
    lines += [
        f"failed {item['input']}: {item['reason'].removeprefix(item['input'] + ': ')}" for item in value["failed"]
    ]
    counts = ", ".join(f"{len(value[key])} {key}" for key in ("done", "skipped", "failed"))
    return "\n".join([*lines, f"x{value['scale']}: {counts}"])


def _check_streams(args: argparse.Namespace) -> None:
    if args.output != STREAM:
        return
    if args.json:
        raise UsageError("the image and --json would both go to standard output; expected one: name an output file")
    if sys.stdout.isatty():
        raise UsageError(
            "standard output is a terminal; expected a pipe or a file: add > image.png, or name an output file"
        )


def _ensemble_plan(args: argparse.Namespace, scale: int, memory: int | None) -> "PassPlan":
    """The named plan, changed by the options that were given."""
    from train_torch.ensemble.plan import preset
    from train_torch.ensemble.self_ensemble import transforms

    given = ensemble_options.options(args)
    changes: dict[str, Any] = {name: given[name] for name in ("patch", "stride") if name in given}
    if "self_ensemble" in given:
        changes["transforms"] = transforms(8 if given["self_ensemble"] else 1)
    if not given.get("patch_ensemble", True):
        changes["patch"] = None
    return replace(preset(args.quality, scale, memory=memory), **changes)
