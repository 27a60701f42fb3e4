"""The difference between upscaling by tiles and in one piece, for networks that pool over the whole image.

Channel attention weights features by their mean over what the network sees. In a tile this mean differs from that of the whole
image, so every pixel changes a little. Overlap hides the seams and does not remove the difference. Larger tiles reduce it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shared.data.source import PairSource
from shared.errors import UsageError
from shared.images.pixels import quantise, read_image
from shared.metrics import MOST_PSNR, psnr_rgb
from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.primitives import GlobalMean
from shared.records.resolve import resolve
from train_torch.ensemble.engine import Lr
from train_torch.ensemble.loading import load_suite
from train_torch.ensemble.pipeline import upscale_bands
from train_torch.ensemble.plan import PassPlan
from train_torch.ensemble.self_ensemble import transforms
from train_torch.evaluation.intervals import gain_interval
from train_torch.network import build

TILES = (48, 64, 96, 120, 160, 240, 320, 480)  # LR px
OVERLAP = 32  # LR px, as in the presets
TOLERANCE = 0.01  # dB against HR
AGREEMENT = (
    60.0  # dB between tiled and whole: if the difference were noise, an image at 33 dB from HR would lose 0.01 dB
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network to check; `trained` is False for initial weights drawn from seed 0."""

    spec: ArchSpec
    network: nn.Module
    trained: bool

    @property
    def pools(self) -> bool:
        """Whether it has global pooling: means over all pixels that it gets."""
        return any(isinstance(node, GlobalMean) for node in build_graph(self.spec).inference().nodes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An LR image, (h, w, 3) uint8 or uint16, and its HR image where it is known."""

    name: str
    lr: Lr
    hr: NDArray[Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TileDrift:
    """The results of tiles of one size, on the images that are larger.

    Attributes:
        tile: side, LR px.
        images: images that are larger than a tile.
        computed: LR px computed for each LR px of the image, mean.
        agreement_db: PSNR of the tiled against the whole result, mean over images; at most 100.
        worst_agreement_db: the lowest.
        max_abs: largest difference of a sample, on [0, 1].
        change_db: PSNR-RGB against HR, tiled minus whole, mean over images; None without HR.
        change_interval_db: its paired 95 % interval; None for fewer than two images.
    """

    tile: int
    images: int
    computed: float
    agreement_db: float
    worst_agreement_db: float
    max_abs: float
    change_db: float | None
    change_interval_db: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """One image by tiles of one size."""

    tile: int
    computed: float
    agreement: float
    max_abs: float
    change: float | None


def load_candidates(name: str | Path, scale: int = 4) -> list[Candidate]:
    """The networks of a suite, a weights file, a spec file or a preset.

    Args:
        name: path of the first three, or a preset's name.
        scale: of a preset.

    Raises:
        UsageError: no such file, a suite that is not trained, or initial weights whose output does not depend on the tiles.
    """
    found = resolve(name, scale=scale)
    specs = [member.spec for member in found.members]
    if found.kind != "spec":
        networks = load_suite(name)[0]
        return [Candidate(spec=s, network=n, trained=True) for s, n in zip(specs, networks, strict=True)]
    (spec,) = specs
    if any(layer.starts_silent for layer in build_graph(spec).weighted()):
        raise UsageError(
            f"{spec.id}: some of its initial weights are 0, so that tiles change next to nothing; "
            "expected its weights file, or a trained suite"
        )
    return [Candidate(spec=spec, network=build(spec), trained=False)]


def samples_of_pairs(pairs: PairSource) -> Iterator[Sample]:
    """The pairs' images, one at a time."""
    return (Sample(name=pair.name, lr=pair.lr, hr=pair.hr) for pair in pairs)


def samples_of_files(paths: Sequence[Path]) -> Iterator[Sample]:
    """LR images without HR, one at a time. Raises PairError for what is no image."""
    return (Sample(name=path.name, lr=read_image(path).pixels, hr=None) for path in paths)


def tile_drift(
    network: nn.Module,
    samples: Iterable[Sample],
    scale: int,
    *,
    tiles: Sequence[int] = TILES,
    overlap: int = OVERLAP,
) -> list[TileDrift]:
    """Measure a network by tiles of each size, in one pass without flips.

    Args:
        network: (n, 3, h, w) -> (n, 3, scale·h, scale·w).
        samples: images; one that is no larger than a tile does not count for it.
        scale: HR side / LR side.
        tiles: sides, LR px.
        overlap: of neighbouring tiles, LR px, blended as by the presets.

    Returns:
        One entry a size, ascending, of those smaller than some image.

    Raises:
        UsageError: a tile not larger than the overlap; no image larger than the smallest tile.
        OutOfMemoryError: an image does not fit in one piece.
    """
    sizes = sorted(set(tiles))
    if not sizes or sizes[0] <= overlap or overlap < 0:
        raise UsageError(f"tiles {sizes}, overlap {overlap}: expected tiles larger than the overlap, LR px")
    found = [one for sample in samples for one in _of_image(network, sample, scale, sizes, overlap)]
    if not found:
        raise UsageError(f"no image is larger than {sizes[0]} px, the smallest tile; expected one: give a smaller tile")
    by_size = {size: [one for one in found if one.tile == size] for size in sizes}
    return [_summary(size, ones) for size, ones in by_size.items() if ones]


def recommended(rows: Sequence[TileDrift]) -> int | None:
    """The smallest tile that is as good as the whole image, as are all larger ones; None if no tile is.

    As good means: against HR the mean loses at most TOLERANCE; without HR, tiled and whole agree to AGREEMENT in the mean.
    """
    best = None
    for row in sorted(rows, key=lambda row: -row.tile):
        if not _is_good(row):
            return best
        best = row.tile
    return best


def _is_good(row: TileDrift) -> bool:
    return row.agreement_db >= AGREEMENT if row.change_db is None else row.change_db >= -TOLERANCE


def _of_image(network: nn.Module, sample: Sample, scale: int, sizes: Sequence[int], overlap: int) -> Iterator[_Found]:
    height, width = sample.lr.shape[:2]
    smaller = [size for size in sizes if size < max(height, width)]
    if not smaller:
        return
    whole = _upscaled(network, sample.lr, PassPlan(scale=scale, patch=None, transforms=transforms(1)))
    for size in smaller:
        plan = PassPlan(scale=scale, patch=size, stride=size - overlap, transforms=transforms(1), window="ramp")
        tiled = _upscaled(network, sample.lr, plan)
        yield _Found(
            tile=size,
            computed=plan.pixels(height, width) / (height * width),
            agreement=min(psnr_rgb(tiled, whole), MOST_PSNR),
            max_abs=float(np.abs(tiled - whole).max()),
            change=None if sample.hr is None else _score(tiled, sample.hr, scale) - _score(whole, sample.hr, scale),
        )


def _upscaled(network: nn.Module, lr: Lr, plan: PassPlan) -> NDArray[np.float32]:
    return np.clip(np.concatenate(list(upscale_bands([network], lr, plan))), 0, 1)


def _score(sr: NDArray[np.float32], hr: NDArray[Any], scale: int) -> float:
    return min(psnr_rgb(quantise(sr), hr, crop=scale), MOST_PSNR)


def _summary(size: int, found: Sequence[_Found]) -> TileDrift:
    changes = [one.change for one in found if one.change is not None]
    return TileDrift(
        tile=size,
        images=len(found),
        computed=fmean(one.computed for one in found),
        agreement_db=fmean(one.agreement for one in found),
        worst_agreement_db=min(one.agreement for one in found),
        max_abs=max(one.max_abs for one in found),
        change_db=fmean(changes) if changes else None,
        change_interval_db=gain_interval(np.array(changes)),
    )
