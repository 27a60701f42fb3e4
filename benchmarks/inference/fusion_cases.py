"""The suites that fusion.py tests, and their members' images of each pair, made once."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from shared.data.source import Pair
from shared.images.pixels import to_float
from shared.resize import bicubic_upscale
from train_torch.ensemble import load_suite, upscale

SCALE = 4
CAMERAS = ("Canon", "Nikon", "panasonic", "DSC", "IMG")
TRAINED = {"canon": ("Canon",), "nikon": ("Nikon",), "both": ("Canon", "Nikon")}
BLOCK = 32  # HR px, of a simulated failure
Stack = np.ndarray  # (members, h, w, 3)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A suite under test: whose members, and what is done to them."""

    name: str
    base: str
    weak: bool = False
    failing: bool = False
    every: int = 1  # only every so many-th test pair

    @property
    def trained(self) -> tuple[str, ...]:
        return TRAINED[self.base]


CASES = (
    Case(name="three members, trained on Canon", base="canon"),
    Case(name="three members, trained on Nikon", base="nikon"),
    Case(name="the six together", base="both", every=4),
    Case(name="Canon's three and a weak one", base="canon", weak=True, every=4),
    Case(name="Nikon's three and a weak one", base="nikon", weak=True, every=4),
    Case(name="Canon's three, one failing in places", base="canon", failing=True, every=3),
    Case(name="Nikon's three, one failing in places", base="nikon", failing=True, every=3),
)


def camera(name: str) -> str:
    return name.split("_")[0]


def is_validation(name: str) -> bool:
    return camera(name) in ("Canon", "Nikon") and name.split("_")[1][-1] in "05"


class Images:
    """Members' images of each pair, made once: float16 files, one a run and pair."""

    def __init__(self, runs: Path, folder: Path) -> None:
        self.runs, self.cache, self.networks = runs, folder, {}

    def stack(self, case: Case, pair: Pair) -> Stack:
        names = [camera_name.lower() for camera_name in case.trained]
        runs = [f"{name}/train" for name in names] + ([f"weak/{names[0]}"] if case.weak else [])
        stack = np.concatenate([self._of_run(run, pair) for run in runs])
        return failing(stack, pair) if case.failing else stack

    def _of_run(self, run: str, pair: Pair) -> Stack:
        path = self.cache / run / f"{pair.name}.npy"
        if not path.exists():
            members = self.networks.setdefault(run, load_suite(self.runs / run)[0])
            images = [upscale([member], to_float(pair.lr), SCALE, quality="fast") for member in members]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".tmp").open("wb") as file:
                np.save(file, np.stack(images).astype(np.float16))
            path.with_suffix(".tmp").rename(path)
        return np.load(path).astype(np.float32)


def failing(stack: Stack, pair: Pair) -> Stack:
    """One member wrong in a tenth of all blocks: ringing, another colour, a checkerboard, or noise, by the pair's name."""
    rng = np.random.default_rng(zlib.crc32(pair.name.encode()))
    height, width = stack.shape[1:3]
    blocks = np.kron(rng.random((height // BLOCK + 1, width // BLOCK + 1)) < 0.1, np.ones((BLOCK, BLOCK)))
    mask = gaussian_filter(blocks[:height, :width].astype(np.float32), 3)[..., None]
    member, kind = int(rng.integers(len(stack))), int(rng.integers(4))
    image, rows, columns = stack[member], *np.mgrid[:height, :width]
    wrong = (
        4 * (image - bicubic_upscale(to_float(pair.lr), SCALE)),
        np.array([0.1, -0.08, 0.06]),
        (0.16 * ((rows // 2 + columns // 2) % 2) - 0.08)[..., None],
        rng.normal(0, 0.08, image.shape),
    )[kind]
    damaged = stack.copy()
    damaged[member] = image + mask * wrong
    return damaged
