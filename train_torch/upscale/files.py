"""Image files through the ensemble, one after the other: what was done, skipped or failed."""

import io
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from shared.errors import GpnasError, OutOfMemoryError, PairError, UsageError
from shared.files import remove_strays
from shared.images.decode import DAMAGE
from shared.images.encode import FORMATS
from shared.images.header import image_size, size_in
from shared.images.pixels import Bits, ImageFile, parse_image, read_image
from shared.progress import Progress, spoken, track
from train_torch.ensemble.estimate import estimate_seconds
from train_torch.ensemble.memory import choose_layout
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.plan import Plan as EnsemblePlan
from train_torch.upscale.background import read_ahead
from train_torch.upscale.image import Ensemble, upscale_image
from train_torch.upscale.plan import STREAM, Job, Plan

LOG = logging.getLogger(__name__)
REASONS_SHOWN = 5
MEGA = 1e6
READING_BYTES = 24  # a pixel, at the peak: the file, the decoder's image and ours; measured up to 19 without the file
WORTH_MEASURING = 40  # patches: the estimate runs two
LONG = 20.0  # seconds, of which people want to know before

Size = tuple[int, int]  # width and height, LR px
UNKNOWN: Size = (0, 0)


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

    ready, sizes = _prepared(ensemble), {job: _size(job, standard_input) for job in jobs}
    beside = _bytes_beside(jobs, sizes, ensemble.plan.scale)
    meters = {job: _Meter(job, sizes[job], ready) for job in jobs}
    _announce(ready, [size for size in sizes.values() if size != UNKNOWN])
    total = sum(meter.left for meter in meters.values())
    with track(total, "upscaling", unit="megapixel") as progress, ThreadPoolExecutor(1, "writing") as writer:
        for job, coming in read_ahead(jobs, partial(_read, standard_input=standard_input)):
            started = time.perf_counter()
            try:
                with _memory(job.source):
                    image = coming.result()
                    written = upscale_image(
                        _within(ready, beside[job]),
                        image,
                        job,
                        bits=bits or image.bits,
                        advance=partial(meters[job].advance, progress),
                        writer=writer,
                    )
                writing.append((job, _entry(job, image, ensemble.plan.scale, time.perf_counter() - started), written))
            except GpnasError as error:
                failures[job] = error
            meters[job].finish(progress)
            finish(most=1)
        finish(most=0)
    return done, failures


def _prepared(ensemble: Ensemble) -> Ensemble:
    """The networks that run, made ready once for all images."""
    pairs = [(m, w) for m, w in zip(ensemble.members, ensemble.weights, strict=True) if w > 0]
    networks = prepare([member for member, _ in pairs], ensemble.plan.scale, precision=ensemble.plan.precision)
    return replace(ensemble, members=networks, weights=[weight for _, weight in pairs])


def _announce(ensemble: Ensemble, sizes: Sequence[Size]) -> None:
    """Say how long it will take, before work so long that measuring a patch costs nothing beside it."""
    plan = ensemble.plan
    shapes = [(height, width) for width, height in sizes]
    if sum(_patches(plan, *shape) for shape in shapes) < WORTH_MEASURING:
        return
    seconds, networks = 0.0, prepare(ensemble.members, plan.scale)
    with suppress(GpnasError):  # what fails here fails again, and is told with the name of the file
        choose_layout(networks, plan, *max(shapes))
        seconds = estimate_seconds(networks, plan, shapes)
    if seconds >= LONG:
        megapixels = sum(plan.scale**2 * width * height for width, height in sizes) / MEGA
        images = "1 image" if len(sizes) == 1 else f"{len(sizes)} images"
        LOG.info("%s, %.1f megapixels of output: about %s", images, megapixels, spoken(seconds))


def _patches(plan: EnsemblePlan, height: int, width: int) -> int:
    """Runs of a network for an image."""
    grid = plan.grid(height, width)
    return len(grid.tops) * len(grid.lefts) * len(plan.transforms)


def _bytes_beside(jobs: Sequence[Job], sizes: Mapping[Job, Size], scale: int) -> dict[Job, int]:
    """For each job, the memory of reading the next image, and of packing its own and the last where files are written whole."""
    reading = {job: READING_BYTES * width * height for job, (width, height) in sizes.items()}
    packing = {job: _packing_bytes(job, *sizes[job], scale) for job in jobs}
    return {
        job: packing[job] + (packing[last] if last else 0) + (reading[following] if following else 0)
        for last, job, following in zip([None, *jobs], jobs, [*jobs[1:], None], strict=False)
    }


def _packing_bytes(job: Job, width: int, height: int, scale: int) -> int:
    target = FORMATS.get(job.target.suffix.lower())
    return target.pixel_bytes * scale**2 * width * height if target else 0


def _within(ensemble: Ensemble, beside: int) -> Ensemble:
    """The ensemble with the memory that is left to it.

    Raises:
        UsageError: none is.
    """
    memory = ensemble.plan.memory
    if memory is None:
        return ensemble
    if memory <= beside:
        raise UsageError(
            f"memory: got {memory / MEGA:.0f} MB, expected more than the {beside / MEGA:.0f} MB that reading the next image and "
            "packing JPEG or WebP take; allow more, or write PNG or TIFF, which are packed by rows"
        )
    return replace(ensemble, plan=replace(ensemble.plan, memory=memory - beside))


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
    """From the header; unknown where it cannot be read, which reading the file will report."""
    try:
        return size_in(io.BytesIO(standard_input or b"")) if job.source == Path(STREAM) else image_size(job.source)
    except (PairError, *DAMAGE, Image.DecompressionBombError):
        return UNKNOWN


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

    def __init__(self, job: Job, size: Size, ensemble: Ensemble) -> None:
        width, height = size
        self.name = "standard input" if job.source == Path(STREAM) else job.source.name
        self.left = ensemble.plan.scale**2 * width * height / MEGA
        work = 0 if size == UNKNOWN else len(ensemble.members) * ensemble.plan.pixels(height, width)
        self.step = self.left / max(work, 1)

    def advance(self, progress: Progress, pixels: int) -> None:
        """So many LR px were computed by one member."""
        self.left -= self.step * pixels
        progress.advance(self.step * pixels, note=self.name)

    def finish(self, progress: Progress) -> None:
        """Also what a failure left out."""
        if self.left > self.step:  # else rounding
            progress.advance(self.left, note=self.name)
