"""Torch checkpoints read without Torch: the zip form (since 1.6) and the form before it.

A tensor is `_rebuild_tensor_v2(storage, offset, shape, stride, …)`; a storage is named by a persistent id ('storage', type, key,
device, count) and stands beside the pickle: as a record `data/KEY` of the zip, or, in the old form, behind it. A tensor must lie
within its storage and have no more elements than that (no expanded views); a zip record must be stored as it is, since Torch
never compresses. Why not `torch.load(weights_only=True)`: benchmarks/convert/findings.md.
"""

import io
import math
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import WeightsError
from weights_convert.convert.foreign.unpickler import PLAIN, Array, Builder, Unpickler, checked_shape, damaged

CODES = ("f4", "f8", "f2", "bfloat16", "i8", "i4", "i2", "i1", "u1", "b1")
STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
DEVICE = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mtia|privateuseone)(:\d{1,4})?")


@dataclass(slots=True)
class Storage:
    """Numbers in a row, of a dtype of CODES; the bytes come when the whole file is read."""

    dtype: str
    count: int
    data: bytes | memoryview = b""

    def fill(self, data: bytes | memoryview) -> None:
        """Take the bytes, which must be as many as the pickle says."""
        if len(data) != self.size:
            raise damaged(f"a storage of {len(data)} bytes, expected {self.size} by the pickle")
        self.data = data

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * (2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize)


class Tensor(Array):
    """A tensor as a view of a storage."""

    __slots__ = ("_stride", "offset", "shape", "storage")

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any) -> None:
        if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
            raise damaged("the file rebuilds a tensor without storage and offset")
        self.storage, self.offset = storage, offset
        self.shape, self._stride = checked_shape(shape), checked_shape(stride)
        if len(self.shape) != len(self._stride):
            raise damaged("the file holds a tensor whose strides do not fit its shape")
        count = math.prod(self.shape)
        last = offset + sum((side - 1) * step for side, step in zip(self.shape, self._stride, strict=True))
        if count > storage.count or (count and last >= storage.count):
            raise damaged(
                f"the file holds a tensor {self.shape} that reaches beyond its storage of {storage.count} numbers"
            )

    def __setstate__(self, state: Any) -> None:
        """Refuse: a tensor is whole when it is made."""
        raise damaged("the pickle sets the state of a tensor")

    def array(self) -> np.ndarray:
        """The tensor as a view of the file; bfloat16 becomes float32, which holds every one of its numbers."""
        is_bfloat16 = self.storage.dtype == "bfloat16"
        dtype = np.dtype("<u2" if is_bfloat16 else f"<{self.storage.dtype}")
        steps = [step * dtype.itemsize for step in self._stride]
        empty = not math.prod(self.shape)
        values = np.ndarray(
            self.shape, dtype, b"" if empty else self.storage.data, 0 if empty else self.offset * dtype.itemsize, steps
        )
        return widen(values) if is_bfloat16 else values


def widen(bits: np.ndarray) -> np.ndarray:
    """bfloat16 numbers, given as uint16, as float32, which holds every one of them."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_zip(data: bytes) -> Any:
    """The value of a Torch checkpoint, zip form.

    Raises:
        WeightsError: it is damaged, or holds something else than tensors and plain values. `zipfile` and Python's unpickler
            raise errors of their own where the bytes are no zip file or no pickle.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    infos = archive.infolist()
    names = {info.filename for info in infos}
    if len(names) != len(infos):
        raise damaged("a zip file with two records of one name")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise WeightsError(
            "a compressed zip file; Torch stores its records as they are. Unpack it first if it holds the checkpoint"
        )
    if sum(info.file_size for info in infos) > len(data):
        raise WeightsError("the records of the zip file claim more bytes than it has; was it made to fill the memory?")
    broken = archive.testzip()  # also the records that are not needed: the file is whole, or it is not read
    if broken is not None:
        raise damaged(f"the record {broken:.80} has a wrong checksum")
    pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"] or name == "data.pkl"]
    if len(pickles) != 1:
        raise WeightsError("a zip file without the one record data.pkl; expected a Torch checkpoint")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in names:
        raise WeightsError(
            "a TorchScript program, which holds code; expected the weights alone (torch.save(net.state_dict(), …))"
        )
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        raise WeightsError("a Torch checkpoint of a big-endian machine; expected little-endian numbers")
    value, storages = _read_tensors(io.BytesIO(archive.read(pickles[0])))
    for key, storage in storages.items():
        if f"{folder}data/{key}" not in names:
            raise damaged(f"the record {folder:.80}data/{key:.80} is missing")
        storage.fill(archive.read(f"{folder}data/{key}"))
    return value


def read_legacy(data: bytes) -> Any:
    """The value of a Torch checkpoint, form before 1.6; raises as `read_zip` does."""
    stream = io.BytesIO(data)
    _magic, protocol, system = (Unpickler(stream, PLAIN).load() for _ in range(3))
    match protocol, system:
        case 1001, {"little_endian": True}:
            value, storages = _read_tensors(stream)
        case _:
            raise WeightsError(
                "an old Torch checkpoint of another protocol or of a big-endian machine; save it with a newer Torch"
            )
    keys = Unpickler(stream, PLAIN).load()
    if not isinstance(keys, list) or set(keys) != set(storages) or len(keys) != len(storages):
        raise damaged("the storages behind the pickle are not those that it names")
    rest = memoryview(data)[stream.tell() :]
    for storage in map(storages.__getitem__, keys):
        if int.from_bytes(rest[:8], "little") != storage.count:
            raise damaged("a storage is cut or of another size than it says")
        storage.fill(rest[8 : 8 + storage.size])
        rest = rest[8 + storage.size :]
    if len(rest):
        raise damaged(f"{len(rest)} bytes stand behind the last storage")
    return value


def _read_tensors(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The value of the main pickle, and the storages that it names."""
    storages: dict[str, Storage] = {}

    def persistent(value: Any) -> Storage:
        match value:
            case ("storage", str(dtype), str(key), str(place), int(count), *rest) if (
                dtype in CODES and DEVICE.fullmatch(place) and rest in ([], [None]) and 0 <= count < 2**63
            ):
                storage = storages.setdefault(key, Storage(dtype, count))
                if (storage.dtype, storage.count) == (dtype, count):
                    return storage
        raise damaged("the file names a storage of unknown kind, or one storage in two ways")

    value = Unpickler(stream, TENSORS, persistent).load()
    return value, storages


def _tensor_v2(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any, hooks: Any, metadata: Any = None
) -> Tensor:
    """Metadata would say that the numbers mean something else (their negatives): refused."""
    if type(_grad) is not bool or not isinstance(hooks, dict | None) or metadata is not None:
        raise damaged("the file rebuilds a tensor of other parts than expected")
    return Tensor(storage, offset, shape, stride)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise damaged("the file rebuilds a parameter from something else than a tensor")
    return tensor


TENSORS = {
    **PLAIN,
    ("torch._utils", "_rebuild_tensor"): Builder(Tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Builder(_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): Builder(_parameter),
    ("torch", "Size"): Builder(checked_shape),
    **{("torch", f"{name}Storage"): code for name, code in zip(STORAGES, CODES, strict=True)},
}
