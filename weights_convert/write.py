"""Weights to the files of other frameworks; each is read back and compared before it gets its name."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shared.errors import UsageError, WorkError
from shared.files import write_bytes
from shared.weights import KEY, WeightsFile, description, save_weights, write_arrays
from weights_convert.foreign.files import Checkpoint, dual_states, read_checkpoint, select
from weights_convert.foreign.paddle_file import NAMES
from weights_convert.layout import Framework, network_layouts
from weights_convert.upstream import Parcel, by_names, key_choices

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
    rules = network_layouts(file.spec)
    arrays = {name: rules[name].to[framework](array) for name, array in file.weights.items()}
    parcels = upstream.parcels(arrays, file.spec)
    text = json.dumps(description(file.spec, file.provenance), sort_keys=True, allow_nan=False)
    contents = {path.with_name(path.stem + extra + path.suffix): parcel for extra, parcel in parcels.items()}
    data = {target: _encoded(target, parcel, framework, text) for target, parcel in contents.items()}
    for target, written in data.items():
        write_bytes(target, written)
    return list(data)


def framework_of(path: Path) -> Framework | None:
    """The framework of a file to be written; None: safetensors."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: got the suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    return SUFFIXES[path.suffix]


def _encoded(path: Path, parcel: Parcel, framework: Framework, text: str) -> bytes:
    """The bytes of a file, read back and compared."""
    data = _paddle_bytes(parcel, text) if framework == "paddle" else _torch_bytes(parcel, text)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(data)
        checkpoint = read_checkpoint(copy)
    for index, (key, arrays) in enumerate(parcel.states.items()):
        if not _equal(_read_back(checkpoint, parcel, key, index), arrays):
            raise WorkError(f"{path}: what was written does not read back bit for bit; nothing was kept")
    return data


def _read_back(checkpoint: Checkpoint, parcel: Parcel, key: str, index: int) -> Mapping[str, np.ndarray]:
    if parcel.form == "list" or key.startswith("dual_model_"):
        return dual_states(checkpoint)[index if parcel.form == "list" else int(key.removeprefix("dual_model_"))]
    return select(checkpoint, key or None).arrays


def _equal(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].shape == array.shape and found[name].tobytes() == np.ascontiguousarray(array).tobytes()
        for name, array in expected.items()
    )


def _paddle_bytes(parcel: Parcel, text: str) -> bytes:
    """A pickle of dicts, arrays and strings: what paddle.save writes, and paddle.load reads."""
    states = {
        key: {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        for key, arrays in parcel.states.items()
    }
    if parcel.form == "list":
        return pickle.dumps(list(states.values()), protocol=PICKLE_PROTOCOL)
    if parcel.form == "keyed":
        return pickle.dumps({**states, KEY: text}, protocol=PICKLE_PROTOCOL)
    (state,) = states.values()
    return pickle.dumps({**state, NAMES: {name: name for name in state}, KEY: text}, protocol=PICKLE_PROTOCOL)


def _torch_bytes(parcel: Parcel, text: str) -> bytes:
    """What torch.save writes, in a process of its own.

    Raises:
        WorkError: the process failed; the message carries the end of what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "parcel.safetensors", Path(name) / "parcel.pth"
        arrays = {
            f"{index}/{key}": array
            for index, state in enumerate(parcel.states.values())
            for key, array in state.items()
        }
        names = [list(state) for state in parcel.states.values()]
        write_arrays(source, arrays, {"form": parcel.form, "keys": list(parcel.states), "names": names, "text": text})
        command = [sys.executable, "-m", "weights_convert.write_torch", str(source), str(target)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        if done.returncode != 0:
            raise WorkError(
                f"torch worker ended with status {done.returncode}: {done.stderr[-2000:]}; is torch installed (gpnas-sr[train])?"
            )
        return target.read_bytes()
