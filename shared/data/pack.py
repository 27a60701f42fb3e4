"""A pack: LR/HR pairs with their split and facts in one HDF5 file.

    /                attributes schema, scale, sha256 (of the content, see `Pack.sha256`), provenance (JSON)
    /pairs/<name>    attributes split, facts (JSON), sha256 (of the pair's pixels)
    /pairs/<name>/lr (h, w, 3) uint8 or uint16, and hr (scale·h, scale·w, 3): uncompressed and contiguous

So stored, a crop is a few row reads from the mapped file, thirty times faster than decoding PNG; compression of noisy
photographs saves little and costs a tenfold.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.data.content_id import content_digest, pixel_digest
from shared.data.images import Bits
from shared.errors import UsageError
from shared.files import publish

SCHEMA = "gpnas-sr/pack/1"
ALIGNMENT = 16  # bytes, so that 16-bit samples can be mapped

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackPair:
    """A pair to write: lr (h, w, 3) and hr (scale·h, scale·w, 3), uint8 or uint16 each; facts are JSON values."""

    name: str
    lr: NDArray[Any]
    hr: NDArray[Any]
    split: Split
    facts: Mapping[str, Any]


def write_pack(path: Path, pairs: Iterable[PackPair], *, scale: int, provenance: Mapping[str, Any]) -> str:
    """Write a pack, whole or not at all; pairs are taken one at a time.

    Args:
        path: the pack; missing folders are made, an earlier pack is replaced.
        pairs: in any order, names unique. A split may stay empty.
        scale: HR side / LR side.
        provenance: JSON values: how the pack was made.

    Returns:
        The content's SHA-256, as `Pack.sha256`.

    Raises:
        UsageError: no pair, a repeated or impossible name, pixels of another shape or dtype, an unknown split.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with h5py.File(temporary, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
            sha256 = _write(file, pairs, scale, provenance)
        os.fsync(descriptor)
        publish(Path(temporary), path)
    finally:
        os.close(descriptor)
        Path(temporary).unlink(missing_ok=True)
    return sha256


def _write(file: h5py.File, pairs: Iterable[PackPair], scale: int, provenance: Mapping[str, Any]) -> str:
    digests: dict[str, tuple[str, str]] = {}
    group = file.create_group("pairs")
    for pair in pairs:
        _check_pair(pair, scale, digests)
        entry = group.create_group(pair.name)
        for key, image in (("lr", pair.lr), ("hr", pair.hr)):
            entry.create_dataset(key, data=image.astype(image.dtype.newbyteorder("<"), copy=False))
        digest = pixel_digest(pair.lr, pair.hr)
        entry.attrs["split"] = pair.split
        entry.attrs["sha256"] = digest
        entry.attrs["facts"] = _json(pair.facts)
        digests[pair.name] = (pair.split, digest)
    if not digests:
        raise UsageError("no pair to write; expected at least one: see what was skipped and why")
    sha256 = content_digest(scale, digests)
    file.attrs["schema"] = SCHEMA
    file.attrs["scale"] = scale
    file.attrs["sha256"] = sha256
    file.attrs["provenance"] = _json(provenance)
    return sha256


def _check_pair(pair: PackPair, scale: int, written: Mapping[str, object]) -> None:
    name = pair.name
    if name in written:
        raise UsageError(f"pair {name!r} comes twice; expected unique names: rename one")
    if not name or name == "." or "/" in name or "\0" in name:
        raise UsageError(f"pair {name!r}; expected a name that is not empty and has no '/': rename it")
    if pair.split not in SPLITS:
        raise UsageError(f"pair {name!r}: split {pair.split!r}; expected one of {', '.join(SPLITS)}")
    for key, image in (("LR", pair.lr), ("HR", pair.hr)):
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape or image.dtype not in (np.uint8, np.uint16):
            got = f"{key} of shape {image.shape}, {image.dtype}"
            raise UsageError(f"pair {name!r}: {got}; expected (height, width, 3), uint8 or uint16")
    if pair.hr.shape[:2] != (scale * pair.lr.shape[0], scale * pair.lr.shape[1]):
        sizes = f"LR {_size(pair.lr)} and HR {_size(pair.hr)}"
        raise UsageError(f"pair {name!r}: {sizes}; expected HR = {scale} x LR: cut HR, or check the scale")


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored:
    """Where an image lies in the file."""

    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    split: str
    sha256: str
    facts: dict[str, Any]
    lr: _Stored
    hr: _Stored


@dataclass(frozen=True, kw_only=True, slots=True)
class _Content:
    scale: int
    sha256: str
    provenance: dict[str, Any]
    entries: dict[str, _Entry]


class Pack:
    """A pack opened for reading. Pixels stay in the file until asked for; threads may share it.

    Args:
        path: what `write_pack` wrote.

    Attributes:
        scale: HR side / LR side.
        sha256: id of the content: names, splits, scale, pixels. Facts, provenance and order of writing do not count.
        provenance: how the pack was made.

    Raises:
        UsageError: no such file, a truncated file, a file of another kind or of a newer version.

    Example:
        >>> with Pack(Path("pack.h5")) as pack:  # doctest: +SKIP
        ...     lr, hr = pack.lr("Canon_001"), pack.hr("Canon_001")
    """

    def __init__(self, path: Path) -> None:
        content = _open(path)
        self.path = path
        self.scale = content.scale
        self.sha256 = content.sha256
        self.provenance = content.provenance
        self._entries = content.entries
        self._bytes: NDArray[np.uint8] | None = np.memmap(path, mode="r").view(np.ndarray)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Arrays handed out stay good."""
        self._bytes = None

    @property
    def bits(self) -> Bits:
        """Greatest depth of an image in the pack: 8 or 16."""
        images = (image for entry in self._entries.values() for image in (entry.lr, entry.hr))
        return 16 if any(image.dtype.itemsize == 2 for image in images) else 8

    def pairs(self, split: str) -> tuple[str, ...]:
        """Names of a split ("train" or "validation"), sorted; empty where the pack has none.

        Raises:
            UsageError: an unknown split.
        """
        if split not in SPLITS:
            raise UsageError(f"split {split!r}; expected one of {', '.join(SPLITS)}")
        return tuple(sorted(name for name, entry in self._entries.items() if entry.split == split))

    def lr(self, name: str) -> NDArray[Any]:
        """LR image (h, w, 3), uint8 or uint16: a copy in memory."""
        return np.array(self._image(self._entry(name).lr))

    def hr(self, name: str) -> NDArray[Any]:
        """HR image (scale·h, scale·w, 3), uint8 or uint16: a copy in memory."""
        return np.array(self._image(self._entry(name).hr))

    def lr_size(self, name: str) -> tuple[int, int]:
        """Height and width of the LR image, in px."""
        return self._entry(name).lr.shape[:2]

    def facts(self, name: str) -> dict[str, Any]:
        """What was measured of a pair when the pack was made; a copy."""
        return dict(self._entry(name).facts)

    def patch(self, name: str, *, top: int, left: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """A square of LR, (size, size, 3) at (top, left), and the HR square that it shows: read-only views."""
        entry = self._entry(name)
        lr = self._image(entry.lr)[top : top + size, left : left + size]
        far, near = self.scale * (top + size), self.scale * top
        hr = self._image(entry.hr)[near:far, self.scale * left : self.scale * (left + size)]
        return lr, hr

    def damage(self) -> tuple[str, ...]:
        """Names of the pairs whose pixels are not those written. Reads the whole file."""
        return tuple(
            sorted(
                name
                for name, entry in self._entries.items()
                if pixel_digest(self._image(entry.lr), self._image(entry.hr)) != entry.sha256
            )
        )

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise UsageError(f"{self.path}: no pair {name!r}; expected one of {len(self._entries)} names in the pack")
        return self._entries[name]

    def _image(self, stored: _Stored) -> NDArray[Any]:
        assert self._bytes is not None, "the pack is closed"
        size = int(np.prod(stored.shape)) * stored.dtype.itemsize
        return self._bytes[stored.offset : stored.offset + size].view(stored.dtype).reshape(stored.shape)


def _open(path: Path) -> _Content:
    """All of a pack but its pixels."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a pack: make one with `gpnas-sr data prepare`")
    remedy = "make it again with `gpnas-sr data prepare`"
    try:
        with h5py.File(path, "r", locking=False) as file:  # never changed in place, and some file systems have no locks
            _check_schema(path, file.attrs.get("schema"))
            return _Content(
                scale=int(file.attrs["scale"]),
                sha256=str(file.attrs["sha256"]),
                provenance=json.loads(file.attrs["provenance"]),
                entries={name: _read_entry(group) for name, group in file["pairs"].items()},
            )
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: {error}; expected a whole pack (HDF5): {remedy}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: incomplete ({error}); expected what {SCHEMA} holds: {remedy}") from None


def _check_schema(path: Path, schema: object) -> None:
    if schema == SCHEMA:
        return
    if isinstance(schema, str) and schema.startswith("gpnas-sr/pack/"):
        raise UsageError(f"{path}: schema {schema}; expected {SCHEMA}: use the version of gpnas-sr that wrote it")
    raise UsageError(f"{path}: HDF5 with schema {schema!r}; expected {SCHEMA}: give a pack of `gpnas-sr data prepare`")


def _read_entry(group: h5py.Group) -> _Entry:
    return _Entry(
        split=str(group.attrs["split"]),
        sha256=str(group.attrs["sha256"]),
        facts=json.loads(group.attrs["facts"]),
        lr=_stored(group["lr"]),
        hr=_stored(group["hr"]),
    )


def _stored(dataset: h5py.Dataset) -> _Stored:
    offset = dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{dataset.name} is chunked or compressed, which cannot be mapped")
    return _Stored(offset=offset, shape=dataset.shape, dtype=dataset.dtype)
