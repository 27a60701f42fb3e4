"""Weights files: safetensors whose metadata carries the spec, the value range and where the weights come from.

All metadata stands as one JSON string under one key, else its order, and with it the file's bytes, would vary. The
weights of dual models (training only) stand in the same file under `dual.{i}.`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared.errors import UsageError, WeightsError
from shared.files import read_bytes, write_bytes
from shared.network.architecture import ArchSpec
from shared.network.families import build_graph, dual_graphs
from shared.network.graph import Graph
from shared.spec import parse

SCHEMA = "gpnas-sr/weights/1"
KEY = "gpnas_sr"
HEADER_SIZE = 8  # bytes at the start of a safetensors file that give the length of the JSON behind them


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """A weights file, read and checked.

    Attributes:
        spec: the network the weights belong to.
        weights: name -> float32 array, of the network and of dual models if the file has them.
        provenance: where they come from (data, steps, seed, ema or raw, versions).
    """

    spec: ArchSpec
    weights: dict[str, np.ndarray]
    provenance: dict[str, Any]

    @property
    def network(self) -> dict[str, np.ndarray]:
        """The weights without those of dual models."""
        return {name: array for name, array in self.weights.items() if not name.startswith("dual.")}


def save_weights(path: Path, weights: Mapping[str, np.ndarray], spec: ArchSpec, provenance: Mapping[str, Any]) -> None:
    """Write a weights file, whole or not at all.

    Args:
        path: of the file.
        weights: name -> float32 array, of the network, with or without those of dual models.
        spec: the network.
        provenance: where the weights come from; a JSON value.

    Raises:
        WeightsError: names, shapes or dtypes are not the network's, or a number is not finite.
    """
    check_weights(weights, spec)
    write_arrays(path, weights, description(spec, provenance))


def description(spec: ArchSpec, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of this project says of its weights: the JSON value of its metadata."""
    return {
        "schema": SCHEMA,
        "id": spec.id,
        "architecture": spec.architecture(),
        "value_range": spec.architecture()["value_range"],
        "provenance": dict(provenance),
    }


def load_weights(path: Path) -> WeightsFile:
    """Read a weights file, strictly: every array is there, of the right shape, float32 and finite.

    Raises:
        WeightsError: no such file, no safetensors file, not one of ours, or it does not fit its network.
        SpecError: the spec inside is none.
    """
    weights, metadata = read_arrays(path)
    spec = described_spec(metadata, name=str(path), count=len(weights))
    check_weights(weights, spec, name=str(path))
    return WeightsFile(spec=spec, weights=weights, provenance=metadata["provenance"])


def described_spec(metadata: Mapping[str, Any], *, name: str, count: int) -> ArchSpec:
    """The spec in a file's description, checked against its id, and against the file's number of arrays.

    Args:
        metadata: JSON value of the description.
        name: of the file, for messages.
        count: arrays in the file.

    Raises:
        WeightsError: the description has another schema or is not whole, or the spec is not the one that it names, or is far too
            deep for the file.
        SpecError: the spec is none.
    """
    if metadata.get("schema") != SCHEMA:
        raise WeightsError(
            f"{name}: got schema {metadata.get('schema')!r}, expected {SCHEMA!r}; "
            "a checkpoint is no weights file, and a newer schema needs a newer gpnas-sr"
        )
    fields, identity = metadata.get("architecture"), metadata.get("id")
    if not isinstance(fields, dict) or not isinstance(metadata.get("provenance"), dict):
        raise WeightsError(
            f"{name}: its description holds no architecture and provenance; was the file edited or damaged?"
        )
    try:
        spec = parse(fields)
    except RecursionError:
        raise WeightsError(f"{name}: its architecture is nested without end; was the file damaged?") from None
    if spec.id != identity:
        raise WeightsError(
            f"{name}: says it holds {identity!r}, its architecture is {spec.id}; was the file edited or damaged?"
        )
    check_depth(spec, count, name=name)
    return spec


def check_depth(spec: ArchSpec, count: int, *, name: str) -> None:
    """Refuse a spec with more blocks than a file has arrays, before a damaged number makes a Graph without end.

    Args:
        spec: as the file describes it.
        count: arrays in the file.
        name: of the file, for messages.

    Raises:
        WeightsError: the spec has more blocks than the file has arrays.
    """
    depth = math.prod(getattr(spec, field, 1) for field in ("groups", "blocks", "stages"))
    if depth > count:
        raise WeightsError(
            f"{name}: {spec.id} has {depth} blocks or stages, the file {count} arrays; it belongs to another network"
        )


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays and one JSON value as safetensors; equal content gives equal bytes.

    Args:
        path: of the file.
        arrays: name -> array.
        metadata: JSON value, without NaN and infinity.
    """
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata={KEY: text}))


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON value of a file by `write_arrays`.

    Raises:
        WeightsError: no such file, no safetensors, or not written by this project.
    """
    data = read_bytes(path, expected="a weights file (.safetensors)", error=WeightsError)
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{path}: {error}; expected a whole safetensors file") from None
    metadata = _metadata(data)
    if KEY not in metadata:
        raise WeightsError(
            f"{path}: got metadata keys {sorted(metadata)}, expected {KEY!r}; convert foreign files first"
        )
    try:
        value = json.loads(metadata[KEY])
        json.dumps(value, allow_nan=False)  # what could not be written again is refused
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: its description is no JSON object; was the file edited or damaged?")
    return arrays, value


def read_provenance(path: Path) -> dict[str, Any]:
    """Where the weights of a file come from, as the file says; the weights are not read and not checked.

    Raises:
        UsageError: no weights file of this project.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(HEADER_SIZE), "little")
            header = file.read(min(length, path.stat().st_size))  # a broken file may claim any length
        provenance = json.loads(json.loads(header)["__metadata__"][KEY]).get("provenance")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}; expected a weights file of gpnas-sr train") from None
    return provenance if isinstance(provenance, dict) else {}


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file that `load` has found whole."""
    length = int.from_bytes(data[:HEADER_SIZE], "little")
    return dict(json.loads(data[HEADER_SIZE : HEADER_SIZE + length]).get("__metadata__", {}))


def weight_shapes(spec: ArchSpec) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Names and shapes of the network's arrays, and of its dual models' (prefix `dual.{i}.`)."""
    dual = {
        f"dual.{index}.{name}": shape
        for index, graph in enumerate(dual_graphs(spec))
        for name, shape in graph.weight_shapes().items()
    }
    return build_graph(spec).weight_shapes(), dual


def check_weights(weights: Mapping[str, np.ndarray], spec: ArchSpec, *, name: str = "weights") -> None:
    """Refuse weights that are not exactly the network's (dual models all or none).

    Args:
        weights: name -> array.
        spec: the network.
        name: of the file, for messages.

    Raises:
        WeightsError: lists what is missing, unexpected or misshaped.
    """
    network, dual = weight_shapes(spec)
    has_dual = any(key.startswith("dual.") for key in weights)
    check_arrays(weights, network | dual if has_dual else network, name=f"{name} of {spec.id}")


def check_graph_weights(weights: Mapping[str, np.ndarray], graph: Graph, *, name: str = "weights") -> None:
    """As `check_weights`, for any Graph."""
    check_arrays(weights, graph.weight_shapes(), name=name)


def check_arrays(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], *, name: str) -> None:
    """Refuse arrays whose names, shapes or dtypes differ from what is expected, or that hold a NaN or an infinity.

    Args:
        arrays: name -> array; float64 is allowed, too.
        shapes: name -> expected shape.
        name: what the arrays are, for messages.

    Raises:
        WeightsError: lists what is missing, unexpected or misshaped.
    """
    problems = [f"missing {key}" for key in shapes if key not in arrays]
    problems += [f"unexpected {key}" for key in arrays if key not in shapes]
    for key in shapes.keys() & arrays.keys():
        array = arrays[key]
        if array.shape != shapes[key]:
            problems.append(f"{key} has shape {array.shape}, expected {shapes[key]}")
        elif array.dtype not in (np.float32, np.float64):
            problems.append(f"{key} is {array.dtype}, expected float32")
        elif not np.isfinite(array).all():
            problems.append(f"{key} holds a NaN or an infinity")
    if problems:
        shown = "; ".join(sorted(problems)[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise WeightsError(f"{name}: {shown}; the file belongs to another network, or was cut")
