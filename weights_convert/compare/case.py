"""A comparison case as a file: a spec, weights, an image and cotangents, handed to one process per framework.

Every number is a float32, so that both precisions start from the same values. Colours, sides and biases are all different, so
that no symmetry hides a fault.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.weights import read_arrays, write_arrays
from shared.spec import parse

DType = Literal["float32", "float64"]
COLOURS = np.array([[1.0, 0.7, 0.4], [0.5, 0.9, 0.8]])  # of even and of odd images


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
    spec: ArchSpec,
    *,
    seed: int = 0,
    shape: tuple[int, int, int] = (2, 13, 11),
    dtype: DType = "float64",
    weights: Mapping[str, np.ndarray] | None = None,
) -> Case:
    """A case with the image of `probe_image`.

    Args:
        spec: the network.
        seed: of image, cotangents and weights.
        shape: (n, h, w) of the image; unequal odd sides show most.
        dtype: precision of the computation.
        weights: of the network; None: random ones, biases and mean shifts too.
    """
    graph = build_graph(spec)
    batch, height, width = shape
    shapes = graph.shapes(height, width)
    return Case(
        spec=spec,
        weights=random_weights(graph, seed) if weights is None else {**weights},
        image=probe_image(shape, seed),
        cotangents=tuple(cotangent(name, (batch, *shapes[name]), seed) for name in graph.outputs),
        dtype=dtype,
    )


def probe_image(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Coloured noise with an edge that is neither upright nor flat; every channel has its own mean and spread.

    Args:
        shape: (n, h, w).
        seed: of the noise.

    Returns:
        float32 (n, 3, h, w) in [0, 1].
    """
    batch, height, width = shape
    noise = np.random.Generator(np.random.Philox(key=seed)).uniform(0, 1, (batch, 3, height, width))
    rows, columns = np.mgrid[0:height, 0:width]
    edge = (2 * rows / height + 3 * columns / width > 2.2).astype(np.float64)
    colours = COLOURS[np.arange(batch) % len(COLOURS)][:, :, None, None]
    return np.asarray(colours * (0.6 * noise + 0.4 * edge), dtype=np.float32)


def cotangent(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal float32 numbers that depend on the name and the seed alone: every process draws the same.

    Args:
        name: of the node.
        shape: of its output.
        seed: of the draw.
    """
    digest = hashlib.sha256(f"cotangent {name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=[seed, int.from_bytes(digest[:8], "little")]))
    return generator.standard_normal(shape, dtype=np.float32)


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
