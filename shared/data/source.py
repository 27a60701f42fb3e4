"""Pairs to measure on: a pack's validation split, or a folder of images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from shared.data.pack import Pack
from shared.data.pairs import FoundPair, Skipped, discover, read_pair
from shared.errors import PairError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """LR (h, w, 3) and HR (scale·h, scale·w, 3), each uint8 or uint16."""

    name: str
    lr: NDArray[Any]
    hr: NDArray[Any]


class PairSource(Protocol):
    """Pairs in the order of their names. Each iteration starts at the first pair and reads one pair at a time."""

    @property
    def scale(self) -> int:
        """HR side / LR side."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pairs, sorted; at least one."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files and pairs that are left out, with their reasons."""

    def __iter__(self) -> Iterator[Pair]: ...

    def __len__(self) -> int: ...


def open_pairs(path: Path, *, scale: int | None = None) -> PairSource:
    """Open a pack's validation split, or all pairs of a folder.

    Every image of a folder is read once when it is opened: a damaged one is then listed in `skipped`, and does not stop the work
    later.

    Args:
        path: a pack, or a folder of pairs (`shared.data.pairs.discover`).
        scale: 2, 3 or 4: the scale that the pairs must have; None: any.

    Raises:
        UsageError: no such path; a file that is not a pack; a pack without validation pairs or of another scale; a folder
            without a usable pair.
    """
    if path.is_dir():
        return _open_folder(path, scale)
    return _open_pack(path, scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class _PackPairs:
    path: Path
    scale: int
    names: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()

    def __iter__(self) -> Iterator[Pair]:
        with Pack(self.path) as pack:
            for name in self.names:
                yield Pair(name=name, lr=pack.lr(name), hr=pack.hr(name))

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, slots=True)
class _FolderPairs:
    scale: int
    pairs: tuple[FoundPair, ...]
    skipped: tuple[Skipped, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(pair.name for pair in self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        for pair in self.pairs:
            lr, hr = read_pair(pair, scale=self.scale)
            yield Pair(name=pair.name, lr=lr, hr=hr)

    def __len__(self) -> int:
        return len(self.pairs)


def _open_pack(path: Path, scale: int | None) -> PairSource:
    with Pack(path) as pack:
        names = pack.pairs("validation")
        if not names:
            raise UsageError(
                f"{path}: no validation pair; expected at least one: give another pack, or a folder of pairs"
            )
        if scale is not None and scale != pack.scale:
            raise UsageError(f"{path}: pairs of scale {pack.scale}; expected {scale}: give a pack of that scale")
        return _PackPairs(path=path, scale=pack.scale, names=names)


def _open_folder(path: Path, scale: int | None) -> PairSource:
    found = discover([path], scale=scale)
    problems = {pair.name: _problem(pair, found.scale) for pair in found.pairs}
    skipped = [Skipped(name=name, reason=problem) for name, problem in problems.items() if problem]
    pairs = tuple(pair for pair in found.pairs if not problems[pair.name])
    if not pairs:
        raise PairError(f"{path}: none of {len(skipped)} pairs can be read; the first: {skipped[0].reason}")
    return _FolderPairs(
        scale=found.scale, pairs=pairs, skipped=tuple(sorted([*found.skipped, *skipped], key=lambda item: item.name))
    )


def _problem(pair: FoundPair, scale: int) -> str | None:
    try:
        read_pair(pair, scale=scale)
    except PairError as error:
        return str(error)
    return None
