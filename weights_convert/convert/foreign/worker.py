"""Read one foreign checkpoint: `python -m weights_convert.convert.foreign.worker FORMAT < FILE > ANSWER`.

The process bounds its own memory and time before it looks at the file, and does nothing else. So a file made to fill the memory,
to run for ever or to overflow the C stack ends this process and no other. The answer is a safetensors file: arrays `0`, `1`, …,
and as metadata a JSON value that says which name of which state dict each of them is. Status 2: the file is refused, and the
reason is on stderr. The caller takes any other status, and any signal, for a refusal too (files.py).
"""

import json
import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save

from shared.errors import WeightsError
from weights_convert.convert.foreign.paddle_file import read_paddle
from weights_convert.convert.foreign.torch_file import CODES, Storage, Tensor, read_legacy, read_zip, widen
from weights_convert.convert.foreign.unpickler import Array, Ordered, checked_shape

KEY = "gpnas_sr"  # the entry and metadata key of our own description
MEMORY = 256 * 2**20  # bytes beyond the start, for a small file …
COPIES = 10  # … and so many times the file's size for a large one: the file, float16 widened, arrays, answer
SECONDS = 10  # of CPU time; an honest small file takes 0.05
STATM = Path("/proc/self/statm")
SAFETENSORS = ("F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")  # in the order of CODES


def read_safetensors(data: bytes) -> Ordered:
    """The arrays of a safetensors file, whose bounds the library checks; its metadata as attributes."""
    tree = Ordered()
    for name, entry in deserialize(data):
        if entry["dtype"] not in SAFETENSORS:
            raise WeightsError(f"an array of dtype {entry['dtype']}; expected one of {', '.join(SAFETENSORS)}")
        shape = checked_shape(entry["shape"])
        stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        storage = Storage(CODES[SAFETENSORS.index(entry["dtype"])], math.prod(shape), entry["data"])
        tree[name] = Tensor(storage, 0, shape, stride)
    tree.attributes = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__")
    return tree


READERS: Mapping[str, Callable[[bytes], Any]] = {
    "safetensors": read_safetensors,
    "torch zip": read_zip,
    "torch legacy": read_legacy,
    "paddle pickle": read_paddle,
}


def bound(size: int, seconds: int = SECONDS) -> None:
    """Limit this process's address space and CPU time, counted from now on.

    Args:
        size: of the file, in bytes.
        seconds: of CPU time; a large file gets one more for each 100 MB.
    """
    start = int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else resource.RLIM_INFINITY
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = math.ceil(used.ru_utime + used.ru_stime) + seconds + size // 10**8
    for kind, limit in (
        (resource.RLIMIT_AS, start + MEMORY + COPIES * size),
        (resource.RLIMIT_CPU, total),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def decode(file_format: str, data: bytes) -> bytes:
    """The answer for a file.

    Args:
        file_format: a key of READERS.
        data: the file's bytes.

    Raises:
        WeightsError: the file is damaged or holds more than arrays and plain values. Python's unpickler, `zipfile` and
            safetensors raise errors of their own.
    """
    return pack(READERS[file_format](data), file_format, len(data))


def pack(tree: Any, file_format: str, size: int) -> bytes:
    """The answer for the value of a file.

    Args:
        tree: dicts, lists, plain values and `Array`.
        file_format: a key of READERS.
        size: of the file, in bytes; no state dict may claim more.
    """
    arrays: dict[str, np.ndarray] = {}
    states = {}
    for key, state in _states(tree):
        entries, total = {}, 0
        for name, entry in state.items():
            if name != KEY:
                array, dtype = _native(_unnamed(entry), file_format)
                total += array.nbytes // (2 if dtype in ("bfloat16", "float16") else 1)
                if total > size:
                    raise WeightsError(
                        "arrays that claim more bytes than the file has; arrays that share memory are no weights"
                    )
                entries[name] = (str(len(arrays)), dtype)
                arrays[str(len(arrays))] = array
        states[key] = {"arrays": entries, "text": _text(state, tree)}
    names = list(map(str, tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()))
    kind = "dict" if isinstance(tree, dict) else type(tree).__name__
    answer = {"kind": kind, "entries": names, "states": states}
    return save(arrays, metadata={KEY: json.dumps(answer)})


def _states(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The state dicts of a file: the value itself (key ""), or those among its entries."""
    if _is_state(tree):
        yield "", tree
        return
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    yield from ((str(key), value) for key, value in entries if _is_state(value))


def _is_state(value: Any) -> bool:
    """Whether a value is a dict of names and arrays (our own description aside)."""
    return (
        isinstance(value, dict)
        and len(value.keys() - {KEY}) > 0
        and all(isinstance(name, str) and (name == KEY or _unnamed(entry) is not None) for name, entry in value.items())
    )


def _unnamed(entry: Any) -> Array | None:
    """An array entry, out of Paddle's (name, array) if it stands in one; None if it is no array."""
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        entry = entry[1]
    return entry if isinstance(entry, Array) else None


def _native(entry: Array | None, file_format: str) -> tuple[np.ndarray, str]:
    """An array in native byte order and, if it is narrower, as float32; and its dtype in the file."""
    assert entry is not None, "_is_state has looked"
    array = entry.array()
    if isinstance(entry, Tensor) and entry.storage.dtype == "bfloat16":
        return np.asarray(array, order="C"), "bfloat16"
    if file_format == "paddle pickle" and array.dtype == np.uint16:
        return np.asarray(widen(array), order="C"), "bfloat16"
    dtype = array.dtype.newbyteorder("=")
    return np.asarray(array, np.float32 if dtype == np.float16 else dtype, order="C"), str(dtype)


def _text(state: Any, tree: Any) -> str | None:
    """Our own description: beside the arrays (Paddle), or in the attributes of the dict (Torch)."""
    texts = [holder.get(KEY) for holder in (state, tree) if isinstance(holder, dict)]
    for holder in (state, tree):
        match getattr(holder, "attributes", None):
            case {"_metadata": {"gpnas_sr": text}} | {"gpnas_sr": text}:
                texts.append(text)
    return next((text for text in texts if isinstance(text, str)), None)


if __name__ == "__main__":
    content = sys.stdin.buffer.read()
    bound(len(content))
    try:
        answer = decode(sys.argv[1], content)
    except WeightsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the way back
        sys.exit(2)
    sys.stdout.buffer.write(answer)
