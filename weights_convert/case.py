"""A comparison case as a file: a spec, weights, an image and cotangents, handed to one process per framework.

Every number is a float32, so that both precisions start from the same values; colours, size and biases are all unlike, so that a
fault can hide behind no symmetry.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from shared.architecture import ArchSpec
from shared.families import build_graph
from shared.initialization import random_weights
from shared.spec import parse
from shared.weights import read_arrays, write_arrays

DType = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What both frameworks compute.

    Attributes:
        spec: the network.
        weights: name -> float32 array.
        image: float32 (n, 3, h, w) in [0, 1].
        cotangents: one float32 array per output of the Graph; the loss is the sum of outputs times cotangents.
        dtype: precision of the computation.
    """

    spec: ArchSpec
    weights: dict[str, np.ndarray]
    image: np.ndarray
    cotangents: tuple[np.ndarray, ...]
    dtype: DType


def make_case(
    spec: ArchSpec, *, seed: int = 0, shape: tuple[int, int, int] = (2, 12, 10), dtype: DType = "float64"
) -> Case:
    """A case with random weights (biases and mean shifts too) and an image of coloured noise; shape is (n, h, w)."""
    graph = build_graph(spec)
    generator = np.random.Generator(np.random.Philox(key=seed))
    batch, height, width = shape
    image = generator.uniform(0, 1, (batch, 3, height, width)) * np.array([1.0, 0.7, 0.4])[:, None, None]
    shapes = graph.shapes(height, width)
    cotangents = tuple(generator.standard_normal((batch, *shapes[name])).astype(np.float32) for name in graph.outputs)
    weights = random_weights(graph, seed)
    return Case(spec=spec, weights=weights, image=image.astype(np.float32), cotangents=cotangents, dtype=dtype)


def write_case(path: Path, case: Case) -> None:
    """Write a case, whole or not at all."""
    arrays = {f"weight/{name}": array for name, array in case.weights.items()} | {"image": case.image}
    arrays |= {f"cotangent/{index}": array for index, array in enumerate(case.cotangents)}
    write_arrays(path, arrays, {"architecture": case.spec.architecture(), "dtype": case.dtype})


def read_case(path: Path) -> Case:
    """Read a case back."""
    arrays, metadata = read_arrays(path)
    weights = {name.removeprefix("weight/"): array for name, array in arrays.items() if name.startswith("weight/")}
    count = sum(name.startswith("cotangent/") for name in arrays)
    return Case(
        spec=parse(metadata["architecture"]),
        weights=weights,
        image=arrays["image"],
        cotangents=tuple(arrays[f"cotangent/{index}"] for index in range(count)),
        dtype=metadata["dtype"],
    )
