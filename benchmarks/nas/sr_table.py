"""Makes sr_table.h5: every architecture of a small space, trained at two budgets on real pairs, with its errors on fixed windows.

    .venv/bin/python -m benchmarks.nas.sr_table PAIRS… [--work runs/sr_table] [--minutes 75] [--jobs 1]

PAIRS are folders of x4 pairs: the crops of RealSR (Canon_*, Nikon_*) and DRealSR (panasonic_*, DSC_*, IMG_*). The architectures
come in a seeded order, so a table cut short is a random part of the space. Killed and run again it goes on; with the two budgets
of every architecture done, more time goes into a second long training of each. The table is written at the end, of the
architectures whose two budgets are done (`--minutes 0`: of what is there).

The short training uses seed 0 and the long one seed 1: what a search takes to the end is trained anew. The second
long one (seed 2) only gives a score, to tell noise.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nas.sr_table_file import TABLE, write_table
from search_paddle.config import ProxyConfig
from search_paddle.executors import ProcessExecutor
from search_paddle.proxy.validation import ProxyScores, validate
from shared.data.pack import Pack, PackPair, write_pack
from shared.data.source import Pair, open_pairs
from shared.files import read_json
from shared.network.architecture import ArchSpec
from shared.network.cost import cost
from shared.resize import bicubic_upscale
from shared.space import SearchSpace
from shared.spec import parse, software

WORKER = (sys.executable, "-P", "-m", "benchmarks.nas.sr_table_worker")
SCALE = 4
CONSTANTS = {"scale": SCALE, "image_skip": "bicubic", "value_range": 255, "mean_shift": "div2k", "reduction": 4}
FAMILIES = {
    "drn": {"features": [8, 12, 18], "blocks": [1, 2, 3, 4], "stages": [1, 2, 3]},
    "rcan": {"features": [8, 12, 18], "groups": [1, 2, 3], "blocks": [1, 2, 3, 4]},
}
SPACE = SearchSpace.from_families(FAMILIES, CONSTANTS)
ORDER_SEED = 0

PROXY: dict[str, Any] = {
    "batch": 4,
    "patch": 16,
    "learning_rate": 2e-3,
    "validation_pairs": None,
    "validation_patch": 48,
    "residual_windows": 3,
}
TEST_PROXY: dict[str, Any] = {"validation_pairs": None, "validation_patch": 48, "residual_windows": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One budget: its name, steps, validations on the way, and seed."""

    name: str
    steps: int
    validations: int
    seed: int


RUNS = (
    Run(name="short", steps=140, validations=1, seed=0),
    Run(name="long", steps=420, validations=3, seed=1),
    Run(name="again", steps=420, validations=3, seed=2),
)
NEEDED = ("short", "long")
KEPT = (("short", "validation"), ("long", "validation"), ("long", "test"))  # errors that the table holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One training of one architecture."""

    spec: ArchSpec
    run: Run


def jobs() -> Iterator[Job]:
    """All trainings in their order: both budgets of each architecture, then the second long ones."""
    order = np.random.default_rng(ORDER_SEED).permutation(SPACE.size)
    specs = [parse({**CONSTANTS, **SPACE.point(int(index))}) for index in order]
    for names in (NEEDED, ("again",)):
        for spec in specs:
            yield from (Job(spec=spec, run=run) for run in RUNS if run.name in names)


def split_of(name: str) -> str:
    """Split of a pair by the first number in its name: cameras that took one scene under one number are on one side."""
    number = re.search(r"\d+", name)
    assert number is not None, f"pair {name}: its name has no number to split by"
    return ("test", "validation", "train")[int(number[0]) % 3]


def make_packs(folders: Sequence[Path], work: Path) -> None:
    """Write train.h5 (training and validation pairs) and test.h5 (held-out pairs), if they are not there."""
    for path, splits in ((work / "train.h5", ("train", "validation")), (work / "test.h5", ("test",))):
        if not path.exists():
            pairs = chain.from_iterable(open_pairs(folder, scale=SCALE) for folder in folders)
            chosen = (_entry(pair) for pair in pairs if split_of(pair.name) in splits)
            write_pack(path, chosen, scale=SCALE, provenance={"command": "benchmarks/nas/sr_table.py"})


def _entry(pair: Pair) -> PackPair:
    split = "train" if split_of(pair.name) == "train" else "validation"
    return PackPair(name=pair.name, lr=pair.lr, hr=pair.hr, split=split, facts={})


def request(job: Job, work: Path) -> dict[str, Any]:
    """What a worker is asked. Only the first long training meets the held-out pairs."""
    proxy = ProxyConfig(**PROXY, steps=job.run.steps, validations=job.run.validations)
    test = {"test": str(work / "test.h5"), "test_proxy": TEST_PROXY} if (job.run.name, "test") in KEPT else {}
    return {
        "architecture": job.spec.architecture(),
        "pack": str(work / "train.h5"),
        "proxy": proxy.model_dump(),
        "seed": job.run.seed,
        "out": str(stem(job, work)),
        **test,
    }


def stem(job: Job, work: Path) -> Path:
    """Files of a job, without their endings."""
    return work / "jobs" / f"{job.spec.id}-{job.run.name}"


def is_done(job: Job, work: Path) -> bool:
    """Whether the job's last file is there."""
    return stem(job, work).with_suffix(".json").exists()


def main() -> None:
    """Make what is missing, as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("runs/sr_table"))
    parser.add_argument("--minutes", type=float, default=75.0, help="wall time of this call")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=TABLE)
    args = parser.parse_args()
    work, began = args.work.resolve(), time.monotonic()
    make_packs(args.pairs, work)
    missing = [job for job in jobs() if not is_done(job, work)]
    print(f"{SPACE.size} architectures; {len(missing)} trainings to do", flush=True)
    missing = missing if args.minutes > 0 else []
    with ProcessExecutor(args.jobs, logs=work / "logs", command=WORKER) as executor:
        for index, answer in executor.run([request(job, work) for job in missing]):
            minutes = (time.monotonic() - began) / 60
            print(f"{minutes:6.1f} min  {missing[index].spec.id} {missing[index].run.name}: {answer}", flush=True)
            if minutes > args.minutes:
                break
    collect(work, args.out)


def collect(work: Path, out: Path) -> None:
    """Write the table of all architectures that have both budgets."""
    facts = {(job.spec.id, job.run.name): read_json(stem(job, work).with_suffix(".json")) for job in done_jobs(work)}
    specs = {job.spec.id: job.spec for job in jobs() if all((job.spec.id, name) in facts for name in NEEDED)}
    if not specs:
        return
    runs = {run.name: run for run in RUNS if any((name, run.name) in facts for name in specs)}
    write_table(
        out,
        about=_about(facts),
        rows=[
            _row(spec, {name: facts[spec.id, name] for name in runs if (spec.id, name) in facts})
            for spec in specs.values()
        ],
        bicubic=_bicubic(work),
        residuals={
            (name, split): [_residuals(Job(spec=spec, run=runs[name]), work, split) for spec in specs.values()]
            for name, split in KEPT
        },
    )


def done_jobs(work: Path) -> list[Job]:
    """Trainings whose files are there."""
    return [job for job in jobs() if is_done(job, work)]


def _row(spec: ArchSpec, runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    architecture = spec.architecture()
    kept = (
        "status",
        "reason",
        "score",
        "psnr_rgb",
        "test_psnr_rgb",
        "validation",
        "curve",
        "steps",
        "seed",
        "cpu_seconds",
    )
    return {
        "id": spec.id,
        "point": {name: architecture[name] for name in ("family", *FAMILIES[spec.family])},
        "architecture": architecture,
        "cost": cost(spec).to_json(),
        "runs": {name: {key: run[key] for key in kept if key in run} for name, run in runs.items()},
    }


def _residuals(job: Job, work: Path, split: str) -> NDArray[np.int16]:
    residuals: NDArray[np.int16] = np.load(stem(job, work).with_suffix(f".{split}.npy"), allow_pickle=False)
    return residuals


def _bicubic(work: Path) -> dict[str, Any]:
    validation, test = (
        _validate_bicubic(work / pack, ProxyConfig(**proxy))
        for pack, proxy in (("train.h5", PROXY), ("test.h5", TEST_PROXY))
    )
    return {"score": validation.score, "psnr_rgb": validation.psnr_rgb, "test_psnr_rgb": test.psnr_rgb}


def _validate_bicubic(path: Path, config: ProxyConfig) -> ProxyScores:
    with Pack(path) as pack:
        return validate(lambda lr: bicubic_upscale(lr, SCALE), pack, config)


def _about(facts: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {
        "space": SPACE.to_dict(),
        "runs": {run.name: {"steps": run.steps, "seed": run.seed} for run in RUNS},
        "proxy": PROXY,
        "test_proxy": TEST_PROXY,
        "pairs": "x4 crops of RealSR and DRealSR; first number in the name % 3: 0 test, 1 validation, 2 training",
        "cpu_seconds": sum(each["cpu_seconds"] for each in facts.values()),
        "machine": "one thread, AVX2",
        "software": software(),
    }


if __name__ == "__main__":
    main()
