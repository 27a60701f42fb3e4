"""A pack: LR/HR pairs, with their split and facts about them, in one HDF5 file.

    attributes   schema, scale, sha256 (of the content, see `Pack.sha256`), provenance (JSON)
    /index       one JSON text: [{"name", "split", "lr_size": [h, w], "bits", "sha256" (of pixels), "facts": {…}}, …]
    /lr/<name>   (h, w, 3) uint8 or uint16, uncompressed and contiguous
    /hr/<name>   likewise (scale·h, scale·w, 3)

A crop is then a few rows read from the mapped file, thirty times faster than decoding PNG. There is no compression: it saves
little on noisy photographs, and reading takes ten times as long. The index is one text, because a file with attributes for each
of 19,000 pairs takes twenty seconds to open.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.data.pack_index import (
    SPLITS,
    Entry,
    Split,
    content_digest,
    pixel_digest,
    read_index,
    to_json,
    write_index,
)
from shared.errors import UsageError
from shared.files import publish
from shared.images.pixels import Bits

SCHEMA = "gpnas-sr/pack/1"
REMEDY = "make it again with `gpnas-sr data prepare`"
ALIGNMENT = 16  # bytes: 16-bit samples can be mapped


@dataclass(frozen=True, kw_only=True, slots=True)
class PackPair:
    """A pair to write: lr (h, w, 3) and hr (scale·h, scale·w, 3), each uint8 or uint16; facts are JSON values."""

    name: str
    lr: NDArray[Any]
    hr: NDArray[Any]
    split: Split
    facts: Mapping[str, Any]


def write_pack(path: Path, pairs: Iterable[PackPair], *, scale: int, provenance: Mapping[str, Any]) -> str:
    """Write a pack, completely or not at all. Pairs are taken one at a time.

    Args:
        path: of the pack. Missing folders are made; an earlier pack is replaced.
        pairs: in any order, with unique names. A split may stay empty.
        scale: HR side / LR side.
        provenance: how the pack was made, as JSON values.

    Returns:
        SHA-256 of the content, as `Pack.sha256`.

    Raises:
        UsageError: no pair; a name that is repeated or not allowed; pixels of another shape or dtype; an unknown split.
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
    entries: dict[str, Entry] = {}
    for pair in pairs:
        _check_pair(pair, scale, entries)
        for key, image in (("lr", pair.lr), ("hr", pair.hr)):
            file.create_dataset(f"{key}/{pair.name}", data=image.astype(image.dtype.newbyteorder("<"), copy=False))
        height, width = pair.lr.shape[:2]
        entries[pair.name] = Entry(
            name=pair.name,
            split=pair.split,
            lr_size=(height, width),
            bits=8 * max(pair.lr.itemsize, pair.hr.itemsize),
            sha256=pixel_digest(pair.lr, pair.hr),
            facts=dict(pair.facts),
        )
    if not entries:
        raise UsageError("no pair to write; expected at least one: look at the reasons of the skipped ones")
    sha256 = content_digest(scale, {entry.name: (entry.split, entry.sha256) for entry in entries.values()})
    file["index"] = write_index(entries.values())
    file.attrs["schema"] = SCHEMA
    file.attrs["scale"] = scale
    file.attrs["sha256"] = sha256
    file.attrs["provenance"] = to_json(dict(provenance))
    return sha256


def _check_pair(pair: PackPair, scale: int, written: Mapping[str, object]) -> None:
    name = pair.name
    if name in written:
        raise UsageError(f"pair {name!r} is there twice; expected unique names: rename one")
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


class Pack:
    """A pack that is open for reading. Pixels stay in the file until they are asked for. Threads may share it.

    Args:
        path: what `write_pack` wrote.

    Attributes:
        scale: HR side / LR side.
        sha256: id of the content: names, splits, scale, pixels. Facts, provenance and the order of writing do not change it.
        provenance: how the pack was made.

    Raises:
        UsageError: no such file; a file that is truncated, of another kind, or of a newer version.

    Example:
        >>> with Pack(Path("pack.h5")) as pack:  # doctest: +SKIP
        ...     lr, hr = pack.lr("Canon_001"), pack.hr("Canon_001")
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            with _whole(path):
                self._entries = _read_entries(self._file)
                self.scale = int(self._file.attrs["scale"])
                self.sha256 = str(self._file.attrs["sha256"])
                self.provenance: dict[str, Any] = json.loads(self._file.attrs["provenance"])
        except UsageError:
            self._file.close()
            raise
        self._bytes: NDArray[np.uint8] = np.memmap(path, mode="r").view(np.ndarray)
        self._images: dict[str, NDArray[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Arrays that were returned stay valid."""
        self._file.close()
        self._images.clear()

    @property
    def bits(self) -> Bits:
        """Largest bit depth of an image in the pack: 8 or 16."""
        return 16 if any(entry.bits == 16 for entry in self._entries.values()) else 8

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
        return np.array(self._image("lr", name))

    def hr(self, name: str) -> NDArray[Any]:
        """HR image (scale·h, scale·w, 3), uint8 or uint16: a copy in memory."""
        return np.array(self._image("hr", name))

    def lr_size(self, name: str) -> tuple[int, int]:
        """Height and width of the LR image, in px."""
        return self._entry(name).lr_size

    def facts(self, name: str) -> dict[str, Any]:
        """What was measured on a pair when the pack was made; a copy."""
        return dict(self._entry(name).facts)

    def patch(self, name: str, *, top: int, left: int, size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """A square of LR and the same square of HR: read-only views.

        Args:
            name: of the pair.
            top: first row, LR px.
            left: first column, LR px.
            size: side, LR px.
        """
        lr = self._image("lr", name)[top : top + size, left : left + size]
        top, left, size = (self.scale * value for value in (top, left, size))
        return lr, self._image("hr", name)[top : top + size, left : left + size]

    def damage(self) -> tuple[str, ...]:
        """Names of the pairs whose pixels are not the ones that were written. Reads the whole file."""
        entries = sorted(self._entries.items())
        return tuple(name for name, entry in entries if self._digest(name) != entry.sha256)

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise UsageError(f"{self.path}: no pair {name!r}; expected one of {len(self._entries)} names in the pack")
        return self._entries[name]

    def _digest(self, name: str) -> str:
        return pixel_digest(self._image("lr", name), self._image("hr", name))

    def _image(self, key: Literal["lr", "hr"], name: str) -> NDArray[Any]:
        """Read-only view of an image in the file; its place is looked up once."""
        entry = self._entry(name)
        path = f"{key}/{name}"
        if path not in self._images:
            factor = 1 if key == "lr" else self.scale
            height, width = entry.lr_size
            with _whole(self.path):
                self._images[path] = _mapped(self._file[path], self._bytes, (factor * height, factor * width, 3))
        return self._images[path]


def _open(path: Path) -> h5py.File:
    """The HDF5 file of a pack of this version."""
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; expected a pack, from `gpnas-sr data prepare` (some commands also take a folder of pairs)"
        )
    try:
        file = h5py.File(path, "r", locking=False)  # packs never change, and some file systems have no locks
    except OSError as error:
        raise UsageError(f"{path}: {error}; expected a whole pack (HDF5): {REMEDY}") from None
    try:
        _check_schema(path, file.attrs.get("schema"))
    except UsageError:
        file.close()
        raise
    return file


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turns what is missing or wrong in the file into a UsageError."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: incomplete ({error}); expected the content of {SCHEMA}: {REMEDY}") from None


def _check_schema(path: Path, schema: object) -> None:
    if schema == SCHEMA:
        return
    if isinstance(schema, str) and schema.startswith("gpnas-sr/pack/"):
        raise UsageError(f"{path}: schema {schema}; expected {SCHEMA}: use the version of gpnas-sr that wrote the file")
    raise UsageError(f"{path}: HDF5 with schema {schema!r}; expected {SCHEMA}, from `gpnas-sr data prepare`")


def _read_entries(file: h5py.File) -> dict[str, Entry]:
    """Entries by name; every entry has its images in the file."""
    entries = read_index(file["index"].asstr()[()])
    for key in ("lr", "hr"):
        if differing := set(entries).symmetric_difference(file[key]):
            raise ValueError(f"index and /{key} differ in {', '.join(sorted(differing)[:5])}")
    return entries


def _mapped(dataset: h5py.Dataset, data: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Read-only view of a contiguous dataset in the bytes of its file."""
    offset = dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{dataset.name} is chunked or compressed, which cannot be mapped")
    if dataset.shape != shape or dataset.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{dataset.name} is {dataset.shape}, {dataset.dtype}, and the index says {shape}")
    pixels: NDArray[Any] = data[offset : offset + dataset.nbytes].view(dataset.dtype).reshape(shape)
    return pixels
