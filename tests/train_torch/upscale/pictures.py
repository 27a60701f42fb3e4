"""Tiny pictures, networks whose results are known, and short ways to upscale files and to read what was written."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageCms
from torch import nn

from train_torch.ensemble.plan import PassPlan, levels_plan
from train_torch.upscale.file_queue import FileQueue, queue_files
from train_torch.upscale.files import upscale_files
from train_torch.upscale.image import Ensemble

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 255, (9, 14, 3), dtype=np.uint8)  # no 255, which `Diverging` takes badly
RGB16 = RNG.integers(0, 65535, (9, 14, 3), dtype=np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SCALE = 2


class Nearest(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)


class Diverging(Nearest):
    """NaN wherever the image is white."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.where(x == 1, torch.nan, x))


class Hungry(Nearest):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.empty(1 << 50)[0]


def levels(*, patch: int = 6, stride: int = 3, self_ensemble: bool = True, patch_ensemble: bool = True) -> PassPlan:
    return levels_plan(SCALE, patch=patch, stride=stride, self_ensemble=self_ensemble, patch_ensemble=patch_ensemble)


SMALL = levels()


def ensemble(*members: nn.Module, through: PassPlan = SMALL, fusion: str = "mean") -> Ensemble:
    members = members or (Nearest(),)
    return Ensemble(members=members, weights=[1.0] * len(members), plan=through, fusion=fusion)


def planned(source: Path, target: Path, **options) -> FileQueue:
    return queue_files([str(source)], str(target), **options)


def upscaled(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def through(source: Path, target: Path, **options) -> Path:
    """Upscale one file; its output."""
    made = planned(source, target, bits=options.get("bits"))
    (entry,) = upscale_files(ensemble(), made, **options)["done"]
    assert entry["input"] == str(source)
    return Path(entry["output"])


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def opencv(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def pngs(folder: Path, **images: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def written(folder: Path) -> list[str]:
    """Every file there is, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
