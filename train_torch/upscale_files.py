"""Image files through the ensemble, one after the other: what was done, skipped or failed."""

import io
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from shared.data.decode import DAMAGE
from shared.data.header import image_size, size_in
from shared.data.images import Bits, ImageFile, parse_image, read_image
from shared.errors import GpnasError, OutOfMemoryError, PairError, UsageError
from shared.files import remove_strays
from shared.progress import Progress, track
from train_torch.background import read_ahead
from train_torch.ensemble.modules import prepare
from train_torch.upscale_image import Ensemble, upscale_image
from train_torch.upscale_plan import STREAM, Job, Plan

LOG = logging.getLogger(__name__)
REASONS_SHOWN = 5
MEGA = 1e6

Size = tuple[int, int]  # width and height, LR px


def upscale_files(
    ensemble: Ensemble,
    todo: Plan,
    *,
    bits: Bits | None = None,
    overwrite: bool = False,
    standard_input: bytes | None = None,
) -> dict[str, Any]:
    """Do a plan. Each output is written whole or not at all, so the same call goes on after a stop.

    Args:
        ensemble: what to upscale with.
        todo: from `plan`.
        bits: the depth of the outputs; None: that of each input.
        overwrite: also make outputs that exist.
        standard_input: the image of the job whose source is `-`.

    Returns:
        {"scale", "done": [{"input", "output", "uncertainty" where asked for, "width", "height", "seconds"}],
        "skipped": [{"input", "output"}], "failed": [{"input", "reason"}], "ignored": [path]}, width and height in px of the
        output.

    Raises:
        UsageError: the only image is bad, or all images are.
        WorkError: the only image was good and the work failed (a network's output is not finite, no memory, a full disk).
    """
    if strays := remove_strays(output for job in todo.jobs for output in job.outputs):
        LOG.info("removed %d unfinished files of an earlier run", len(strays))
    present = {job: None for job in todo.jobs if not overwrite and job.target.is_file()}
    jobs = [job for job in todo.jobs if job not in present]
    done, failures = _work(ensemble, jobs, bits, standard_input)
    if len(todo.jobs) == len(failures):
        _give_up(todo, list(failures.values()))
    return {
        "scale": ensemble.plan.scale,
        "done": done,
        "skipped": [{"input": str(job.source), "output": str(job.target)} for job in present],
        "failed": [{"input": str(job.source), "reason": str(error)} for job, error in failures.items()],
        "ignored": [str(path) for path in todo.ignored],
    }


def _work(
    ensemble: Ensemble, jobs: Sequence[Job], bits: Bits | None, standard_input: bytes | None
) -> tuple[list[dict[str, Any]], dict[Job, GpnasError]]:
    """What was done, and the errors of the images that failed."""
    done: list[dict[str, Any]] = []
    failures: dict[Job, GpnasError] = {}
    writing: deque[tuple[Job, dict[str, Any], Future[None]]] = deque()

    def finish(most: int) -> None:
        """Wait until at most so many images are still being written."""
        while len(writing) > most:
            job, entry, written = writing.popleft()
            try:
                written.result()
                done.append(entry)
            except GpnasError as error:
                failures[job] = error

    meters = _meters(ensemble, {job: _size(job, standard_input) for job in jobs})
    ready = replace(ensemble, members=prepare(ensemble.members, ensemble.plan.scale, precision=ensemble.plan.precision))
    total = sum(meter.left for meter in meters.values())
    with track(total, "upscaling", unit="megapixel") as progress, ThreadPoolExecutor(1, "writing") as writer:
        for job, coming in read_ahead(jobs, partial(_read, standard_input=standard_input)):
            started = time.perf_counter()
            try:
                with _memory(job.source):
                    image = coming.result()
                    advance = partial(meters[job].advance, progress)
                    written = upscale_image(ready, image, job, bits=bits or image.bits, advance=advance, writer=writer)
                writing.append((job, _entry(job, image, ensemble.plan.scale, time.perf_counter() - started), written))
            except GpnasError as error:
                failures[job] = error
            meters[job].finish(progress)
            finish(most=1)
        finish(most=0)
    return done, failures


def _entry(job: Job, image: ImageFile, scale: int, seconds: float) -> dict[str, Any]:
    height, width = image.pixels.shape[:2]
    beside = {} if job.uncertainty is None else {"uncertainty": str(job.uncertainty)}
    sizes = {"width": width * scale, "height": height * scale}
    return {"input": str(job.source), "output": str(job.target), **beside, **sizes, "seconds": seconds}


def _read(job: Job, *, standard_input: bytes | None) -> ImageFile:
    if job.source == Path(STREAM):
        return parse_image(Path("standard input"), standard_input or b"")
    try:
        return read_image(job.source)
    except OSError as error:
        raise PairError(
            f"{job.source}: {error.strerror}; expected a file that can be read: check its permissions"
        ) from error


def _size(job: Job, standard_input: bytes | None) -> Size:
    """From the header; nothing where it cannot be read, which reading the file will report."""
    try:
        return size_in(io.BytesIO(standard_input or b"")) if job.source == Path(STREAM) else image_size(job.source)
    except (PairError, *DAMAGE, Image.DecompressionBombError):
        return 0, 0


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
    """Raise if the only image failed, or if no image of several can be used."""
    if todo.single:
        raise errors[0]
    if all(isinstance(error, UsageError) for error in errors):
        more = [f"and {len(errors) - REASONS_SHOWN} more"] if len(errors) > REASONS_SHOWN else []
        reasons = " | ".join([*map(str, errors[:REASONS_SHOWN]), *more])
        raise PairError(f"none of {len(errors)} images can be used. {reasons}")


class _Meter:
    """One image's share of the progress: its output's megapixels, told as LR px are computed."""

    def __init__(self, name: str, megapixels: float, work: int) -> None:
        self.name, self.left = name, megapixels
        self.step = megapixels / max(work, 1)

    def advance(self, progress: Progress, pixels: int) -> None:
        """So many LR px were computed by one member."""
        self.left -= self.step * pixels
        progress.advance(self.step * pixels, note=self.name)

    def finish(self, progress: Progress) -> None:
        """Also what a failure left out."""
        if self.left > self.step:  # else rounding
            progress.advance(self.left, note=self.name)


def _meters(ensemble: Ensemble, sizes: dict[Job, Size]) -> dict[Job, _Meter]:
    plan, members = ensemble.plan, len(ensemble.active)
    return {
        job: _Meter(
            job.source.name,
            plan.scale**2 * width * height / MEGA,
            members * plan.pixels(height, width) if width and height else 0,
        )
        for job, (width, height) in sizes.items()
    }
