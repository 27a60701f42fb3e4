"""Export of networks and suites: ONNX with dynamic sizes, or a torch.export program; checked before it gets its name.

A suite becomes one file, the weighted mean of its members; self-ensemble and patches stay outside: they are loops over whole
passes. The check runs images of several sizes, odd ones and single rows among them, through the written bytes and through the
float64 NumPy reference.
"""

import io
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shared.errors import UsageError, WorkError
from shared.files import write_bytes
from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.initialization import initial_weights
from shared.network.reference import run
from shared.records.resolve import load_member, resolve
from shared.spec import software
from train_torch.ensemble.fusion import ensemble_weights
from train_torch.export.graph import AnySize, Part
from train_torch.export.onnx_file import INPUT, KEY, OUTPUT, OnnxNetwork, finished, opset_of
from train_torch.network import build_graph as build_module

SCHEMA = "gpnas-sr/export/1"
SUFFIXES = (".onnx", ".pt2")
OPSET = 17
OPSETS = range(15, 21)  # what Torch's exporter writes as asked
CHECK_SIZES = ((1, 1, 7), (1, 9, 1), (2, 5, 11), (1, 12, 8))  # images, height, width
TRACED_SIZE = (2, 11, 13)  # none of the checked ones
GATE = 5e-6  # scaled float32 error; deep networks: CONTROL times Torch's own
CONTROL = 4.0
PROTOBUF_LIMIT = 2**31 - 1

Array = np.ndarray
Network = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A network to export.

    Attributes:
        spec: its architecture.
        weights: of its image, name -> float32 array.
        weight: in the mean, > 0, all summing to one.
        provenance: where the weights come from.
    """

    spec: ArchSpec
    weights: dict[str, Array]
    weight: float
    provenance: dict[str, Any]


def read_members(path: Path) -> list[Member]:
    """The networks of a suite, of a weights file, or of a spec (which gets its initial weights, seed 0).

    Raises:
        UsageError: no such file, or a member that is not trained.
        SpecError, WeightsError: a file is none, or spec and weights do not belong together.
    """
    found = resolve(path)
    if found.kind == "spec":
        spec = found.one().spec
        drawn = initial_weights(build_graph(spec).inference())
        return [Member(spec=spec, weights=drawn, weight=1.0, provenance={"weights": "initial", "seed": 0})]
    members = []
    chosen = ensemble_weights(len(found.members), [member.weight for member in found.members])
    for member, weight in zip(found.members, chosen, strict=True):
        if weight > 0:
            file = load_member(member)
            members.append(Member(spec=file.spec, weights=file.network, weight=weight, provenance=file.provenance))
    return members


def export(members: Sequence[Member], path: Path, *, opset: int = OPSET) -> dict[str, Any]:
    """Write a network or the mean of several, and say what was written; on a mismatch nothing is left.

    Args:
        members: of one scale.
        path: ends in .onnx or .pt2.
        opset: of an ONNX file.

    Raises:
        UsageError: another suffix, an opset that Torch does not write, or too many parameters for an ONNX file.
        WorkError: the file's output is not the reference's on some size; the message names size and error.
    """
    _check_request(members, path, opset)
    parts = [_part(member, f"{member.spec.id}/" if len(members) > 1 else "") for member in members]
    metadata = _metadata(members)
    with _one_thread():
        data, facts, network = _exported(AnySize(parts).eval(), metadata, path.suffix, opset)
        checks = check(network, _plain(parts), members)
    write_bytes(path, data)
    return {"out": str(path), **facts, **metadata, "parameters": _parameters(members), "checks": checks}


def check(network: Network, control: Network, members: Sequence[Member]) -> list[dict[str, Any]]:
    """Scaled errors against the reference, one entry a size.

    Args:
        network: what was exported.
        control: the networks as they run here, in Torch's float32, whose error says what that costs.
        members: what it should compute.

    Raises:
        WorkError: an error above both the gate and CONTROL times the control's, or another shape.
    """
    entries = []
    for count, height, width in CHECK_SIZES:
        image = _image(count, height, width)
        expected = _reference(members, image)
        error, floor = _error(network(image), expected), _error(control(image), expected)
        if not error <= max(GATE, CONTROL * floor):
            raise WorkError(
                f"the exported network is off by {error:.3g} (scaled) on an image of {width}x{height} px, Torch itself by "
                f"{floor:.3g}; expected {GATE:g} or less. Nothing was written"
            )
        entries.append({"images": count, "height": height, "width": width, "error": error, "torch_error": floor})
    return entries


def _check_request(members: Sequence[Member], path: Path, opset: int) -> None:
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: got the suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    if opset not in OPSETS:
        raise UsageError(f"opset {opset}: expected {OPSETS.start} to {OPSETS.stop - 1}")
    if path.suffix == ".onnx" and 4 * _parameters(members) > PROTOBUF_LIMIT:
        raise UsageError(
            f"{path}: {_parameters(members)} parameters are more than an ONNX file holds (2 GiB); export members singly"
        )


def _part(member: Member, prefix: str) -> Part:
    graph = build_graph(member.spec).inference()
    weights = {name: member.weights[name] for name in graph.weight_shapes()}
    return Part(prefix=prefix, graph=graph, module=build_module(graph, weights), weight=member.weight)


def _metadata(members: Sequence[Member]) -> dict[str, Any]:
    entries = [
        {"id": m.spec.id, "architecture": m.spec.architecture(), "share": m.weight, "provenance": m.provenance}
        for m in members
    ]
    return {
        "schema": SCHEMA,
        "id": "+".join(member.spec.id for member in members),
        "scale": members[0].spec.scale,
        "value_range": "[0, 1] in and out, not clipped; RGB, (n, 3, height, width)",
        "members": entries,
        "software": software(),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """The images are so small that a second thread would only be waited for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _exported(
    module: AnySize, metadata: dict[str, Any], suffix: str, opset: int
) -> tuple[bytes, dict[str, Any], Network]:
    """The file's bytes, facts about it, and the network that it holds, loaded from the bytes."""
    if suffix == ".onnx":
        data, facts = _onnx(module, metadata, opset)
        return data, facts, OnnxNetwork(data)
    data = _program(module, metadata)
    return data, {}, _eager(torch.export.load(io.BytesIO(data)).module())


def _onnx(module: AnySize, metadata: dict[str, Any], opset: int) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes, and what they say of themselves."""
    buffer = io.BytesIO()
    scale = metadata["scale"]
    axes = {INPUT: {0: "n", 2: "height", 3: "width"}, OUTPUT: {0: "n", 2: f"{scale}*height", 3: f"{scale}*width"}}
    with warnings.catch_warnings():
        # the other exporter of Torch writes opset 18 whatever is asked, and renames what is in the graph
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            (torch.from_numpy(_image(*TRACED_SIZE)),),
            buffer,  # type: ignore[arg-type]  # its annotation forgets the file objects that its documentation names
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=axes,
        )
    model = finished(buffer.getvalue(), module.names, module.owners, metadata)
    got = opset_of(model)
    if got != opset:
        raise WorkError(f"Torch wrote opset {got}, asked for {opset}; expected the same")
    return model.SerializeToString(), {
        "opset": got,
        "ir_version": int(model.ir_version),
        "nodes": len(model.graph.node),
    }


def _program(module: AnySize, metadata: dict[str, Any]) -> bytes:
    """A torch.export program with dynamic n, height and width, the metadata in its extra files."""
    batch, height, width = (torch.export.Dim(name, min=1) for name in ("n", "height", "width"))
    image = torch.from_numpy(_image(*TRACED_SIZE))
    with torch.no_grad():
        program = torch.export.export(module, (image,), dynamic_shapes=({0: batch, 2: height, 3: width},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={KEY: json.dumps(metadata, sort_keys=True, allow_nan=False)})
    return buffer.getvalue()


def _eager(module: nn.Module) -> Network:
    def call(image: Array) -> Array:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(image)).numpy())

    return call


def _plain(parts: Sequence[Part]) -> Network:
    networks = [(part.weight, _eager(part.module.eval())) for part in parts]
    return lambda image: np.asarray(sum(weight * network(image) for weight, network in networks))


def _reference(members: Sequence[Member], image: Array) -> Array:
    """The mean in float64."""
    graphs = [(member, build_graph(member.spec).inference()) for member in members]
    return np.asarray(
        sum(member.weight * run(graph, member.weights, image)[graph.outputs[-1]] for member, graph in graphs)
    )


def _image(count: int, height: int, width: int) -> Array:
    """Coloured noise: float32 (count, 3, height, width)."""
    generator = np.random.Generator(np.random.Philox(key=height * 1000 + width))
    noise = generator.uniform(0, 1, (count, 3, height, width)) * np.array([1.0, 0.7, 0.4])[:, None, None]
    return noise.astype(np.float32)


def _error(value: Array, reference: Array) -> float:
    """max|value - reference| / max|reference|; infinite where shapes differ or a number is not finite."""
    if value.shape != reference.shape or not np.isfinite(value).all():
        return math.inf
    return float(np.abs(value - reference).max() / np.abs(reference).max())


def _parameters(members: Sequence[Member]) -> int:
    return sum(array.size for member in members for array in member.weights.values())
