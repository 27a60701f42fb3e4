"""Weights to the files of other frameworks; each is read back and compared before it gets its name."""

import json
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shared.errors import UsageError, WorkError
from shared.files import write_bytes
from shared.processes import run_module, worker_environment
from shared.records.weights import KEY, WeightsFile, description, save_weights, weight_shapes, write_arrays
from weights_convert.convert.foreign.files import Checkpoint, dual_states, read_checkpoint, select
from weights_convert.convert.foreign.paddle_file import NAMES
from weights_convert.convert.upstream import Parcel, by_names, key_choices

Framework = Literal["torch", "paddle"]
SUFFIXES: Mapping[str, Framework | None] = {
    ".safetensors": None,
    ".pdparams": "paddle",
    ".pth": "torch",
    ".pt": "torch",
}
PICKLE_PROTOCOL = 4  # Paddle's own default; it reads 2 to 4


def write_weights(path: Path, file: WeightsFile, *, keys: str = "own") -> list[Path]:
    """Write weights in the form that the name of the file says, whole or not at all.

    Args:
        path: ends in .safetensors, .pdparams, .pth or .pt.
        file: what to write.
        keys: whose names: "own", "official", "basicsr", "paddlegan".

    Returns:
        The files written: one, or two where the dual models stand apart.

    Raises:
        UsageError: unknown suffix or keys, or weights that those names cannot hold.
        WorkError: the worker process failed, or what was written does not read back bit for bit.
    """
    framework = framework_of(path)
    if framework is None:
        if keys != "own":
            raise UsageError(
                f"{path}: safetensors files hold our own names; got --keys {keys}, expected .pth or .pdparams with it"
            )
        save_weights(path, file.weights, file.spec, file.provenance)
        return [path]
    upstream = by_names(keys, file.spec.family)
    if upstream is None:
        fitting = [name for name, families in key_choices().items() if file.spec.family in families]
        raise UsageError(f"--keys {keys}: no such names for {file.spec.family}; expected one of {', '.join(fitting)}")
    network, dual = weight_shapes(file.spec)
    arrays = {name: file.weights[name] for name in (*network, *dual) if name in file.weights}
    parcels = upstream.parcels(arrays, file.spec)
    text = json.dumps(description(file.spec, file.provenance), sort_keys=True, allow_nan=False)
    contents = {path.with_name(path.stem + extra + path.suffix): parcel for extra, parcel in parcels.items()}
    encode = _paddle_files if framework == "paddle" else _torch_files
    data = encode(list(contents.values()), text)
    for target, parcel, written in zip(contents, contents.values(), data, strict=True):
        _check(target, parcel, written)
    for target, written in zip(contents, data, strict=True):
        write_bytes(target, written)
    return list(contents)


def framework_of(path: Path) -> Framework | None:
    """The framework of a file to be written; None: safetensors."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: got the suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    return SUFFIXES[path.suffix]


def _check(path: Path, parcel: Parcel, data: bytes) -> None:
    """Read what is to be written and compare every bit."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(data)
        checkpoint = read_checkpoint(copy)
    for index, (key, arrays) in enumerate(parcel.states.items()):
        if not _equal(_read_back(checkpoint, parcel, key, index), arrays):
            raise WorkError(f"{path}: what would be written does not read back bit for bit; nothing was kept")


def _read_back(checkpoint: Checkpoint, parcel: Parcel, key: str, index: int) -> Mapping[str, np.ndarray]:
    if parcel.form == "list" or key.startswith("dual_model_"):
        return dual_states(checkpoint)[index if parcel.form == "list" else int(key.removeprefix("dual_model_"))]
    return select(checkpoint, key or None).arrays


def _equal(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].shape == array.shape and found[name].tobytes() == np.ascontiguousarray(array).tobytes()
        for name, array in expected.items()
    )


def _paddle_files(parcels: Sequence[Parcel], text: str) -> list[bytes]:
    """Pickles of dicts, arrays and strings: what paddle.save writes, and paddle.load reads."""
    return [pickle.dumps(_paddle_value(parcel, text), protocol=PICKLE_PROTOCOL) for parcel in parcels]


def _paddle_value(parcel: Parcel, text: str) -> Any:
    states = {
        key: {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        for key, arrays in parcel.states.items()
    }
    if parcel.form == "list":
        return list(states.values())
    if parcel.form == "keyed":
        return {**states, KEY: text}
    (state,) = states.values()
    return {**state, NAMES: {name: name for name in state}, KEY: text}


def _torch_files(parcels: Sequence[Parcel], text: str) -> list[bytes]:
    """What torch.save writes, in a process of its own.

    Raises:
        WorkError: the process failed; the message carries the end of what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, parcel in enumerate(parcels):
            states = list(parcel.states.values())
            arrays = {f"{index}/{key}": array for index, state in enumerate(states) for key, array in state.items()}
            form = {"form": parcel.form, "keys": list(parcel.states), "names": [list(state) for state in states]}
            write_arrays(folder / f"{number}.safetensors", arrays, {**form, "text": text})
        try:
            run_module("weights_convert.convert.write_torch", name, name="torch", environment=worker_environment())
        except WorkError as error:
            raise WorkError(f"{error}; writing .pth needs torch (gpnas-sr[train])") from None
        return [(folder / f"{number}.pth").read_bytes() for number in range(len(parcels))]
