"""Ways to fuse a suite against the plain mean on real pairs, with ensemble weights fitted on other cameras than are tested.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/inference/fusion.py ../shared/data/pairs runs/real_pairs --cache FOLDER

Needs the trained suites of benchmarks/real_pairs/run.py, and beside them `weak/{canon,nikon}`: one network without an image skip,
trained for 300 steps (weak.toml here). Members' images are made once and kept in FOLDER, and so are the scores of each image: run
again, it goes on. Writes fusion.json and fusion.md here.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fusion_cases import CAMERAS, CASES, SCALE, Case, Images, Stack, camera, is_validation
from scipy.ndimage import uniform_filter
from scipy.stats import spearmanr

from shared.data.source import Pair, open_pairs
from shared.ensemble_weights import least_error_weights
from shared.files import read_json, write_json
from shared.images.pixels import quantise, to_float
from shared.metrics import psnr_rgb
from shared.spec import software
from train_torch.ensemble.fitting import CAMERA_SPREAD, error_covariance, weights_of
from train_torch.ensemble.fusion import Fusion, disagreement, make_fusion
from train_torch.evaluation.intervals import gain_interval

HERE = Path(__file__).parent
REGIONS = ("smooth", "edge", "texture")

Fuse = Callable[[Stack], np.ndarray]


def regions(stack: Stack) -> np.ndarray:
    """Index in REGIONS of each pixel: by the local deviation, and the coherence of the structure tensor, of the mean."""
    grey = stack.mean((0, 3))
    deviation = np.sqrt(np.maximum(uniform_filter(grey**2, 9) - uniform_filter(grey, 9) ** 2, 0))
    dy, dx = np.gradient(grey)
    xx, yy, xy = (uniform_filter(product, 9) for product in (dx * dx, dy * dy, dx * dy))
    coherence = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-12)
    return np.where(deviation < 0.01, 0, np.where(coherence > 0.5, 1, 2))


def region_covariances(stack: Stack, pair: Pair) -> np.ndarray:
    """(regions, members, members): each region's part of the covariance of errors."""
    inside = slice(SCALE, -SCALE)
    errors = (stack - to_float(pair.hr)).astype(np.float64)[:, inside, inside]
    index = regions(stack)[inside, inside]
    parts = [errors[:, index == region].reshape(len(stack), -1) for region in range(len(REGIONS))]
    return np.stack([part @ part.T for part in parts]) / errors[0].size


def trimmed(stack: Stack) -> np.ndarray:
    """Mean less the member farthest from the median, per pixel."""
    far = ((stack - np.median(stack, 0)) ** 2).mean(-1).argmax(0)
    kept = np.arange(len(stack))[:, None, None] != far
    return (stack * kept[..., None]).sum(0) / (len(stack) - 1)


def by_region(weights: Sequence[Sequence[float]]) -> Fuse:
    return lambda stack: np.einsum("mhw,mhwc->hwc", np.asarray(weights).T[:, regions(stack)], stack)


def fits(case: Case, images: Images, pairs: Sequence[Pair], spread: float) -> dict[str, Fuse]:
    """Every way to fuse, fitted on the pairs."""
    stacks = [images.stack(case, pair) for pair in pairs]
    covariances = np.stack([error_covariance(stack, pair, SCALE) for stack, pair in zip(stacks, pairs, strict=True)])
    by_regions = np.stack([region_covariances(stack, pair) for stack, pair in zip(stacks, pairs, strict=True)])
    by_regions /= by_regions.sum(1, keepdims=True).mean((2, 3), keepdims=True)
    free = [least_error_weights(by_regions[:, region].mean(0)).tolist() for region in range(len(REGIONS))]
    fitted = weights_of(covariances, camera_spread=spread)
    return {
        "fitted": make_fusion("mean", fitted),
        "fitted, spread 0": make_fusion("mean", weights_of(covariances, camera_spread=0)),
        "fitted, not drawn to equal": make_fusion("mean", least_error_weights(covariances.mean(0)).tolist()),
        "fitted by region, not drawn": by_region(free),
        "median": lambda stack: np.median(stack, 0),
        "trimmed": trimmed,
        "robust": make_fusion("robust", [1] * len(fitted)),
    } | ({"robust, fitted": make_fusion("robust", fitted)} if np.ptp(fitted) > 1e-6 else {})


def relative_errors(case: Case, images: Images, name: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Each member's error, relative to the others', on one camera: what ensemble weights are fitted to."""
    known = [pair for pair in pairs if name not in case.trained or is_validation(pair.name)]
    covariances = np.stack([error_covariance(images.stack(case, pair), pair, SCALE) for pair in known])
    rows = covariances.mean(2) / covariances.mean((1, 2))[:, None]
    return {"mean": rows.mean(0).tolist()}


def spread(means: Mapping[str, Sequence[float]], left: str) -> float:
    """Standard deviation between all cameras but one, the root mean square over members."""
    return float(np.sqrt(np.var([mean for name, mean in means.items() if name != left], axis=0, ddof=1).mean()))


def spreads_of(case: Case, images: Images, sets: Mapping[str, Sequence[Pair]]) -> dict[str, float]:
    """The spread without each camera that no member was trained on; each camera's errors are kept."""
    means = {
        name: kept(
            images.cache / "relative" / case.base / f"{name}.json",
            lambda name=name: relative_errors(case, images, name, sets[name]),
        )["mean"]
        for name in CAMERAS
    }
    return {left: round(spread(means, left), 4) for left in CAMERAS if left not in case.trained}


def scores(case: Case, images: Images, pair: Pair, ways: Mapping[str, Fuse]) -> dict[str, float]:
    """PSNR-RGB of the plain mean and of each way, dB."""
    stack = images.stack(case, pair)
    mean = make_fusion("mean", [1] * len(stack))
    return {
        name: psnr_rgb(quantise(np.clip(fuse(stack), 0, 1)), pair.hr, crop=SCALE)
        for name, fuse in {"mean": mean, **ways}.items()
    }


def correlations(case: Case, images: Images, pair: Pair) -> dict[str, float]:
    """Spearman's rank correlation with the true error of the mean, over pixels and over blocks of 8 px."""
    stack = images.stack(case, pair)
    mean = stack.mean(0)
    error = np.sqrt(((mean - to_float(pair.hr)) ** 2).mean(-1))
    grey = mean.mean(-1)
    maps = {
        "disagreement": disagreement(stack, [1] * len(stack)),
        "gradient of the mean": np.hypot(*np.gradient(grey)),
        "disagreement turned by 180°, the control": disagreement(stack, [1] * len(stack))[::-1, ::-1],
    }
    found = {}
    for name, values in maps.items():
        for side in (1, 8):
            pooled = [_pooled(part[SCALE:-SCALE, SCALE:-SCALE], side).ravel() for part in (values, error)]
            found[f"{name}, {'pixels' if side == 1 else 'blocks of 8 px'}"] = float(spearmanr(*pooled).statistic)
    return found


def _pooled(values: np.ndarray, side: int) -> np.ndarray:
    height, width = (size // side * side for size in values.shape)
    return values[:height, :width].reshape(height // side, side, width // side, side).mean((1, 3))


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result of an earlier run, or a new one, kept."""
    if not path.exists():
        write_json(path, make())
    return dict(read_json(path))


def measure(case: Case, images: Images, sets: Mapping[str, Sequence[Pair]]) -> dict[str, Any]:
    """Gains over the plain mean on every camera that no member was trained on, dB: {camera: {way: [gain an image]}}."""
    folder = images.cache / "scores" / case.name.replace(" ", "_")
    validation = [pair for name in case.trained for pair in sets[name] if is_validation(pair.name)]
    ways = cache(lambda: fits(case, images, validation, CAMERA_SPREAD))
    shares = kept(folder / "shares.json", lambda: {n: f.weights for n, f in ways().items() if isinstance(f, Fusion)})
    gains: dict[str, Any] = {}
    for name in CAMERAS:
        if name in case.trained:
            continue
        rows = [
            kept(folder / f"{pair.name}.json", lambda pair=pair: scores(case, images, pair, ways()))
            for pair in sets[name][:: case.every]
        ]
        gains[name] = {way: [row[way] - row["mean"] for row in rows] for way in rows[0] if way != "mean"}
        print(case.name, name, {way: round(float(np.mean(g)), 4) for way, g in gains[name].items()}, flush=True)
    return {"gains": gains, "shares": shares}


def interval(values: Sequence[float], digits: int = 3) -> str:
    low, high = gain_interval(np.asarray(values)) or (np.nan, np.nan)
    return f"{np.mean(values):+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def markdown(result: Mapping[str, Any]) -> str:
    lines = ["# Ways to fuse, against the plain mean", "", result["how"], ""]
    for name, case in result["cases"].items():
        cameras = list(case["gains"])
        lines += [f"## {name}", "", f"| gain, dB | {' | '.join(cameras)} |", "|---|" + "---|" * len(cameras)]
        for way in case["gains"][cameras[0]]:
            cells = [interval(case["gains"][one][way]) for one in cameras]
            lines.append(f"| {way} | {' | '.join(cells)} |")
        shares = [f"{way}: {', '.join(f'{s:.2f}' for s in values)}" for way, values in case["shares"].items()]
        lines += ["", "Ensemble weights: " + "; ".join(shares) + ".", ""]
    lines += ["## Spread of members' relative errors between cameras, each test camera left out", ""]
    lines += [f"- {name}: {values}" for name, values in result["spread"].items()]
    lines += ["", "## Spearman correlation with the true error of the mean, per image", "", "| map | mean, interval |"]
    lines += ["|---|---|", *(f"| {name} | {interval(values)} |" for name, values in result["correlation"].items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="folder with realsr_x4 and drealsr_x4")
    parser.add_argument("runs", type=Path, help="folder with canon/train, nikon/train, weak/canon, weak/nikon")
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    every = [pair for folder in ("realsr_x4", "drealsr_x4") for pair in open_pairs(args.pairs / folder, scale=SCALE)]
    sets = {name: [pair for pair in every if camera(pair.name) == name] for name in CAMERAS}
    images = Images(args.runs, args.cache)
    cases = {case.name: measure(case, images, sets) for case in CASES}
    spreads = {case.name: spreads_of(case, images, sets) for case in CASES[:2]}
    found = [
        kept(
            args.cache / "correlations" / case.base / f"{pair.name}.json",
            lambda case=case, pair=pair: correlations(case, images, pair),
        )
        for case in CASES[:2]
        for name in CAMERAS
        if name not in case.trained
        for pair in sets[name][::5]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in software().items())
    how = (
        "Command: see fusion.py. Ensemble weights are fitted on the validation pairs of the training camera, gains measured on "
        "the pairs of every other camera: PSNR-RGB of 8-bit outputs, crop 4, paired Student intervals of 95 % over images. "
        "Quality `fast`: each member's one pass. The last five suites on every third or fourth pair. `not drawn`: the exact "
        "minimum on the validation pairs. A weak member had 300 steps and no image skip; failures are simulated. 2 cores, AVX2. "
        f"{versions}."
    )
    correlation = {name: [row[name] for row in found] for name in found[0]}
    result = {"how": how, "cases": cases, "spread": spreads, "correlation": correlation}
    (HERE / "fusion.json").write_text(json.dumps(result) + "\n")
    (HERE / "fusion.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
