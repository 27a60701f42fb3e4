"""Upscales one image into its files, row by row. A file is written whole or not at all."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from shared.errors import WorkError
from shared.images.pixels import Bits, ImageFile
from shared.images.stream import BandWriter, open_band_writer
from train_torch.background import Behind
from train_torch.ensemble.engine import Image
from train_torch.ensemble.fusion import disagreement_picture
from train_torch.ensemble.modules import EnsembleMember
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PassPlan
from train_torch.upscale.file_queue import STREAM, FileTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Networks (n, 3, h, w) -> (n, 3, scale·h, scale·w), their ensemble weights, and how images go through them."""

    members: Sequence[EnsembleMember]
    weights: Sequence[float]
    plan: PassPlan
    fusion: str = "mean"

    @property
    def active(self) -> list[float]:
        """The weights of the members that run."""
        return [weight for weight in self.weights if weight > 0]


def upscale_image(
    ensemble: Ensemble,
    image: ImageFile,
    task: FileTask,
    *,
    bits: Bits,
    advance: Callable[[int], None],
    writer: ThreadPoolExecutor,
) -> "Future[None]":
    """Compute an image; a thread writes its rows meanwhile.

    Args:
        ensemble: what to upscale with.
        image: what to upscale.
        task: names the outputs.
        bits: depth of the output.
        advance: called with a number of LR px whenever one member has computed them.
        writer: the thread that packs and writes.

    Returns:
        A future that is done when the outputs are whole and in their places; its result raises WorkError if that fails.

    Raises:
        UsageError: the format of the output cannot hold the image.
        WorkError: a network failed, or the result cannot be written. An older output then stays as it was.
    """
    height, width = (side * ensemble.plan.scale for side in image.pixels.shape[:2])
    with ExitStack() as stack:  # closed in reverse order: where an image is there, its uncertainty is there too
        out = stack.enter_context(_written(task.target, height, width, bits, image))
        watch = (
            _ignore
            if task.uncertainty is None
            else stack.enter_context(_watching(task.uncertainty, height, width, image, ensemble.active, writer))
        )
        behind = stack.enter_context(Behind(writer))
        bands = upscale_bands(
            ensemble.members,
            image.pixels,
            ensemble.plan,
            weights=ensemble.weights,
            fusion=ensemble.fusion,
            watch=watch,
            advance=advance,
        )
        for band in bands:
            behind.do(out.write, band)
        behind.settle()
        rest = stack.pop_all()
    return writer.submit(rest.close)


def _ignore(stack: Image) -> None:
    pass


@contextmanager
def _watching(
    target: Path, height: int, width: int, like: ImageFile, weights: Sequence[float], writer: ThreadPoolExecutor
) -> Iterator[Callable[[Image], None]]:
    """A function that takes bands of the members' images and writes their disagreement: 16 bits, grey."""
    plain = replace(like, grey=True, alpha=None, icc=None)
    with _written(target, height, width, 16, plain) as out, Behind(writer) as behind:
        yield lambda stack: behind.do(out.write, disagreement_picture(stack, weights))


@contextmanager
def _written(target: Path, height: int, width: int, bits: Bits, like: ImageFile) -> Iterator[BandWriter]:
    try:
        with _place(target) as path, open_band_writer(path, height, width, bits=bits, like=like) as out:
            yield out
    except OSError as error:
        raise WorkError(
            f"{target}: {error.strerror}; expected a place with room that can be written: free some, or choose another"
        ) from error


@contextmanager
def _place(target: Path) -> Iterator[Path]:
    """The file to write. For standard output it is a temporary file, which is copied there once it is whole."""
    if target != Path(STREAM):
        yield target
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
