"""Upscales image files one after the other, and reports which were done, skipped or failed."""

import io
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from shared.errors import GpnasError, PairError, UsageError
from shared.files import remove_strays
from shared.images.decode import DAMAGE
from shared.images.encode import FORMATS
from shared.images.header import image_size, size_in
from shared.images.pixels import Bits, ImageFile, parse_image, read_image
from shared.progress import Progress, spoken, track
from train_torch.background import read_ahead
from train_torch.device import memory_errors
from train_torch.ensemble.estimate import estimate_seconds
from train_torch.ensemble.memory import choose_traversal
from train_torch.ensemble.modules import prepare
from train_torch.ensemble.plan import PassPlan
from train_torch.upscale.file_queue import STREAM, FileQueue, FileTask
from train_torch.upscale.image import Ensemble, upscale_image

LOG = logging.getLogger(__name__)
REASONS_SHOWN = 5
MEGA = 1e6
READING_BYTES = (
    24  # for each pixel, at the peak: file, decoder's image and ours; up to 19 were measured without the file
)
WORTH_MEASURING = 40  # passes; the estimate runs two
LONG = 20.0  # s; an estimate is shown for longer work
NO_MEMORY = "expected room for it: upscale by patches, by smaller ones, or cut it into parts"

Size = tuple[int, int]  # width and height, LR px
UNKNOWN: Size = (0, 0)


def upscale_files(
    ensemble: Ensemble,
    queue: FileQueue,
    *,
    bits: Bits | None = None,
    overwrite: bool = False,
    standard_input: bytes | None = None,
) -> dict[str, Any]:
    """Upscale the files of a queue. Each output is written whole or not at all, so the same call continues after a stop.

    Args:
        ensemble: what to upscale with.
        queue: from `queue_files`.
        bits: the depth of the outputs; None: that of each input.
        overwrite: replace outputs that exist; else they are skipped.
        standard_input: the image of the task whose source is `-`.

    Returns:
        {"scale", "done": [{"input", "output", "uncertainty" where asked for, "width", "height", "seconds"}],
        "skipped": [{"input", "output"}], "failed": [{"input", "reason"}], "ignored": [path]}, width and height in px of the
        output.

    Raises:
        UsageError: the only image cannot be used, or none of several can.
        WorkError: there is one image, and the work on it failed (a network's output is not finite, no memory, a full disk).
    """
    if strays := remove_strays(output for task in queue.tasks for output in task.outputs):
        LOG.info("removed %d unfinished files of an earlier run", len(strays))
    present = {task: None for task in queue.tasks if not overwrite and task.target.is_file()}
    tasks = [task for task in queue.tasks if task not in present]
    done, failures = _work(ensemble, tasks, bits, standard_input)
    if len(queue.tasks) == len(failures):
        _give_up(queue, list(failures.values()))
    return {
        "scale": ensemble.plan.scale,
        "done": done,
        "skipped": [{"input": str(task.source), "output": str(task.target)} for task in present],
        "failed": [{"input": str(task.source), "reason": str(error)} for task, error in failures.items()],
        "ignored": [str(path) for path in queue.ignored],
    }


def _work(
    ensemble: Ensemble, tasks: Sequence[FileTask], bits: Bits | None, standard_input: bytes | None
) -> tuple[list[dict[str, Any]], dict[FileTask, GpnasError]]:
    """What was done, and the errors of the images that failed."""
    done: list[dict[str, Any]] = []
    failures: dict[FileTask, GpnasError] = {}
    writing: deque[tuple[FileTask, dict[str, Any], Future[None]]] = deque()

    def finish(most: int) -> None:
        """Wait until at most so many images are still being written."""
        while len(writing) > most:
            task, entry, written = writing.popleft()
            try:
                written.result()
                done.append(entry)
            except GpnasError as error:
                failures[task] = error

    ready, sizes = _prepared(ensemble), {task: _size(task, standard_input) for task in tasks}
    beside = _bytes_beside(tasks, sizes, ensemble.plan.scale)
    meters = {task: _Meter(task, sizes[task], ready) for task in tasks}
    _announce(ready, [size for size in sizes.values() if size != UNKNOWN])
    total = sum(meter.left for meter in meters.values())
    with track(total, "upscaling", unit="megapixel") as progress, ThreadPoolExecutor(1, "writing") as writer:
        for task, coming in read_ahead(tasks, partial(_read, standard_input=standard_input)):
            started = time.perf_counter()
            try:
                with memory_errors(str(task.source), NO_MEMORY):
                    image = coming.result()
                    written = upscale_image(
                        _within(ready, beside[task]),
                        image,
                        task,
                        bits=bits or image.bits,
                        advance=partial(meters[task].advance, progress),
                        writer=writer,
                    )
                writing.append((task, _entry(task, image, ensemble.plan.scale, time.perf_counter() - started), written))
            except GpnasError as error:
                failures[task] = error
            meters[task].finish(progress)
            finish(most=1)
        finish(most=0)
    return done, failures


def _prepared(ensemble: Ensemble) -> Ensemble:
    """The networks that run, made ready once for all images."""
    pairs = [(m, w) for m, w in zip(ensemble.members, ensemble.weights, strict=True) if w > 0]
    networks = prepare([member for member, _ in pairs], ensemble.plan.scale, precision=ensemble.plan.precision)
    return replace(ensemble, members=networks, weights=[weight for _, weight in pairs])


def _announce(ensemble: Ensemble, sizes: Sequence[Size]) -> None:
    """Log how long the work will take, if it is so long that measuring a patch costs little beside it."""
    plan = ensemble.plan
    shapes = [(height, width) for width, height in sizes]
    if sum(_patches(plan, *shape) for shape in shapes) < WORTH_MEASURING:
        return
    seconds, networks = 0.0, prepare(ensemble.members, plan.scale)
    with suppress(GpnasError):  # what fails here fails again, and is told with the name of the file
        choose_traversal(networks, plan, *max(shapes))
        seconds = estimate_seconds(networks, plan, shapes)
    if seconds >= LONG:
        megapixels = sum(plan.scale**2 * width * height for width, height in sizes) / MEGA
        images = "1 image" if len(sizes) == 1 else f"{len(sizes)} images"
        LOG.info("%s, %.1f megapixels of output: about %s", images, megapixels, spoken(seconds))


def _patches(plan: PassPlan, height: int, width: int) -> int:
    """Runs of a network for an image."""
    grid = plan.grid(height, width)
    return len(grid.tops) * len(grid.lefts) * len(plan.transforms)


def _bytes_beside(tasks: Sequence[FileTask], sizes: Mapping[FileTask, Size], scale: int) -> dict[FileTask, int]:
    """For each task the memory for reading the next image, and for packing this output and the last if not packed by rows."""
    reading = {task: READING_BYTES * width * height for task, (width, height) in sizes.items()}
    packing = {task: _packing_bytes(task, *sizes[task], scale) for task in tasks}
    return {
        task: packing[task] + (packing[last] if last else 0) + (reading[following] if following else 0)
        for last, task, following in zip([None, *tasks], tasks, [*tasks[1:], None], strict=False)
    }


def _packing_bytes(task: FileTask, width: int, height: int, scale: int) -> int:
    target = FORMATS.get(task.target.suffix.lower())
    return target.pixel_bytes * scale**2 * width * height if target else 0


def _within(ensemble: Ensemble, beside: int) -> Ensemble:
    """The ensemble with the memory that is left for it.

    Raises:
        UsageError: no memory is left.
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


def _entry(task: FileTask, image: ImageFile, scale: int, seconds: float) -> dict[str, Any]:
    height, width = image.pixels.shape[:2]
    beside = {} if task.uncertainty is None else {"uncertainty": str(task.uncertainty)}
    sizes = {"width": width * scale, "height": height * scale}
    return {"input": str(task.source), "output": str(task.target), **beside, **sizes, "seconds": seconds}


def _read(task: FileTask, *, standard_input: bytes | None) -> ImageFile:
    if task.source == Path(STREAM):
        return parse_image(Path("standard input"), standard_input or b"")
    try:
        return read_image(task.source)
    except OSError as error:
        raise PairError(
            f"{task.source}: {error.strerror}; expected a file that can be read: check its permissions"
        ) from error


def _size(task: FileTask, standard_input: bytes | None) -> Size:
    """Size from the header, or UNKNOWN where it cannot be read; reading the file will then report why."""
    try:
        return size_in(io.BytesIO(standard_input or b"")) if task.source == Path(STREAM) else image_size(task.source)
    except (PairError, *DAMAGE, Image.DecompressionBombError):
        return UNKNOWN


def _give_up(queue: FileQueue, errors: list[GpnasError]) -> None:
    """Raise if the only image failed, or if none of several images can be used."""
    if queue.single:
        raise errors[0]
    if all(isinstance(error, UsageError) for error in errors):
        more = [f"and {len(errors) - REASONS_SHOWN} more"] if len(errors) > REASONS_SHOWN else []
        reasons = " | ".join([*map(str, errors[:REASONS_SHOWN]), *more])
        raise PairError(f"none of {len(errors)} images can be used. {reasons}")


class _Meter:
    """One image's part of the progress, in megapixels of output; it advances as LR px are computed."""

    def __init__(self, task: FileTask, size: Size, ensemble: Ensemble) -> None:
        width, height = size
        self.name = "standard input" if task.source == Path(STREAM) else task.source.name
        self.left = ensemble.plan.scale**2 * width * height / MEGA
        work = 0 if size == UNKNOWN else len(ensemble.members) * ensemble.plan.pixels(height, width)
        self.step = self.left / max(work, 1)

    def advance(self, progress: Progress, pixels: int) -> None:
        """Count LR px that one member has computed."""
        self.left -= self.step * pixels
        progress.advance(self.step * pixels, note=self.name)

    def finish(self, progress: Progress) -> None:
        """Count what a failure left out."""
        if self.left > self.step:  # else rounding
            progress.advance(self.left, note=self.name)
