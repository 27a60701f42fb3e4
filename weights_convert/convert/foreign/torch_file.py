"""Torch checkpoints read without Torch: the zip form (since 1.6) and the form before it.

A tensor is `_rebuild_tensor_v2(storage, offset, shape, stride, …)`; a storage is named by a persistent id ('storage', type, key,
device, numel) and stands beside the pickle: as a record `data/KEY` of the zip, or, in the old form, behind it. A tensor must lie
within its storage and have no more elements than that (no expanded views); a zip record must be stored as it is, since Torch
never compresses.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import WeightsError
from weights_convert.convert.foreign.arrays import PLAIN, ForeignArray, checked_shape, shape_text, size_text
from weights_convert.convert.foreign.pickle_reader import ForeignDict, Symbol, Symbols, read_pickle, symbols

ZIP_START = b"PK\x03\x04"
LEGACY_START = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # the pickle of the magic number, protocol 2
LEGACY_PROTOCOL = 1001
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
DEVICE = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mtia|privateuseone)(:\d{1,4})?")
# zipfile answers damaged files with all of these
ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    struct.error,
    zlib.error,
)


@dataclass(slots=True)
class Storage:
    """Numbers in a row; the bytes come when the whole file is read."""

    dtype: str
    numel: int
    data: memoryview | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class StoredTensor(ForeignArray):
    """A tensor as a view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The tensor as a view of the file; bfloat16 becomes float32, which holds every one of its numbers."""
        assert self.storage.data is not None, "read_torch gives every storage its bytes"
        dtype = np.dtype("<u2" if self.storage.dtype == "bfloat16" else f"<{self.storage.dtype}")
        if not math.prod(self.shape):
            return np.zeros(self.shape, np.float32 if self.storage.dtype == "bfloat16" else dtype)
        flat = np.frombuffer(self.storage.data, dtype)[self.offset :]
        steps = tuple(step * dtype.itemsize for step in self.stride)
        values = np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)
        return (values.astype("<u4") << 16).view("<f4") if self.storage.dtype == "bfloat16" else values


def read_torch(data: bytes) -> Any:
    """The value of a Torch checkpoint of either form.

    Raises:
        WeightsError: it is damaged, or holds something else than tensors and plain values.
    """
    return _read_zip(data) if data.startswith(ZIP_START) else _read_legacy(data)


def _read_zip(data: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_records(data, archive)
    except WeightsError:
        raise
    except ZIP_ERRORS as error:
        raise WeightsError(f"no whole zip file: {str(error)[:80]}; was the file cut or damaged?") from None


def _read_records(data: bytes, archive: zipfile.ZipFile) -> Any:
    records = {info.filename: info for info in archive.infolist()}
    _check_records(data, list(archive.infolist()), records)
    if (
        damaged := archive.testzip()
    ) is not None:  # also those that are not needed: the file is whole, or it is not read
        raise WeightsError(f"the record {damaged[:80]} has a wrong checksum; was the file damaged?")
    pickles = [name for name in records if name.split("/")[1:] == ["data.pkl"] or name == "data.pkl"]
    if len(pickles) != 1:
        raise WeightsError("a zip file without the one record data.pkl; expected a Torch checkpoint")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in records:
        raise WeightsError(
            "a TorchScript program, which holds code; expected the weights alone (torch.save(net.state_dict(), …))"
        )
    if f"{folder}byteorder" in records and archive.read(f"{folder}byteorder") != b"little":
        raise WeightsError("a Torch checkpoint of a big-endian machine; expected little-endian numbers")
    storages: dict[str, Storage] = {}
    value = _read_tensors(io.BytesIO(archive.read(pickles[0])), storages)
    for key, storage in storages.items():
        name = f"{folder}data/{key}"
        if name not in records:
            raise WeightsError(f"the record {name[:80]} is missing; was the file damaged?")
        _give(storage, memoryview(archive.read(name)))
    return value


def _check_records(data: bytes, infos: list[zipfile.ZipInfo], records: dict[str, zipfile.ZipInfo]) -> None:
    if len(records) != len(infos):
        raise WeightsError("a zip file with two records of one name; expected a Torch checkpoint")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise WeightsError(
            "a compressed zip file; Torch stores its records as they are. Unpack it first if it holds the checkpoint"
        )
    if sum(info.file_size for info in infos) > len(data):
        raise WeightsError("the records of the zip file claim more bytes than it has; was it made to fill the memory?")


def _read_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    read_pickle(stream, PLAIN)  # the magic number
    protocol = read_pickle(stream, PLAIN)
    system = read_pickle(stream, PLAIN)
    if protocol != LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError(
            "an old Torch checkpoint of another protocol or of a big-endian machine; save it with a newer Torch"
        )
    storages: dict[str, Storage] = {}
    value = _read_tensors(stream, storages)
    keys = read_pickle(stream, PLAIN)
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or set(keys) != set(storages)
        or len(keys) != len(storages)
    ):
        raise WeightsError("the storages behind the pickle are not those that it names; was the file damaged?")
    rest = memoryview(data)[stream.tell() :]
    for key in keys:
        storage = storages[key]
        size = 8 + storage.numel * storage.itemsize
        if len(rest) < size or int.from_bytes(rest[:8], "little") != storage.numel:
            raise WeightsError(f"the storage {key[:80]} is cut or of another size than it says; was the file damaged?")
        _give(storage, rest[8:size])
        rest = rest[size:]
    if len(rest):
        raise WeightsError(f"{len(rest)} bytes stand behind the last storage; was the file damaged?")
    return value


def _read_tensors(stream: io.BytesIO, storages: dict[str, Storage]) -> Any:
    """The main pickle; `storages` collects what it names."""

    def persistent(value: Any) -> Storage:
        match value:
            case ("storage", Symbol(module="torch", name=name), str(key), str(place), int(numel), *rest) if (
                name in STORAGES and DEVICE.fullmatch(place) and rest in ([], [None])
            ):
                storage = storages.setdefault(key, Storage(dtype=STORAGES[name], numel=numel))
                if (storage.dtype, storage.numel) == (STORAGES[name], numel) and numel >= 0:
                    return storage
        raise WeightsError(
            "the file names a storage of unknown kind, or one storage in two ways; expected tensors of numbers"
        )

    return read_pickle(stream, TENSORS, persistent=persistent)


def _give(storage: Storage, data: memoryview) -> None:
    needed = storage.numel * storage.itemsize
    if len(data) != needed:
        raise WeightsError(
            f"a storage of {len(data)} bytes; expected {size_text(needed)} by the pickle. Was it damaged?"
        )
    storage.data = data


def _tensor_v2(arguments: tuple[Any, ...]) -> StoredTensor:
    """Metadata, the seventh part, would say that the numbers mean something else (their negatives): refused."""
    match arguments:
        case (storage, offset, shape, stride, bool(), ForeignDict() | None, *rest) if rest in ([], [None]):
            return _tensor((storage, offset, shape, stride))
    raise WeightsError("the file rebuilds a tensor of other parts than expected; was it damaged?")


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (Storage() as storage, int(offset), shape, stride):
            sizes = checked_shape(shape)
            steps = checked_shape(stride)
            _check_within(storage, offset, sizes, steps)
            return StoredTensor(storage, offset, sizes, steps)
    raise WeightsError(
        "the file rebuilds a tensor from something else than storage, offset, shape and stride; was it damaged?"
    )


def _check_within(storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    if len(shape) != len(stride) or offset < 0:
        raise WeightsError("the file holds a tensor whose strides do not fit its shape; was it damaged?")
    count = math.prod(shape)
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) if count else 0
    if count > storage.numel or last >= max(storage.numel, 1):
        what = f"a tensor {shape_text(shape)} that reaches beyond its storage of {size_text(storage.numel)} numbers"
        raise WeightsError(f"the file holds {what}; was it damaged?")


def _parameter(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (StoredTensor() as tensor, bool(), *_):
            return tensor
    raise WeightsError("the file rebuilds a parameter from something else than a tensor; was it damaged?")


def _size(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    match arguments:
        case (tuple() | list() as sides,):
            return checked_shape(sides)
    raise WeightsError("the file holds a size that is none; was it damaged?")


TENSORS: Symbols = {
    **PLAIN,
    **symbols(
        Symbol("torch._utils", "_rebuild_tensor", _tensor),
        Symbol("torch._utils", "_rebuild_tensor_v2", _tensor_v2),
        Symbol("torch._utils", "_rebuild_parameter", _parameter),
        Symbol("torch", "Size", _size),
        *(Symbol("torch", name) for name in STORAGES),
    ),
}
