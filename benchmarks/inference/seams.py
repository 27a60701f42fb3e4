"""Seams: is the error across the borders of tiles the same as inside them? For each preset, on real pairs.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/seams.py ../shared/data/pairs runs/real_pairs/canon/train --member 2

The network pools over all it sees, so each tile is a little off everywhere. Two measures, over the lines between two HR pixels: the
mean squared error beside the line, and the mean squared step of the error across it. Lines at borders of tiles against lines 8 px or
more from any, each by tiles against the whole image in one piece, as content differs from line to line:

    d = log(tiled / whole, at borders) - log(tiled / whole, inside)

one number an image, 0 without seams; Student's t over images. Two sets: RealSR pairs of the camera not trained on, 128 px, with the
presets' geometry divided by four; City100 photographs, 300 x 260 px, with the presets as they are, whose truth is its sharp photograph
of the same size, enlarged. The control is cut hard, without blending, and must be found. Writes seams.md here.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import ttest_1samp
from torch import nn

from shared.data.images import read_image, to_float
from shared.data.source import open_pairs
from shared.resize import bicubic_upscale
from shared.spec import software
from train_torch.ensemble import load_suite
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import Plan
from train_torch.ensemble.presets import PRESETS, preset
from train_torch.ensemble.self_ensemble import transforms
from train_torch.intervals import gain_interval

HERE = Path(__file__).parent
SCALE = 4
RIM, FAR = 16, 8  # HR px: left out at the image's rim; least distance of an inside line to a border
MEASURES = ("error beside", "step across")


def plans(shrink: int) -> dict[str, Plan]:
    """The presets with sides and strides divided by `shrink`, and the control: hard tiles in one pass."""
    named = {name: preset(name, SCALE) for name in PRESETS}
    small = {
        name: plan if plan.patch is None else replace(plan, patch=plan.patch // shrink, stride=plan.stride // shrink)
        for name, plan in named.items()
    }
    return small | {
        "control: hard tiles": Plan(scale=SCALE, patch=120 // shrink, stride=120 // shrink, transforms=transforms(1))
    }


def enlarge(network: nn.Module, lr: np.ndarray, plan: Plan) -> np.ndarray:
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


def differences(lr: np.ndarray, hr: np.ndarray, network: nn.Module, plan: Plan, whole: np.ndarray) -> np.ndarray | None:
    """D of both measures for one image, (2,); None where there is one tile only."""
    grid = plan.grid(*lr.shape[:2])
    tiled = enlarge(network, lr, plan)
    sums = np.zeros((2, 2, 2))  # border or inside; tiled or whole; measure
    for turn, starts, side in ((False, grid.lefts, grid.width), (True, grid.tops, grid.height)):
        errors = [image - hr for image in (tiled, whole)]
        measures = [line_measures(e.transpose(1, 0, 2) if turn else e) for e in errors]
        for place, chosen in enumerate(lines(starts, side, measures[0].shape[1] + 1)):
            for image, measure in enumerate(measures):
                sums[place, image] += measure[:, chosen].sum(1)
    if not sums[0].all():
        return None
    ratio = np.log(sums[:, 0] / sums[:, 1])
    return ratio[0] - ratio[1]


def real_pairs(folder: Path, prefix: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for pair in open_pairs(folder, scale=SCALE):
        if pair.name.startswith(prefix):
            yield pair.lr, to_float(pair.hr)


def photographs(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for path in sorted((folder / "LR").iterdir()):
        lr, hr = (read_image(side).pixels[170:430, 270:570] for side in (path, folder / "HR" / path.name))
        yield lr, bicubic_upscale(to_float(hr), SCALE).astype(np.float32)


def table(title: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], network: nn.Module, shrink: int) -> list[str]:
    rows = [
        f"## {title}",
        "",
        "| plan | measure | images | mean d | 95 % interval | t | p |",
        "|---|---|---|---|---|---|---|",
    ]
    plain = Plan(scale=SCALE, patch=None)
    wholes: dict[object, list[np.ndarray]] = {}
    for name, plan in plans(shrink).items():
        if plan.transforms not in wholes:
            wholes[plan.transforms] = [
                enlarge(network, lr, replace(plain, transforms=plan.transforms)) for lr, _ in pairs
            ]
        found = [
            differences(lr, hr, network, plan, whole)
            for (lr, hr), whole in zip(pairs, wholes[plan.transforms], strict=True)
        ]
        values = np.array([d for d in found if d is not None])
        for measure, column in zip(MEASURES, values.T, strict=True):
            low, high = gain_interval(column) or (np.nan, np.nan)
            test = ttest_1samp(column, 0)
            rows.append(
                f"| {name}: {plan.patch}/{plan.stride}, {len(plan.transforms)} transforms | {measure} | {len(column)} "
                f"| {column.mean():+.2%} | {low:+.2%} to {high:+.2%} | {test.statistic:+.2f} | {test.pvalue:.2g} |"
            )
            print(rows[-1], flush=True)
    return [*rows, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="folder with realsr_x4 and city100_same_size")
    parser.add_argument("suite", type=Path)
    parser.add_argument("--member", type=int, default=0, help="which member, from 0")
    parser.add_argument("--prefix", default="Nikon", help="of the RealSR pairs to test on")
    parser.add_argument("--most", type=int, default=35, help="images of each set")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_suite(args.suite)[0][args.member]
    small = list(real_pairs(args.pairs / "realsr_x4", args.prefix))[: args.most]
    large = list(photographs(args.pairs / "city100_same_size"))[: args.most]
    versions = ", ".join(f"{name} {version}" for name, version in software().items())
    text = [
        "# Seams",
        "",
        f"Command and method: seams.py. Member {args.member} of a suite trained on another camera. 2 cores, AVX2. {versions}.",
        "",
        *table("RealSR, 128 px, geometry divided by four", small, network, 4),
        *table("City100, 300 x 260 px, geometry as it is", large, network, 1),
    ]
    (HERE / "seams.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
