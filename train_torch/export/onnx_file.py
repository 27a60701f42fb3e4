"""ONNX files: our node names and metadata in them, and their result by ONNX Runtime. Needs the extra `export`, not Torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

KEY = "gpnas_sr"
INPUT, OUTPUT = "input", "sr"


class OnnxNetwork:
    """A network by ONNX Runtime, one thread, on the CPU.

    Args:
        model: the file, or its bytes. It has one input (n, 3, h, w) float32 and gives its image first.
    """

    def __init__(self, model: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """float32 (n, 3, h, w) in [0, 1] -> float32 (n, 3, scale·h, scale·w), not clipped."""
        return np.asarray(self._session.run(None, {self._input: np.ascontiguousarray(image, dtype=np.float32)})[0])


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that a model uses."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def metadata_of(path: Path) -> dict[str, Any] | None:
    """What a file by this project says of itself; None: it is not ours."""
    model = onnx.load(path, load_external_data=False)
    texts = [entry.value for entry in model.metadata_props if entry.key == KEY]
    return dict(json.loads(texts[0])) if texts else None


def finished(
    data: bytes, names: Sequence[str], owners: Mapping[str, str], metadata: Mapping[str, Any]
) -> onnx.ModelProto:
    """An exported model with our names and metadata, checked by ONNX's own checker.

    Args:
        data: the model, its modules called n0, n1 ….
        names: the name of each module's node.
        owners: module -> the name under which its arrays stand.
        metadata: a JSON value; its members `id` and `spec` stand beside it in plain sight.
    """
    model = onnx.load_from_string(data)
    _rename(model.graph, names, owners)
    model.producer_name = "gpnas-sr"
    model.graph.name = str(metadata["id"])
    for key in ("id", "value_range"):
        _set(model, key, str(metadata[key]))
    _set(
        model,
        "spec",
        json.dumps(metadata["members"][0]["architecture"] if len(metadata["members"]) == 1 else metadata["members"]),
    )
    _set(model, KEY, json.dumps(metadata, sort_keys=True, allow_nan=False))
    onnx.checker.check_model(model, full_check=True)
    return model


def _set(model: onnx.ModelProto, key: str, value: str) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = key, value


def _rename(graph: onnx.GraphProto, names: Sequence[str], owners: Mapping[str, str]) -> None:
    """Nodes, values and arrays by the names of our Graph.

    Several operators of one node are `NODE/OPERATOR`, but the last, whose result is the node's, is `NODE`.
    """
    last = {_module_of(node.name): index for index, node in enumerate(graph.node)}
    values = {INPUT: INPUT, OUTPUT: OUTPUT} | {
        array.name: _array_name(array.name, owners) for array in graph.initializer
    }
    for index, node in enumerate(graph.node):
        module = _module_of(node.name)
        name = names[module] if module is not None else node.name
        node_name = name if module is not None and last[module] == index else f"{name}/{node.name.rsplit('/', 1)[-1]}"
        node.name = node_name
        for place, value in enumerate(node.output):
            values.setdefault(value, node_name if place == 0 else f"{node_name}:{place}")
    for node in graph.node:
        node.input[:] = [values.get(value, value) for value in node.input]
        node.output[:] = [values[value] for value in node.output]
    for array in graph.initializer:
        array.name = values[array.name]
    for info in graph.value_info:
        info.name = values.get(info.name, info.name)


def _module_of(name: str) -> int | None:
    """7 of `/n7/Conv`, the name that Torch gives the operators of module n7; None for one outside every module."""
    part = name.split("/")[1] if name.startswith("/") else ""
    return int(part[1:]) if part.startswith("n") and part[1:].isdigit() else None


def _array_name(name: str, owners: Mapping[str, str]) -> str:
    module, _, rest = name.partition(".")
    return f"{owners[module]}.{rest}" if module in owners and rest else name
