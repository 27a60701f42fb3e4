"""A checkpoint file of any known form -> state dicts: names and arrays, wrappers taken off."""

import hashlib
import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load

from shared.errors import WeightsError
from shared.processes import WRONG_INPUT, module_command, worker_environment
from shared.records.weights import KEY

Format = Literal["safetensors", "torch zip", "torch legacy", "paddle pickle"]
Answer = tuple[int, bytes, str]
ZIP_START = b"PK\x03\x04"
LEGACY_START = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # the pickle of the magic number, protocol 2
# what training code puts before every name: DataParallel, EDSR's Model, torch.compile, Lightning
PREFIXES = ("module.", "model.", "_orig_mod.", "net_g.", "network.")
DUAL_KEYS = "dual_model_"  # PaddleGAN's names of dual models, beside `generator`
MAX_LISTED = 20


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A file, read.

    Attributes:
        path: where it stands.
        format: what it is.
        kind: of its value: "dict", "list" or another type's name.
        entries: names of the dict's entries.
        states: key -> state dict; key "" if the value itself is one, an index if the value is a list.
        sha256: of the file's bytes.
    """

    path: Path
    format: Format
    kind: str
    entries: tuple[str, ...]
    states: Mapping[str, StateDict]
    sha256: str


def run_worker(file_format: str, data: bytes) -> Answer:
    """Read a file in a process of its own (worker.py): its status, its answer, what it said."""
    command = module_command("weights_convert.convert.foreign.worker", file_format)
    environment = worker_environment() | {"PYTHONUTF8": "1"}
    done = subprocess.run(command, input=data, capture_output=True, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def read_checkpoint(path: Path, *, run: Callable[[str, bytes], Answer] = run_worker) -> Checkpoint:
    """Read a checkpoint; what it is is decided by its first bytes, not by its name.

    Args:
        path: safetensors, Paddle's `.pdparams`, Torch's `.pth` (either form).
        run: reads the bytes of a file of a format; a fuzzer brings a faster one.

    Raises:
        WeightsError: no such file, an unknown or damaged one, or one that holds more than arrays and plain values.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; expected a checkpoint (.safetensors, .pdparams, .pth)") from None
    file_format = _format(data)
    status, answer, said = run(file_format, data)
    if status:
        raise WeightsError(f"{path} ({file_format}): {_refusal(status, said)}")
    arrays = load(answer)
    value = json.loads(json.loads(answer[8 : 8 + int.from_bytes(answer[:8], "little")])["__metadata__"][KEY])
    states = {
        key: _state(path, key, {name: arrays[at] for name, (at, _) in state["arrays"].items()}, state)
        for key, state in value["states"].items()
    }
    return Checkpoint(
        path=path,
        format=file_format,
        kind=value["kind"],
        entries=tuple(value["entries"]),
        states=states,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _format(data: bytes) -> Format:
    if data.startswith(ZIP_START):
        return "torch zip"
    if data.startswith(LEGACY_START):
        return "torch legacy"
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data):
        return "safetensors"
    return "paddle pickle"


def _refusal(status: int, said: str) -> str:
    """What kept the worker from an answer, and what to do."""
    if status == WRONG_INPUT:
        return said.strip()
    last = said.strip().splitlines()[-1][:200] if said.strip() else "nothing said"
    if status == -signal.SIGXCPU or "MemoryError" in last:
        return "reading it takes more memory or time than weights of its size; was it made to do harm, or damaged?"
    if status < 0:
        return f"its reader was stopped by {signal.Signals(-status).name}; was the file made to do harm, or damaged?"
    return f"no whole file: {last}; was the file cut or damaged?"


def _state(path: Path, key: str, arrays: dict[str, np.ndarray], state: Mapping[str, Any]) -> StateDict:
    prefix = _prefix(arrays)
    return StateDict(
        arrays={name.removeprefix(prefix): array for name, array in arrays.items()},
        key=key,
        prefix=prefix,
        dtypes=tuple(sorted({dtype for _, dtype in state["arrays"].values()})),
        metadata=None if state["text"] is None else _metadata(path, state["text"]),
    )


def _prefix(arrays: Mapping[str, Any]) -> str:
    prefix = ""
    for _ in PREFIXES:  # one of each at most: a made-up name of a million prefixes would take for ever
        prefix += next((word for word in PREFIXES if all(name.startswith(prefix + word) for name in arrays)), "")
    return prefix


def _metadata(path: Path, text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # what could not be written again is refused
    except (ValueError, RecursionError):
        raise WeightsError(f"{path}: its own description is no JSON; was the file damaged?") from None
    return value if isinstance(value, dict) else None


def select(checkpoint: Checkpoint, key: str | None = None) -> StateDict:
    """The network's state dict in a checkpoint.

    Args:
        checkpoint: the file.
        key: the entry to take, such as `params_ema`; None: the only one there is.

    Raises:
        WeightsError: no state dict, or several and no key.
    """
    if checkpoint.kind != "dict":
        raise WeightsError(f"{checkpoint.path}: holds a {checkpoint.kind}, expected a dict of names and arrays")
    states = {name: state for name, state in checkpoint.states.items() if not name.startswith(DUAL_KEYS)}
    names = list(states) if key is None else [key]
    if len(names) == 1 and names[0] in states:
        return states[names[0]]
    listed = ", ".join(list(filter(None, states))[:MAX_LISTED]) or "none"
    if key is not None:
        raise WeightsError(f"{checkpoint.path}: got key {key!r}, expected one of its state dicts: {listed}")
    if states:
        raise WeightsError(
            f"{checkpoint.path}: holds several state dicts ({listed}); say which with --key, such as --key {names[0]}"
        )
    entries = ", ".join(name[:40] for name in checkpoint.entries[:MAX_LISTED])
    raise WeightsError(f"{checkpoint.path}: no state dict among its entries ({entries}); expected names and arrays")


def dual_states(checkpoint: Checkpoint) -> list[dict[str, np.ndarray]]:
    """State dicts of dual models: PaddleGAN's `dual_model_0` …, or a list of state dicts (guoyongcs/DRN); empty: none."""
    if checkpoint.kind == "list":
        names = list(checkpoint.entries)
    else:
        every = (f"{DUAL_KEYS}{index}" for index in range(len(checkpoint.entries)))
        names = [name for name in every if name in checkpoint.entries]
    if not all(name in checkpoint.states for name in names):
        raise WeightsError(f"{checkpoint.path}: a dual model is no state dict; expected names and arrays")
    return [checkpoint.states[name].arrays for name in names]
