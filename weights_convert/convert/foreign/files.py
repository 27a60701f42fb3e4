"""A checkpoint file of any known form -> a state dict: names and arrays, wrappers taken off."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, deserialize

from shared.errors import WeightsError
from shared.records.weights import KEY
from weights_convert.convert.foreign.arrays import ForeignArray, checked_shape
from weights_convert.convert.foreign.paddle_file import read_paddle
from weights_convert.convert.foreign.pickle_reader import ForeignDict
from weights_convert.convert.foreign.torch_file import LEGACY_START, ZIP_START, Storage, StoredTensor, read_torch

Format = Literal["safetensors", "torch zip", "torch legacy", "paddle pickle"]
PICKLE_START = b"\x80"
# what training code puts before every name: DataParallel, EDSR's Model, torch.compile, Lightning
PREFIXES = ("module.", "model.", "_orig_mod.", "net_g.", "network.")
DUAL_KEYS = "dual_model_"  # PaddleGAN's names of dual models, beside `generator`
MAX_LISTED = 20
SAFETENSORS_DTYPES = {
    "F32": "f4",
    "F64": "f8",
    "F16": "f2",
    "BF16": "bfloat16",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "b1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A file, read.

    Attributes:
        path: where it stands.
        format: what it is.
        tree: its value: dicts, lists, plain values and arrays.
        size: bytes of the file; no state dict may claim more.
        sha256: of the file's bytes.
    """

    path: Path
    format: Format
    tree: Any
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StateDict:
    """Names and arrays of one network.

    Attributes:
        arrays: name -> array in native byte order, float16 and bfloat16 widened to float32.
        key: the entry of the file that they stood under; empty: the file is the state dict.
        prefix: what was taken off every name.
        dtypes: dtypes as they stood in the file.
        metadata: our own JSON value, if this project wrote the file.
    """

    arrays: dict[str, np.ndarray]
    key: str
    prefix: str
    dtypes: tuple[str, ...]
    metadata: dict[str, Any] | None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; what it is is decided by its first bytes, not by its name.

    Raises:
        WeightsError: no such file, an unknown or damaged one, or one that holds more than arrays and plain values.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; expected a checkpoint (.safetensors, .pdparams, .pth)") from None
    kind = _format(data)
    try:
        tree = _READERS[kind](data)
    except WeightsError as error:
        raise WeightsError(f"{path} ({kind}): {error}") from None
    return Checkpoint(path=path, format=kind, tree=tree, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _format(data: bytes) -> Format:
    if data.startswith(ZIP_START):
        return "torch zip"
    if data.startswith(LEGACY_START):
        return "torch legacy"
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data):
        return "safetensors"
    return "paddle pickle"


def _read_safetensors(data: bytes) -> ForeignDict:
    try:
        entries = deserialize(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(f"no whole safetensors file: {str(error)[:80]}; was the file cut or damaged?") from None
    tree = ForeignDict((name, _safetensor(entry)) for name, entry in entries)
    if KEY in metadata:
        tree.attributes = {KEY: metadata[KEY]}
    return tree


def _safetensor(entry: Mapping[str, Any]) -> StoredTensor:
    """One array of a safetensors file, whose bounds the library has checked."""
    if entry["dtype"] not in SAFETENSORS_DTYPES:
        raise WeightsError(f"an array of dtype {entry['dtype']}; expected one of {', '.join(SAFETENSORS_DTYPES)}")
    shape = checked_shape(entry["shape"])
    storage = Storage(dtype=SAFETENSORS_DTYPES[entry["dtype"]], numel=math.prod(shape), data=memoryview(entry["data"]))
    stride = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return StoredTensor(storage, 0, shape, stride)


def select(checkpoint: Checkpoint, key: str | None = None) -> StateDict:
    """The network's state dict in a checkpoint.

    Args:
        checkpoint: the file.
        key: the entry to take, such as `params_ema`; None: the only one there is.

    Raises:
        WeightsError: no state dict, several and no key, or arrays that claim more bytes than the file has.
    """
    name, values = _choose(checkpoint, key)
    arrays, dtypes = _arrays(checkpoint, values)
    prefix = _prefix(arrays)
    return StateDict(
        arrays={name.removeprefix(prefix): array for name, array in arrays.items()},
        key=name,
        prefix=prefix,
        dtypes=dtypes,
        metadata=_metadata(checkpoint, values),
    )


def dual_states(checkpoint: Checkpoint) -> list[dict[str, np.ndarray]]:
    """State dicts of dual models: PaddleGAN's `dual_model_0` …, or a list of state dicts (guoyongcs/DRN); empty: none."""
    tree = checkpoint.tree
    if isinstance(tree, list):
        found = tree
    elif isinstance(tree, ForeignDict):
        found = [tree[f"{DUAL_KEYS}{index}"] for index in range(len(tree)) if f"{DUAL_KEYS}{index}" in tree]
    else:
        found = []
    states = [_arrays(checkpoint, value)[0] for value in found if is_state(value)]
    if len(states) != len(found):
        raise WeightsError(f"{checkpoint.path}: a dual model is no state dict; expected names and arrays")
    return [{name.removeprefix(_prefix(state)): array for name, array in state.items()} for state in states]


def is_state(value: Any) -> bool:
    """Whether a value is a dict of names and arrays (our own metadata aside)."""
    return (
        isinstance(value, ForeignDict)
        and len(value.keys() - {KEY}) > 0
        and all(isinstance(name, str) and (name == KEY or _unnamed(entry) is not None) for name, entry in value.items())
    )


def _unnamed(entry: Any) -> ForeignArray | None:
    """An array entry, out of Paddle's (name, array) if it stands in one; None if it is no array."""
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        entry = entry[1]
    return entry if isinstance(entry, ForeignArray) else None


def _choose(checkpoint: Checkpoint, key: str | None) -> tuple[str, ForeignDict]:
    tree = checkpoint.tree
    if not isinstance(tree, ForeignDict):
        raise WeightsError(f"{checkpoint.path}: holds a {type(tree).__name__}, expected a dict of names and arrays")
    if key is None and is_state(tree):
        return "", tree
    states = {
        str(name): value for name, value in tree.items() if is_state(value) and not str(name).startswith(DUAL_KEYS)
    }
    names = list(states) if key is None else [key]
    if len(names) == 1 and names[0] in states:
        return names[0], states[names[0]]
    listed = ", ".join(list(states)[:MAX_LISTED]) or "none"
    if key is not None:
        raise WeightsError(f"{checkpoint.path}: got key {key!r}, expected one of its state dicts: {listed}")
    if states:
        raise WeightsError(
            f"{checkpoint.path}: holds several state dicts ({listed}); say which with --key, such as --key {names[0]}"
        )
    entries = ", ".join(str(name)[:40] for name in list(tree)[:MAX_LISTED])
    raise WeightsError(f"{checkpoint.path}: no state dict among its entries ({entries}); expected names and arrays")


def _arrays(checkpoint: Checkpoint, values: Mapping[Any, Any]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    arrays: dict[str, np.ndarray] = {}
    dtypes: set[str] = set()
    total = 0
    for name, entry in values.items():
        if name == KEY:
            continue
        try:
            array = _unnamed(entry)
            assert array is not None, "is_state has looked"
            arrays[name], dtype = _native(checkpoint.format, array)
        except WeightsError as error:
            raise WeightsError(f"{checkpoint.path}: {name[:80]}: {error}") from None
        dtypes.add(dtype)
        total += arrays[name].nbytes // (2 if dtype in ("bfloat16", "float16") else 1)
        if total > checkpoint.size:
            raise WeightsError(
                f"{checkpoint.path}: its arrays claim more bytes than the file has; arrays that share memory are no weights"
            )
    return arrays, tuple(sorted(dtypes))


def _native(kind: Format, entry: ForeignArray) -> tuple[np.ndarray, str]:
    """An array in native byte order and, if it is narrower, as float32; and its dtype in the file."""
    array = entry.array()
    if isinstance(entry, StoredTensor) and entry.storage.dtype == "bfloat16":
        return array, "bfloat16"
    if kind == "paddle pickle" and array.dtype == np.uint16:
        return widen(array), "bfloat16"
    dtype = array.dtype.newbyteorder("=")
    return array.astype(np.float32 if dtype == np.float16 else dtype, copy=False), str(dtype)


def widen(bits: np.ndarray) -> np.ndarray:
    """bfloat16 numbers, given as uint16, as float32, which holds every one of them."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _prefix(arrays: Mapping[str, Any]) -> str:
    prefix = ""
    for _ in (
        PREFIXES if arrays else ()
    ):  # one of each at most: a made-up name of a million prefixes would take for ever
        prefix += next((word for word in PREFIXES if all(name.startswith(prefix + word) for name in arrays)), "")
    return prefix


def _metadata(checkpoint: Checkpoint, values: ForeignDict) -> dict[str, Any] | None:
    """Our own JSON value: beside the arrays (Paddle), or in the attributes of the dict (Torch, safetensors)."""
    tree = checkpoint.tree
    texts = [holder.get(KEY) for holder in (values, tree)]
    texts += [_attribute(holder.attributes) for holder in (values, tree)]
    text = next((text for text in texts if isinstance(text, str)), None)
    if text is None:
        return None
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # what could not be written again is refused
    except (ValueError, RecursionError):
        raise WeightsError(f"{checkpoint.path}: its own description is no JSON; was the file damaged?") from None
    return value if isinstance(value, dict) else None


def _attribute(attributes: Any) -> Any:
    match attributes:
        case {"_metadata": {"gpnas_sr": text}} | {"gpnas_sr": text}:
            return text
    return None


_READERS = {
    "safetensors": _read_safetensors,
    "torch zip": read_torch,
    "torch legacy": read_torch,
    "paddle pickle": read_paddle,
}
