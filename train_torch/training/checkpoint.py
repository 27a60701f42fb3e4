"""The state of an unfinished training: safetensors, replaced whole, never pickle.

Arrays: `weights.{name}`, `average.{name}` (EMA of the weights), `adam.first.{name}`, `adam.second.{name}` (Adam's
moments), under the names of weights files. The rest is one JSON value in the metadata: step, best validation, and what
the training is (network, configuration, data), so that a checkpoint is never resumed by another training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.identity import differences
from shared.records.weights import read_arrays, write_arrays
from train_torch.config import DEFAULTS

SCHEMA = "gpnas-sr/checkpoint/1"
GROUPS = ("weights", "average", "adam.first", "adam.second")

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Mean PSNR-RGB over the validation pairs, dB, and after how many steps."""

    step: int
    psnr_rgb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """Everything a training needs to go on.

    Attributes:
        step: steps done.
        arrays: group of GROUPS -> name -> float32 array; Adam's moments exist for trainable weights only.
        last: latest validation, None before the first.
        best: validation of highest PSNR so far.
    """

    step: int
    arrays: Mapping[str, Arrays]
    last: Validation | None
    best: Validation | None


def save_checkpoint(path: Path, state: State, identity: Mapping[str, Any]) -> None:
    """Replace the checkpoint, whole or not at all.

    Args:
        path: the file.
        state: what is saved.
        identity: JSON value that says which training this is; `load_checkpoint` compares it.
    """
    arrays = {f"{group}.{name}": array for group in GROUPS for name, array in state.arrays[group].items()}
    metadata = {
        "schema": SCHEMA,
        "identity": dict(identity),
        "step": state.step,
        "last": _validation_json(state.last),
        "best": _validation_json(state.best),
    }
    write_arrays(path, arrays, metadata)


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> State | None:
    """The state in a checkpoint, or None if there is no file.

    Raises:
        WeightsError: the file is cut, or no safetensors file of ours.
        UsageError: no checkpoint of this version, or of another training; names what differs.
    """
    if not path.exists():
        return None
    arrays, metadata = read_arrays(path)
    if metadata.get("schema") != SCHEMA:
        raise UsageError(
            f"{path}: got schema {metadata.get('schema')!r}, expected {SCHEMA!r}; move the file away to start over"
        )
    if differing := differences(metadata["identity"], identity, DEFAULTS):
        raise UsageError(f"{path}: belongs to another training ({'; '.join(differing)}); use another output folder")
    return State(
        step=metadata["step"],
        arrays={group: _group(arrays, f"{group}.") for group in GROUPS},
        last=_read_validation(metadata["last"]),
        best=_read_validation(metadata["best"]),
    )


def better(a: Validation | None, b: Validation) -> Validation:
    """The validation of higher PSNR, the earlier one at a tie."""
    return b if a is None or b.psnr_rgb > a.psnr_rgb else a


def _group(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _validation_json(validation: Validation | None) -> dict[str, Any] | None:
    return None if validation is None else {"step": validation.step, "psnr_rgb": validation.psnr_rgb}


def _read_validation(value: dict[str, Any] | None) -> Validation | None:
    return None if value is None else Validation(**value)
