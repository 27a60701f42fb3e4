"""`gpnas-sr evaluate`: PSNR and SSIM of a suite on LR/HR pairs, beside bicubic."""

import argparse
from pathlib import Path
from typing import Any

from train_torch.commands import ensemble_options

EXAMPLE = """
gpnas-sr evaluate runs/demo/suite.json --data runs/demo/pack.h5
gpnas-sr evaluate runs/train --data pairs/ --include 'Nikon_*' --no-self-ensemble
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("suite", type=Path, metavar="SUITE", help="suite file, folder with one, or one weights file")
    add_data(parser)
    ensemble_options.configure(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The options that say what is measured on, the same for `evaluate` and `ablate`."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="PACK.h5|DIR",
        help="a pack's validation pairs, or a folder of pairs",
    )
    parser.add_argument(
        "--include", action="append", default=[], metavar="GLOB", help="only pairs of such names; may be given again"
    )
    parser.add_argument("--crop", type=int, help="HR px cut off each side before a metric (default: the scale)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every pair."""
    from shared.data.source import open_pairs
    from shared.records.evaluation import Evaluation
    from shared.records.preparation import DroppedPair
    from shared.records.scores import Scores
    from train_torch.ensemble import load_suite
    from train_torch.evaluation.evaluate import Levels, evaluate, mean_scores

    members, weights, scale = load_suite(args.suite)
    pairs = open_pairs(args.data, scale=scale)
    levels = Levels(**ensemble_options.options(args))
    crop = scale if args.crop is None else args.crop
    images = evaluate(members, weights, pairs, levels=levels, crop=crop, include=args.include)
    return Evaluation(
        suite=str(args.suite),
        data=str(args.data),
        scale=scale,
        crop=crop,
        levels=levels.names,
        bicubic=Scores(**mean_scores([image.bicubic for image in images])),
        images=images,
        skipped=tuple(DroppedPair(name=item.name, reason=item.reason) for item in pairs.skipped),
        **mean_scores(images),
    ).to_json()


def render(value: dict[str, Any]) -> str:
    """A line an image, the means, the convention."""
    width = max(len("bicubic, mean"), *(len(image["name"]) for image in value["images"]))
    lines = [f"{'image':{width}}  PSNR-RGB   PSNR-Y  SSIM-RGB  SSIM-Y"]
    lines += [row(image["name"], image, width) for image in value["images"]]
    lines += [row("mean", value, width), row("bicubic, mean", value["bicubic"], width)]
    levels = " + ".join(value["levels"]) or "no level of the ensemble but the mean of models"
    lines.append(f"x{value['scale']}, crop {value['crop']} px, 8-bit outputs, {len(value['images'])} images; {levels}")
    lines += [f"skipped {item['name']}: {item['reason']}" for item in value["skipped"]]
    return "\n".join(lines)


def row(name: str, scores: dict[str, Any], width: int) -> str:
    """One line of a table.

    Args:
        name: what was measured.
        scores: metric -> value, the four metrics among them.
        width: of the first column, characters.
    """
    return (
        f"{name:{width}}  {scores['psnr_rgb']:8.3f} {scores['psnr_y']:8.3f}  "
        f"{scores['ssim_rgb']:8.4f}  {scores['ssim_y']:6.4f}"
    )
