"""Weights out of any known file: strict, bit-exact, and without running anything that the file contains.

`foreign/` reads the file, `upstream/` knows the names, `write.py` is the way back. Arrays keep their layout: both frameworks hold
them as the node says (`Node.parts`), and `gpnas-sr compare` proves that both then compute the same.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import SpecError, WeightsError
from shared.network.architecture import ArchSpec
from shared.records.weights import WeightsFile, check_depth, described_spec, weight_shapes
from shared.spec import software
from weights_convert.convert.foreign.files import Checkpoint, StateDict, dual_states, read_checkpoint, select
from weights_convert.convert.upstream import Source, Upstream, upstream_of

LISTED = 20  # differing names in a message


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """Weights that were read.

    Attributes:
        file: spec, weights in our names, provenance.
        upstream: whose names the file had.
        file_format: what the file was.
        inferred: whether the spec was read off names and shapes.
    """

    file: WeightsFile
    upstream: Upstream
    file_format: str
    inferred: bool


def read_weights(
    path: Path, *, spec: ArchSpec | None = None, key: str | None = None, dual: Path | None = None
) -> Incoming:
    """The weights in a file of any known form, whole or not at all.

    Args:
        path: safetensors, Paddle's `.pdparams`, Torch's `.pth` (either form).
        spec: what the network is; None: the file says so (ours), or it is read off names and shapes where these leave no choice.
        key: the entry to take where a file holds several state dicts.
        dual: file of the dual models, which guoyongcs/DRN keeps apart.

    Raises:
        WeightsError: the file is damaged or holds more than arrays; it has several state dicts and no key; its spec cannot be
            told; or names, shapes or dtypes are not exactly the network's: they are listed, with the nearest names.
    """
    return weights_in(read_checkpoint(path), spec=spec, key=key, dual=None if dual is None else read_checkpoint(dual))


def weights_in(
    checkpoint: Checkpoint, *, spec: ArchSpec | None = None, key: str | None = None, dual: Checkpoint | None = None
) -> Incoming:
    """The weights in a checkpoint that was read; arguments and errors as in `read_weights`."""
    path = checkpoint.path
    state = select(checkpoint, key)
    source = Source(arrays=state.arrays, key=state.key, file_format=checkpoint.format)
    upstream = upstream_of(source)
    told = _told(path, state, spec)
    try:
        found = told or upstream.infer(state.arrays)
        check_depth(found, len(state.arrays), name=str(path))
        arrays = upstream.to_own(state.arrays, found)
    except (WeightsError, SpecError) as error:
        raise WeightsError(f"{path}: {error}") from None
    duals = _dual_arrays(checkpoint if dual is None else dual)
    if arrays.keys() & duals.keys():
        raise WeightsError(
            f"{path}: holds dual models of its own; expected none beside those of {dual.path if dual else 'their own entries'}"
        )
    arrays |= duals
    weights = _fitted(arrays, found, name=f"{path} as {found.id} ({upstream.name} names)")
    provenance = _own_provenance(state, found) or _provenance(checkpoint, state, upstream, weights, found)
    file = WeightsFile(spec=found, weights=weights, provenance=provenance)
    return Incoming(file=file, upstream=upstream, file_format=checkpoint.format, inferred=told is None)


def differences(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What keeps arrays from being a network's: a line for each name, nearest names beside the first ones."""
    missing = [name for name in shapes if name not in arrays]
    unexpected = [name for name in arrays if name not in shapes]
    lines = [f"missing {name} {shapes[name]}{_nearest(name, unexpected, at)}" for at, name in enumerate(missing)]
    lines += [
        f"unexpected {name[:120]} {arrays[name].shape}{_nearest(name, missing, at)}"
        for at, name in enumerate(unexpected)
    ]
    problems = {name: _problem(arrays[name], shape) for name, shape in shapes.items() if name in arrays}
    return lines + [f"{name} {problem}" for name, problem in problems.items() if problem is not None]


def _problem(array: np.ndarray, shape: tuple[int, ...]) -> str | None:
    if array.shape != shape:
        return f"has shape {array.shape}, expected {shape}"
    if array.dtype not in (np.float32, np.float64):
        return f"is {array.dtype}, expected float32"
    if not np.isfinite(array).all():
        return "holds a NaN or an infinity"
    with np.errstate(over="ignore"):
        exact = array.dtype == np.float32 or np.array_equal(array.astype(np.float32).astype(np.float64), array)
    return None if exact else "is float64 and holds numbers that float32 does not; round it first if that is meant"


def _nearest(name: str, others: Sequence[str], at: int) -> str:
    near = difflib.get_close_matches(name, others[:200], n=1) if at < LISTED and len(name) < 200 else []
    return f" (nearest: {near[0][:120]})" if near else ""


def _fitted(arrays: Mapping[str, np.ndarray], spec: ArchSpec, *, name: str) -> dict[str, np.ndarray]:
    """The network's arrays as contiguous float32, in our order; refused as a whole where any differs."""
    network, dual = weight_shapes(spec)
    has_dual = any(key.startswith("dual.") for key in arrays)
    shapes = network | dual if has_dual else network
    lines = differences(arrays, shapes)
    if lines:
        listed = "\n  ".join(lines[:LISTED])
        more = f"\n  and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
        raise WeightsError(
            f"{name}: {len(lines)} of {len(shapes)} arrays differ, so nothing is loaded:\n  {listed}{more}"
        )
    return {
        key: np.array(arrays[key], dtype=np.float32, order="C") for key in shapes
    }  # copies: the file's bytes can go


def _dual_arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    states = enumerate(dual_states(checkpoint))
    return {f"dual.{index}.{name}": array for index, state in states for name, array in state.items()}


def _told(path: Path, state: StateDict, spec: ArchSpec | None) -> ArchSpec | None:
    """The spec that is given, or that a file by this project carries; they must not differ."""
    if state.metadata is None:
        return spec
    own = described_spec(state.metadata, name=str(path), count=len(state.arrays))
    if spec is not None and spec != own:
        raise WeightsError(
            f"{path}: says that it holds {own.id}, --spec is {spec.id}; leave --spec out, or name that one"
        )
    return own


def _own_provenance(state: StateDict, spec: ArchSpec) -> dict[str, Any] | None:
    """What a file by this project says of where its weights come from: kept as it is, so that a round trip loses nothing."""
    match state.metadata:
        case {"provenance": dict(provenance), "id": identity} if identity == spec.id:
            return dict(provenance)
    return None


def _provenance(
    checkpoint: Checkpoint, state: StateDict, upstream: Upstream, weights: Mapping[str, np.ndarray], spec: ArchSpec
) -> dict[str, Any]:
    raw_or_ema = (
        "ema"
        if "ema" in state.key.lower()
        else "raw"
        if any("ema" in name.lower() for name in checkpoint.entries)
        else "not said"
    )
    return {
        "weights": raw_or_ema,
        "source": {
            "file": checkpoint.path.name,
            "sha256": checkpoint.sha256,
            "format": checkpoint.format,
            "names": upstream.name,
            "names_from": upstream.source,
            "key": state.key,
            "prefix": state.prefix,
            "dtypes": list(state.dtypes),
        },
        "conventions": {
            "published": upstream.convention.format(range=spec.architecture()["value_range"]),
            "value_range": spec.architecture()["value_range"],
            "channels": "RGB",
            **_mean(weights),
        },
        "software": software(),
    }


def _mean(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The mean shift as the weights have it; training may have moved it."""
    if "sub_mean.weight" not in weights:
        return {"mean": None}
    matrix = weights["sub_mean.weight"].reshape(3, 3) - np.eye(3)
    return {
        "mean": [-float(value) for value in weights["sub_mean.bias"]],
        "mean_matrix_off_identity": float(np.abs(matrix).max()),
    }
