"""Image files through the ensemble, one after the other: what a file keeps, and what was done, skipped or failed."""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor, nn

from shared.data.decode import DAMAGE
from shared.data.images import Bits, ImageFile, read_image, to_float
from shared.data.stream import check_writable, write_image
from shared.errors import GpnasError, OutOfMemoryError, PairError, UsageError, WorkError
from shared.progress import Progress, track
from train_torch.ensemble import upscale
from train_torch.ensemble.models import shares
from train_torch.ensemble.patches import patch_starts
from train_torch.ensemble.pipeline import levels_plan
from train_torch.evaluate import Levels
from train_torch.upscale_plan import Job, Plan

REASONS_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Networks (n, 3, h, w) -> (n, 3, scale·h, scale·w), their weights in the mean, and the levels that are on."""

    members: Sequence[nn.Module]
    weights: Sequence[float]
    scale: int
    levels: Levels


def upscale_files(
    ensemble: Ensemble, todo: Plan, *, bits: Bits | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Do a plan. Each output is written whole or not at all, so the same call goes on after a stop.

    Args:
        ensemble: what to upscale with.
        todo: from `plan`.
        bits: the depth of the outputs; None: that of each input.
        overwrite: also make outputs that exist.

    Returns:
        {"scale", "done": [{"input", "output", "width", "height", "seconds"}], "skipped": [{"input", "output"}],
        "failed": [{"input", "reason"}], "ignored": [path]}, width and height in px of the output.

    Raises:
        UsageError: patch or stride out of range; the only image is bad, or all images are.
        WorkError: the only image was good and the work failed (a network's output is not finite, no memory, a full disk).
    """
    levels = ensemble.levels
    if levels.patch_ensemble:
        patch_starts(1, levels.patch, levels.stride)  # raises before work instead of for every file
    present = [job for job in todo.jobs if not overwrite and job.target.is_file()]
    kept = {job.source for job in present}
    done, failures = _work(ensemble, [job for job in todo.jobs if job.source not in kept], bits)
    if len(todo.jobs) == len(failures):
        _give_up(todo, list(failures.values()))
    return {
        "scale": ensemble.scale,
        "done": done,
        "skipped": [{"input": str(job.source), "output": str(job.target)} for job in present],
        "failed": [{"input": str(path), "reason": str(error)} for path, error in failures.items()],
        "ignored": [str(path) for path in todo.ignored],
    }


def _work(
    ensemble: Ensemble, jobs: Sequence[Job], bits: Bits | None
) -> tuple[list[dict[str, Any]], dict[Path, GpnasError]]:
    """What was done, and the errors of the files that failed."""
    done: list[dict[str, Any]] = []
    failures: dict[Path, GpnasError] = {}
    runs = [_runs(ensemble, job.source) for job in jobs]
    with track(sum(runs), "upscaling", unit="network run") as progress:
        for job, count in zip(jobs, runs, strict=True):
            meter = _Meter(progress, count, job.source.name)
            try:
                with _memory(job.source):
                    done.append(_upscale_file(ensemble, job, bits, meter))
            except GpnasError as error:
                failures[job.source] = error
            meter.finish()
    return done, failures


def _upscale_file(ensemble: Ensemble, job: Job, bits: Bits | None, meter: "_Meter") -> dict[str, Any]:
    started = time.perf_counter()
    image = _read(job.source)
    depth = bits or image.bits
    _check_fits(job.target, image, depth, ensemble.scale)
    sr = upscale(
        [_Metered(member, meter) for member in ensemble.members],
        to_float(image.pixels),
        ensemble.scale,
        weights=ensemble.weights,
        **ensemble.levels.arguments(),
    )
    _write(job.target, sr, depth, image)
    return {
        "input": str(job.source),
        "output": str(job.target),
        "width": sr.shape[1],
        "height": sr.shape[0],
        "seconds": time.perf_counter() - started,
    }


def _read(path: Path) -> ImageFile:
    try:
        return read_image(path)
    except OSError as error:
        raise PairError(f"{path}: {error.strerror}; expected a file that can be read: check its permissions") from error


def _check_fits(target: Path, image: ImageFile, bits: Bits, scale: int) -> None:
    """What `write_image` would refuse, before the networks run."""
    height, width = image.pixels.shape[:2]
    check_writable(target, height * scale, width * scale, bits=bits, like=image)


def _write(target: Path, sr: np.ndarray, bits: Bits, image: ImageFile) -> None:
    try:
        write_image(target, sr, bits=bits, like=image)
    except OSError as error:
        raise WorkError(
            f"{target}: {error.strerror}; expected a place with room that can be written: free some, or choose another"
        ) from error


@contextmanager
def _memory(path: Path) -> Iterator[None]:
    """Memory that the allocators refuse, as an error of this one file."""
    try:
        yield
    except OutOfMemoryError as error:  # of a network: it tells enough
        raise OutOfMemoryError(f"{path}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error):  # torch has no class for it on the CPU
            raise
        first = str(error).partition("\n")[0].rpartition("] ")[2] or "no memory left"
        raise OutOfMemoryError(
            f"{path}: {first}; expected room for it: upscale by patches, by smaller ones, or cut it into parts"
        ) from error


def _give_up(todo: Plan, errors: list[GpnasError]) -> None:
    """Raise if the only image failed, or if no image of a folder can be used."""
    if not todo.source.is_dir():
        raise errors[0]
    if all(isinstance(error, UsageError) for error in errors):
        more = [f"and {len(errors) - REASONS_SHOWN} more"] if len(errors) > REASONS_SHOWN else []
        reasons = " | ".join([*map(str, errors[:REASONS_SHOWN]), *more])
        raise PairError(f"{todo.source}: none of {len(errors)} images can be used. {reasons}")


def _runs(ensemble: Ensemble, path: Path) -> int:
    """How often a network runs for an image; 0 where its header cannot be read, which reading the file will report."""
    try:
        width, height = _stored_size(path)
    except (*DAMAGE, Image.DecompressionBombError):
        return 0
    plan = levels_plan(ensemble.scale, **ensemble.levels.arguments())
    grid = plan.grid(height, width)
    active = sum(share > 0 for share in shares(len(ensemble.members), ensemble.weights))
    return active * len(grid.tops) * len(grid.lefts) * len(plan.transforms)


def _stored_size(path: Path) -> tuple[int, int]:
    """Width and height in the header. A turn, for which Pillow decodes a whole PNG, changes no count of patches."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata and large images, which `read_image` judges
        if file.read(2) in (b"II", b"MM"):  # Pillow refuses TIFF colour of 16 bits
            page = tifffile.TiffFile(file, offset=0).pages.first
            return int(page.imagewidth), int(page.imagelength)
        with Image.open(file) as image:
            return image.size


class _Meter:
    """The network runs of one file, told to the progress bar; those left out by a failure at its end."""

    def __init__(self, progress: Progress, runs: int, name: str) -> None:
        self.progress, self.left, self.name = progress, runs, name

    def tick(self) -> None:
        self.left -= 1
        self.progress.advance(1, note=self.name)

    def finish(self) -> None:
        if self.left > 0:
            self.progress.advance(self.left, note=self.name)


class _Metered(nn.Module):
    """A network that tells the meter of each run."""

    def __init__(self, network: nn.Module, meter: _Meter) -> None:
        super().__init__()
        self.network, self.meter = network, meter

    def forward(self, x: Tensor) -> Tensor:
        sr: Tensor = self.network(x)
        self.meter.tick()
        return sr
