r"""Seams: is the error across the borders of tiles the same as inside them? For each preset, on real pairs.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/seams.py ../shared/data/pairs runs/real_pairs/canon/train --member 1 \
        --cache FOLDER

The network pools over all it sees, so each tile is a little off everywhere. Two measures, over the lines between two HR pixels:
the mean squared error beside the line, and the mean squared step of the error across it. Lines at borders of tiles against lines
8 px or more from any, each by tiles against the whole image in one piece, as content differs from line to line:

    d = log(tiled / whole, at borders) - log(tiled / whole, inside)

one number an image, 0 without seams; Student's t over images. Two sets: RealSR pairs of the camera not trained on, 128 px, with
the presets' geometry divided by four; crops of City100 photographs that hold 2 x 2 patches or more of the presets as they are,
whose truth is the sharp photograph of the same size, upscaled. The control is cut hard, without blending, and must be found.
Writes seams.md here.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import ttest_1samp
from torch import nn

from shared.data.source import open_pairs
from shared.files import read_json, write_json
from shared.images.pixels import read_image, to_float
from shared.resize import bicubic_upscale
from shared.spec import software
from train_torch.ensemble import load_suite
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PRESETS, PassPlan, preset
from train_torch.ensemble.self_ensemble import transforms
from train_torch.evaluation.intervals import gain_interval

HERE = Path(__file__).parent
SCALE = 4
RIM, FAR = 16, 8  # HR px: left out at the image's rim; least distance of an inside line to a border
MEASURES = ("error beside", "step across")


def plans(shrink: int) -> dict[str, PassPlan]:
    """The presets with sides and strides divided by `shrink`, and the control: hard tiles in one pass."""
    named = {name: preset(name, SCALE) for name in PRESETS}
    small = {
        name: plan if plan.patch is None else replace(plan, patch=plan.patch // shrink, stride=plan.stride // shrink)
        for name, plan in named.items()
    }
    return small | {
        "control: hard tiles": PassPlan(
            scale=SCALE, patch=120 // shrink, stride=120 // shrink, transforms=transforms(1)
        )
    }


def upscaled(network: nn.Module, lr: np.ndarray, plan: PassPlan) -> np.ndarray:
    return np.concatenate(list(upscale_bands([network], lr, plan)))


def line_measures(error: np.ndarray) -> np.ndarray:
    """Both measures of each line between two columns: (2, w - 1)."""
    left, right = error[:, :-1], error[:, 1:]
    beside, step = (left**2 + right**2) / 2, (right - left) ** 2
    return np.stack([part[RIM:-RIM].mean((0, 2)) for part in (beside, step)])


def lines(starts: Sequence[int], side: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines at borders of tiles, and lines far from any; line k lies between px k and k + 1."""
    borders = {SCALE * start - 1 for start in starts} | {SCALE * (start + side) - 1 for start in starts}
    candidates = np.arange(RIM, size - 1 - RIM)
    at = np.isin(candidates, sorted(borders))
    distance = np.abs(candidates[:, None] - np.array(sorted(borders))[None]).min(1)
    return candidates[at], candidates[distance >= FAR]


def differences(lr: np.ndarray, hr: np.ndarray, network: nn.Module, plan: PassPlan, whole: np.ndarray) -> np.ndarray:
    """The d of both measures for one image of several tiles, (2,)."""
    grid = plan.grid(*lr.shape[:2])
    tiled = upscaled(network, lr, plan)
    sums = np.zeros((2, 2, 2))  # border or inside; tiled or whole; measure
    for turn, starts, side in ((False, grid.lefts, grid.width), (True, grid.tops, grid.height)):
        errors = [image - hr for image in (tiled, whole)]
        measures = [line_measures(e.transpose(1, 0, 2) if turn else e) for e in errors]
        for place, chosen in enumerate(lines(starts, side, measures[0].shape[1] + 1)):
            for image, measure in enumerate(measures):
                sums[place, image] += measure[:, chosen].sum(1)
    ratio = np.log(sums[:, 0] / sums[:, 1])
    return ratio[0] - ratio[1]


def real_pairs(folder: Path, prefix: str, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = [pair for pair in open_pairs(folder, scale=SCALE) if pair.name.startswith(prefix)]
    return [(pair.lr, to_float(pair.hr)) for pair in pairs[:most]]


def photographs(folder: Path, most: int, side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Crops of side + 80 by side + 60 px from the middle of 840 x 600."""
    top, left = (600 - side - 60) // 2, (840 - side - 80) // 2
    crop = (slice(top, top + side + 60), slice(left, left + side + 80))
    for path in sorted((folder / "LR").iterdir())[:most]:
        lr, hr = (read_image(one).pixels[crop] for one in (path, folder / "HR" / path.name))
        yield lr, bicubic_upscale(to_float(hr), SCALE).astype(np.float32)


def test(
    name: str, plan: PassPlan, pairs: Iterable[tuple[np.ndarray, np.ndarray]], network: nn.Module, kept: Path
) -> Iterator[str]:
    """A row of the table for each measure; the numbers of each image are kept."""
    found = []
    for index, (lr, hr) in enumerate(pairs):
        path = kept / f"{name.replace(':', '')}_{index}.json"
        if not path.exists():
            whole = upscaled(network, lr, PassPlan(scale=SCALE, patch=None, transforms=plan.transforms))
            write_json(path, differences(lr, hr, network, plan, whole).tolist())
        found.append(read_json(path))
    for measure, column in zip(MEASURES, np.array(found).T, strict=True):
        low, high = gain_interval(column) or (np.nan, np.nan)
        result = ttest_1samp(column, 0)
        row = (
            f"| {name}: {plan.patch}/{plan.stride}, {len(plan.transforms)} transforms | {measure} | {len(column)} "
            f"| {column.mean():+.2%} | {low:+.2%} to {high:+.2%} | {result.statistic:+.2f} | {result.pvalue:.2g} |"
        )
        print(row, flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="folder with realsr_x4 and city100_same_size")
    parser.add_argument("suite", type=Path)
    parser.add_argument("--member", type=int, default=0, help="which member, from 0")
    parser.add_argument("--prefix", default="Nikon", help="of the RealSR pairs to test on")
    parser.add_argument("--cache", type=Path, required=True, help="run again, it goes on from there")
    parser.add_argument("--small", type=int, default=8, help="RealSR pairs")
    parser.add_argument("--large", type=int, default=3, help="City100 photographs; 0: none")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_suite(args.suite)[0][args.member]
    versions = ", ".join(f"{name} {version}" for name, version in software().items())
    head = ["| plan | measure | images | mean d | 95 % interval | t | p |", "|---|---|---|---|---|---|---|"]
    text = [
        "# Seams",
        "",
        f"Command and method: seams.py. Member {args.member} of a suite trained on another camera. 2 cores, AVX2. {versions}.",
    ]
    text += ["", "## RealSR, 128 px, geometry divided by four", "", *head]
    small = real_pairs(args.pairs / "realsr_x4", args.prefix, args.small)
    for name, plan in plans(4).items():
        text += test(name, plan, small, network, args.cache / "small")
    (HERE / "seams.md").write_text("\n".join(text) + "\n")
    if args.large == 0:
        return
    text += ["", "## City100, geometry as it is", "", *head]
    for name, plan in plans(1).items():
        assert plan.patch is not None
        large = photographs(args.pairs / "city100_same_size", args.large, plan.patch)
        text += test(name, plan, large, network, args.cache / "large")
    (HERE / "seams.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
