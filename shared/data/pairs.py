"""Find LR/HR pairs in folders, by names and image headers only; and read one pair.

A pair that cannot be used is skipped, with its reason. The other pairs are not affected.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.naming import SUFFIXES, NamedImage, read_name
from shared.errors import PairError, UsageError
from shared.images.header import image_size
from shared.images.pixels import read_image

SCALES = (2, 3, 4)
MIN_SIDE = 2  # px of LR: a single row or column cannot be aligned
REASONS_SHOWN = 10  # ours: a thousand skipped pairs usually have one reason


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPair:
    """Two files of one scene.

    HR is scale times as large as LR, or up to scale - 1 px larger: `read_pair` cuts these pixels off at the right and the bottom.
    """

    name: str
    lr: Path
    hr: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file or pair that is left out. The reason says what was got, what was expected, and what to do."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Discovery:
    """What `discover` found. Pairs and skipped ones are sorted by name; the names of pairs are unique."""

    pairs: tuple[FoundPair, ...]
    scale: int
    skipped: tuple[Skipped, ...]
    layout: str


def discover(sources: Sequence[Path], *, scale: int | None = None) -> Discovery:
    """Find the LR/HR pairs under `sources`, recursively (layouts: `shared.data.naming`).

    Two files are partners if they are under one parent folder and their stems are equal; if no file has an equal stem, a suffix
    such as `_LR4`, `x2` or `_x1` may differ. Where several files could be the partner, the one with the right size is taken if
    `scale` is given; otherwise the pair is skipped. The name of a pair is this stem, with the folder's name in front where two
    folders use one name.

    Args:
        sources: folders.
        scale: 2, 3 or 4; None: found from the sizes, which must agree over all pairs.

    Raises:
        UsageError: a source is not a folder, or the scale is out of range.
        PairError: no pair is left, or the pairs have several scales and none was given.
    """
    if scale is not None and scale not in SCALES:
        raise UsageError(f"got scale {scale}, expected one of {SCALES}")
    candidates = _candidates(sources)
    matches: list[_Match] = []
    skipped: list[Skipped] = []
    for group in _scenes(candidates):
        try:
            matches.append(_match(group, scale))
        except PairError as error:
            skipped.append(Skipped(name=group[0].base, reason=str(error)))
    scale = scale or _agreed_scale(matches)
    skipped += [
        Skipped(name=match.name, reason=_other_scale(match, scale)) for match in matches if match.scale != scale
    ]
    pairs = _named([match for match in matches if match.scale == scale])
    if not pairs:
        raise PairError(f"{_listed(sources)}: no usable pair. {first_reasons(skipped)}")
    return Discovery(
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        scale=scale,
        skipped=tuple(sorted(skipped, key=lambda item: (item.name, item.reason))),
        layout="; ".join(sorted({candidate.layout for candidate in candidates})),
    )


def read_pair(pair: FoundPair, *, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two images of a pair, without alpha channels.

    Returns:
        LR (h, w, 3) and HR (scale·h, scale·w, 3), uint8 or uint16 each; up to scale - 1 px of HR are cut off at
        the right and the bottom, as benchmarks do.

    Raises:
        PairError: a file cannot be read, the sizes do not fit, or a side of LR is 1 px.
    """
    lr, hr = read_image(pair.lr).pixels, read_image(pair.hr).pixels
    if min(lr.shape[:2]) < MIN_SIDE:
        raise PairError(
            f"{pair.name}: got LR {lr.shape[1]}x{lr.shape[0]}, expected at least {MIN_SIDE} px a side; leave it out"
        )
    height, width = lr.shape[0] * scale, lr.shape[1] * scale
    if not (0 <= hr.shape[0] - height < scale and 0 <= hr.shape[1] - width < scale):
        raise PairError(
            f"{pair.name}: got LR {lr.shape[1]}x{lr.shape[0]} and HR {hr.shape[1]}x{hr.shape[0]}, "
            f"expected HR {width}x{height} ({scale} x LR); cut both to the same scene, or remove the pair"
        )
    return lr, np.ascontiguousarray(hr[:height, :width])


def list_images(folder: Path) -> list[Path]:
    """The image files under a folder and its sub-folders, sorted; hidden files and folders are left out.

    Raises:
        UsageError: no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected a folder of images")
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(root, name) for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    name: str
    scope: Path
    lr: Path
    hr: Path
    scale: int


def _candidates(sources: Sequence[Path]) -> list[NamedImage]:
    found: dict[Path, NamedImage | None] = {}
    for source in sources:
        root = Path(os.path.abspath(source))
        for path in list_images(root):
            found[path] = found.get(path) or read_name(path, root)
    candidates = [candidate for candidate in found.values() if candidate is not None]
    if not candidates:
        raise PairError(
            f"{_listed(sources)}: got names of files and folders that do not say which images are LR and which are HR; expected "
            f"folders LR and HR with files of equal names, or names that end in _LR4 and _HR (image files found: {len(found)})"
        )
    return candidates


def _scenes(candidates: list[NamedImage]) -> list[list[NamedImage]]:
    """The files of each scene: files of one stem, if LR and HR are among them; the others by the stem without suffix."""
    parts = _parts(candidates)
    by_stem = _grouped(candidates, lambda item: (item.scope, parts[item.path], item.stem))
    whole = [group for group in by_stem if len({item.role for item in group}) == 2]
    done = {item.path for group in whole for item in group}
    rest = [item for item in candidates if item.path not in done]
    return whole + _grouped(rest, lambda item: (item.scope, parts[item.path], item.base))


def _parts(candidates: list[NamedImage]) -> dict[Path, tuple[str, ...]]:
    """The part of the set (train, test) of each file; empty where a folder has only one LR and one HR part."""
    seen: dict[tuple[Path, str], set[tuple[str, ...]]] = defaultdict(set)
    for item in candidates:
        seen[item.scope, item.role].add(item.part)
    single = {
        item.scope for item in candidates if len(seen[item.scope, "lr"]) <= 1 and len(seen[item.scope, "hr"]) <= 1
    }
    return {item.path: () if item.scope in single else item.part for item in candidates}


def _grouped(candidates: Iterable[NamedImage], key: Callable[[NamedImage], Hashable]) -> list[list[NamedImage]]:
    groups: dict[Hashable, list[NamedImage]] = defaultdict(list)
    for item in candidates:
        groups[key(item)].append(item)
    return list(groups.values())


def _match(scene: list[NamedImage], scale: int | None) -> _Match:
    lrs = [item for item in scene if item.role == "lr"]
    hrs = [item for item in scene if item.role == "hr"]
    if not lrs or not hrs:
        have, miss = ("HR", "LR") if hrs else ("LR", "HR")
        raise PairError(
            f"got {have} {_listed(item.path for item in scene)} and no {miss} partner, expected a file of the same name "
            f"in the {miss} folder beside it; add that, or remove this one"
        )
    choices = [(lr, hr) for lr in lrs for hr in hrs]
    if len(choices) > 1:
        choices = [(lr, hr) for lr, hr in choices if _has_scale(lr, hr, scale)]
    if len(choices) != 1:
        raise PairError(
            f"got {len(lrs)} LR and {len(hrs)} HR files for one scene ({_listed(item.path for item in scene)}), "
            f"expected one of each; {'' if scale else 'give the scale (--scale), or '}move the others away"
        )
    ((lr, hr),) = choices
    name = lr.stem if lr.stem == hr.stem else lr.base
    return _Match(
        name=name, scope=lr.scope, lr=lr.path, hr=hr.path, scale=ratio(image_size(lr.path), image_size(hr.path))
    )


def ratio(lr: tuple[int, int], hr: tuple[int, int]) -> int:
    """The scale of two sizes (width, height): HR = scale x LR, or up to scale - 1 px more, as in benchmarks.

    Raises:
        PairError: equal sizes, or no scale of 2, 3 or 4 fits.
    """
    sizes = f"got LR {lr[0]}x{lr[1]} and HR {hr[0]}x{hr[1]}, expected HR = scale x LR with scale 2, 3 or 4"
    if lr == hr:
        raise PairError(
            f"{sizes}; data sets whose LR images are upscaled already (RealSR V1 and V2, City100) do not fit: "
            "use RealSR V3, or reduce LR to its own grid"
        )
    axes = list(zip(lr, hr, strict=True))
    exact = [(scale, 0) for scale in SCALES]  # tried first: 2 px to 8 px is scale 4, not scale 3 and 2 px more
    for scale, more in [*exact, *((scale, scale - 1) for scale in SCALES)]:
        if all(0 <= large - scale * small <= more for small, large in axes):
            return scale
    raise PairError(f"{sizes}; cut both to the same scene, or remove the pair")


def _has_scale(lr: NamedImage, hr: NamedImage, scale: int | None) -> bool:
    try:
        return ratio(image_size(lr.path), image_size(hr.path)) == scale
    except PairError:
        return False


def _agreed_scale(matches: list[_Match]) -> int:
    """The scale of all matches; 0 if there are none."""
    counts = Counter(match.scale for match in matches)
    if len(counts) > 1:
        found = ", ".join(f"{count} of scale {scale}" for scale, count in sorted(counts.items()))
        raise PairError(
            f"got pairs of several scales ({found}), expected one; give the scale (--scale) to use only those"
        )
    return next(iter(counts), 0)


def _other_scale(match: _Match, scale: int) -> str:
    return f"got HR = {match.scale} x LR, expected {scale} x LR; prepare this pair by itself with scale {match.scale}"


def _named(matches: list[_Match]) -> list[FoundPair]:
    """Unique names: where two are equal, the names of the folders above are put in front, one or more."""
    names = {match.lr: match.name for match in matches}
    for depth in range(1, max((len(match.scope.parts) for match in matches), default=0)):
        counts = Counter(names.values())
        for match in matches:
            if counts[names[match.lr]] > 1:
                names[match.lr] = "_".join([*match.scope.parts[-depth:], match.name])
    return [FoundPair(name=names[match.lr], lr=match.lr, hr=match.hr) for match in matches]


def first_reasons(skipped: Sequence[Skipped]) -> str:
    """The first few reasons, for the message where no pair is left."""
    lines = [f"{item.name}: {item.reason}" for item in skipped[:REASONS_SHOWN]]
    more = len(skipped) - len(lines)
    return " | ".join([*lines, f"and {more} more"] if more else lines)


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths)
