"""Examples as the page holds them: large pictures for the slider, zoomed crops, all as data: URIs."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.records.ablation import AblationTable
from shared.records.scores import ImageScores
from shared.report.crops import Crop, Example, Window, read_example
from shared.report.encode import png, thumbnail, webp
from shared.report.read import AblationRun

LARGEST_SIDE = 1024  # px of a slider picture; of a larger one, the part around the zoomed window
LOSSLESS_PIXELS = 3_000_000  # in all slider pictures of the page: about 6 MB; more than that are compressed


@dataclass(frozen=True, kw_only=True, slots=True)
class Zoom:
    """One crop as the page holds it: the name as in `Crop`, PNG, PSNR-RGB in dB (None: HR), whether none is higher."""

    name: str
    uri: str
    psnr_rgb: float | None
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One example.

    Attributes:
        name: of the pair.
        bicubic, ensemble: slider pictures, of `width` x `height` px.
        is_part: they are a part of larger ones.
        context: the whole HR picture, small.
        box: left, top, width, height of the window, percent of the whole picture.
        window: the same in HR px.
        zooms: the crops.
        bicubic_scores, ensemble_scores: of the whole picture, from the ablation; None: not in it.
    """

    name: str
    bicubic: str
    ensemble: str
    width: int
    height: int
    is_part: bool
    context: str
    context_size: tuple[int, int]
    box: tuple[float, float, float, float]
    window: Window
    zooms: tuple[Zoom, ...]
    bicubic_scores: ImageScores | None
    ensemble_scores: ImageScores | None


def read_examples(run: AblationRun, members: Sequence[str], most: int) -> list[Example]:
    """The first examples of an ablation.

    Args:
        run: the ablation.
        members: ids, in the order of their crops.
        most: examples at most.
    """
    table = run.table
    return [read_example(each, members=members, scale=table.scale, crop=table.crop) for each in run.examples[:most]]


def are_lossless(examples: Sequence[Example]) -> bool:
    """Whether the page has room for the slider pictures of all these without loss."""
    sizes: list[tuple[int, ...]] = [example.hr.shape[:2] for example in examples]
    pixels = sum(2 * min(height, LARGEST_SIDE) * min(width, LARGEST_SIDE) for height, width in sizes)
    return pixels <= LOSSLESS_PIXELS


def make_picture(example: Example, table: AblationTable, ensemble: Sequence[ImageScores], *, lossless: bool) -> Picture:
    """Encode an example.

    Args:
        example: its pixels.
        table: of the ablation.
        ensemble: scores of the whole ensemble by image.
        lossless: whether slider pictures keep every pixel.
    """
    height, width = example.hr.shape[:2]
    rows, columns = (
        _part(size, start, example.window.side)
        for size, start in ((height, example.window.top), (width, example.window.left))
    )
    window = example.window
    return Picture(
        name=example.name,
        bicubic=webp(example.bicubic[rows, columns], lossless=lossless),
        ensemble=webp(example.ensemble[rows, columns], lossless=lossless),
        width=columns.stop - columns.start,
        height=rows.stop - rows.start,
        is_part=max(height, width) > LARGEST_SIDE,
        context=thumbnail(example.hr),
        context_size=(width, height),
        box=(
            100 * window.left / width,
            100 * window.top / height,
            100 * window.side / width,
            100 * window.side / height,
        ),
        window=window,
        zooms=_zooms(example.crops),
        bicubic_scores=_of(table.bicubic.images, example.name),
        ensemble_scores=_of(ensemble, example.name),
    )


def _part(size: int, start: int, side: int) -> slice:
    """At most LARGEST_SIDE px with the window in the middle, as far as the border allows."""
    length = min(size, LARGEST_SIDE)
    first = min(max(start + side // 2 - length // 2, 0), size - length)
    return slice(first, first + length)


def _zooms(crops: Sequence[Crop]) -> tuple[Zoom, ...]:
    best = max(crop.psnr_rgb for crop in crops if crop.psnr_rgb is not None)
    return tuple(
        Zoom(name=crop.name, uri=png(crop.pixels), psnr_rgb=crop.psnr_rgb, is_best=crop.psnr_rgb == best)
        for crop in crops
    )


def _of(images: Sequence[ImageScores], name: str) -> ImageScores | None:
    return next((each for each in images if each.name == name), None)
