"""Small runs in the documented formats, written by this file alone: the report's readers are judged by them."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.metrics import psnr_rgb, psnr_y, ssim_rgb, ssim_y
from shared.records.weights import write_arrays
from shared.resize import bicubic_upscale
from shared.spec import make_spec_file, parse

METRICS = {"psnr_rgb": psnr_rgb, "psnr_y": psnr_y, "ssim_rgb": ssim_rgb, "ssim_y": ssim_y}
BOTH = ["self_ensemble", "patch_ensemble"]
ARCHITECTURES = (
    {"family": "drn", "scale": 4, "features": 32, "blocks": 4, "stages": 2, "image_skip": "bicubic"},
    {"family": "rcan", "scale": 4, "features": 32, "groups": 2, "blocks": 4, "image_skip": "bicubic"},
    {"family": "dual_regression", "scale": 4, "features": 16, "blocks": 2, "image_skip": "bicubic"},
)
SPECS = tuple(parse(each) for each in ARCHITECTURES)
IDS = tuple(spec.id for spec in SPECS)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def write_lines(path: Path, values: Sequence[Mapping[str, Any]], torn: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values) + torn, encoding="utf-8")


def write_suite(folder: Path, ids: Sequence[str], *, trained: bool) -> None:
    members = [
        {
            "id": spec_id,
            "spec": f"archive/{spec_id}.json",
            "weights": f"members/{spec_id}.safetensors" if trained else None,
            "weight": 1 / len(ids),
        }
        for spec_id in ids
    ]
    write_json(folder / "suite.json", {"schema": "gpnas-sr/suite/1", "scale": 4, "members": members})
    for spec in SPECS:
        if spec.id in ids:
            write_json(folder / "archive" / f"{spec.id}.json", make_spec_file(spec).to_json())


def trial(number: int, architecture: Mapping[str, Any], score: float | None, predicted: Any = None) -> dict[str, Any]:
    spec = make_spec_file(parse(architecture))
    return {
        "trial": number,
        "round": number // 4,
        "id": spec.id,
        "point": dict(architecture),
        "architecture": spec.architecture,
        "status": "failed" if score is None else "done",
        "reason": "loss is NaN at step 31" if score is None else None,
        "score": score,
        "bicubic": 26.5,
        "psnr_rgb": {} if score is None else {"a": score - 1, "b": score + 1},
        "predicted": predicted,
        "curve": [[1, 0.2], [100, 0.05]],
        "steps": 0 if score is None else 100,
        "seed": 0,
        "seconds": 12.5,
        "elapsed": 12.5 * (number + 1),
        "cost": spec.cost,
    }


def write_search(
    folder: Path, trials: Sequence[Mapping[str, Any]], *, torn: str = "", members: Sequence[str] = IDS
) -> None:
    header = {"config": {"seed": 0}, "space_sha256": "5" * 64, "data_sha256": "d" * 64}
    write_lines(folder / "journal.jsonl", [{"schema": "gpnas-sr/journal/1", **header}, *trials], torn)
    facts = {
        "schema": "gpnas-sr/search-run/1",
        "pack": "/somewhere/private/pack.h5",
        "space": {"families": {}},
        "bicubic": 26.5,
        "software": {"python": "3.11.9", "paddlepaddle": "3.3.1"},
        **header,
        "config": {"trials": len(trials), "seed": 0, "minutes": None, "proxy": {"steps": 100, "patch": 32}},
    }
    write_json(folder / "run.json", facts)
    if members:
        write_suite(folder, members, trained=False)


def default_trials() -> list[dict[str, Any]]:
    """Twelve: the first round unpredicted, one failed, features 16 to 48."""
    generator = np.random.default_rng(3)
    made = []
    for number in range(12):
        architecture = {**ARCHITECTURES[number % 2], "features": 16 * (1 + number // 4), "blocks": 1 + number % 4}
        score = 26.4 + 0.08 * number + 0.1 * float(generator.standard_normal())
        predicted = {"mean": score + 0.1 * float(generator.standard_normal()), "std": 0.12} if number > 3 else None
        made.append(trial(number, architecture, None if number == 5 else score, predicted))
    made[8] = trial(8, ARCHITECTURES[0], 27.6, {"mean": 27.2, "std": 0.1})
    return made


def write_training(folder: Path, ids: Sequence[str] = IDS[:2], *, lines: int = 40) -> None:
    generator = np.random.default_rng(4)
    facts = {"config": {"steps": 50 * lines, "patch": 48}, "data_sha256": "d" * 64, "scale": 4, "members": list(ids)}
    write_json(folder / "train.json", {"schema": "gpnas-sr/train/1", **facts, "bicubic_psnr_rgb": 26.5})
    for index, spec_id in enumerate(ids):
        values = [
            {
                "step": 50 * (step + 1),
                "loss": 0.05 * float(np.exp(-step / 20)) + 0.02 + 0.002 * float(generator.random()),
                "terms": {"l1": 0.02},
                "learning_rate": 1e-4,
                "gradient_norm": 0.1,
                "psnr_rgb": 26.5 + 0.02 * step + 0.1 * index if step % 4 == 3 else None,
                "best": None,
                "seconds_per_step": 0.1,
            }
            for step in range(lines)
        ]
        write_lines(folder / "logs" / f"{spec_id}.jsonl", values, torn='{"step": 99')
        provenance = {"software": {"python": "3.11.9", "torch": "2.13.0"}, "steps": 50 * lines}
        (folder / "members").mkdir(exist_ok=True)
        write_arrays(
            folder / "members" / f"{spec_id}.safetensors", {"a": np.zeros(1, np.float32)}, {"provenance": provenance}
        )
    write_suite(folder, ids, trained=True)


def write_ablation(
    folder: Path, pairs: Mapping[str, Mapping[str, np.ndarray]], ids: Sequence[str] = IDS[:2], *, crop: int = 4
) -> dict[str, Any]:
    """Pictures `lr`, `hr`, `bicubic`, `ensemble` and one for each id of each pair; rows are measured from them."""

    def scores(image: Callable[[str], np.ndarray]) -> dict[str, Any]:
        images = [
            {"name": name, **{metric: f(image(name), pair["hr"], crop=crop) for metric, f in METRICS.items()}}
            for name, pair in pairs.items()
        ]
        return {**{metric: float(np.mean([each[metric] for each in images])) for metric in METRICS}, "images": images}

    def mean(members: Sequence[str], noise: int = 0) -> Callable[[str], np.ndarray]:
        def image(name: str) -> np.ndarray:
            values = np.mean([pairs[name][spec_id].astype(float) for spec_id in members], axis=0)
            return np.clip(np.round(values) + noise * (np.indices(values.shape).sum(0) % 2), 0, 255).astype(np.uint8)

        return image

    subsets = [subset for size in (1, 2) for subset in combinations(ids, size)] + ([tuple(ids)] if len(ids) > 2 else [])
    rows = [{"members": list(subset), "levels": BOTH, **scores(mean(subset))} for subset in subsets]
    rows += [
        {"members": list(ids), "levels": levels, **scores(mean(ids, noise))}
        for noise, levels in ((1, BOTH[1:]), (2, BOTH[:1]), (3, []))
    ]
    value = {
        "schema": "gpnas-sr/ablation/1",
        "scale": 4,
        "crop": crop,
        "patch": 120,
        "stride": 60,
        "bicubic": scores(lambda name: pairs[name]["bicubic"]),
        "rows": rows,
        "comparisons": [],
        "examples": sorted(pairs),
    }
    value["comparisons"] = _comparisons(value, ids)
    write_json(folder / "ablation.json", value)
    for name, pair in pairs.items():
        for picture, pixels in pair.items():
            path = folder / "images" / name / f"{picture}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return value


def _comparisons(value: Mapping[str, Any], ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = value["rows"]
    whole = next(row for row in rows if row["members"] == list(ids))
    others = [{**value["bicubic"], "members": [], "levels": []}]
    others += [max((row for row in rows if len(row["members"]) == 1), key=lambda row: row["psnr_rgb"])]
    others += [row for row in rows if row["members"] == list(ids) and row["levels"] != BOTH]
    found = []
    for metric in ("psnr_rgb", "psnr_y"):
        for other in others:
            gain = whole[metric] - other[metric]
            sides = [{"members": side["members"], "levels": side["levels"]} for side in (whole, other)]
            interval = {"low": gain - 0.031, "high": gain + 0.027, "confidence": 0.95, "interval": "paired over images"}
            found.append({"a": sides[0], "b": sides[1], "metric": metric, "gain": gain, **interval})
    return found


def make_pair(
    hr: np.ndarray, ids: Sequence[str] = IDS[:2], *, seed: int = 0, strength: float = 0.5
) -> dict[str, np.ndarray]:
    """Pictures of a pair: LR by area averaging, members between bicubic and HR with noise, the ensemble their mean."""
    height, width = (side // 4 * 4 for side in hr.shape[:2])
    hr = hr[:height, :width]
    lr = np.round(hr.reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))).astype(np.uint8)
    bicubic = np.clip(np.round(255 * bicubic_upscale(lr, 4)), 0, 255)
    generator = np.random.default_rng(seed)
    members = {
        spec_id: np.clip(bicubic + strength * (hr - bicubic) + generator.normal(0, 1.5 + index, hr.shape), 0, 255)
        for index, spec_id in enumerate(ids)
    }
    pictures = {"bicubic": bicubic, **members, "ensemble": np.mean(list(members.values()), axis=0)}
    return {"lr": lr, "hr": hr, **{name: np.round(each).astype(np.uint8) for name, each in pictures.items()}}


def noise_image(seed: int, height: int = 96, width: int = 112) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8, width // 8, 3))
    return coarse.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves it: search, train, ablation. Not to be changed: see `demo`."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    write_search(folder / "search", default_trials(), torn='{"trial": 12, "ro')
    write_training(folder / "train")
    write_ablation(folder / "ablation", {f"pair_{seed}": make_pair(noise_image(seed), seed=seed) for seed in range(2)})
    (folder / "pairs" / "LR").mkdir(parents=True)
    return folder


@pytest.fixture
def demo(finished: Path, tmp_path: Path) -> Path:
    """The same for one test, which may change it."""
    return shutil.copytree(finished, tmp_path / "demo")


@pytest.fixture
def runs() -> SimpleNamespace:
    """What writes runs, for tests that need others."""
    return SimpleNamespace(ablation=write_ablation, pair=make_pair, image=noise_image, ids=IDS)
