"""Compare two dumps of one case, node by node: scaled error, first divergence forward and backward."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from shared.errors import WorkError
from shared.families import build_graph
from shared.graph import INPUT, Graph
from shared.reference import run as run_reference
from shared.weights import read_arrays
from weights_convert.case import Case, write_case

Framework = Literal["torch", "paddle"]
FLOAT64_GATE = 1e-12  # docs/numerics.md


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """The first place where two dumps differ."""

    node: str
    direction: Literal["forward", "backward"]
    error: float


def dump_in_process(framework: Framework, cases: Sequence[Case]) -> list[dict[str, np.ndarray]]:
    """Run cases in a process of their own, with one thread, and read what it wrote.

    Raises:
        WorkError: the process failed; the message carries the end of what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, case in enumerate(cases):
            write_case(folder / f"{index}.case.safetensors", case)
        command = [sys.executable, "-m", f"weights_convert.dump_{framework}", str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        if done.returncode != 0:
            raise WorkError(f"{framework} worker ended with status {done.returncode}: {done.stderr[-2000:]}")
        return [read_arrays(folder / f"{index}.dump.safetensors")[0] for index in range(len(cases))]


def dump_reference(case: Case) -> dict[str, np.ndarray]:
    """`output/NODE` of the float64 NumPy executor."""
    values = run_reference(build_graph(case.spec), case.weights, case.image)
    return {f"output/{name}": value for name, value in values.items()}


def scaled_error(value: np.ndarray, reference: np.ndarray) -> float:
    """max|value - reference| / max|reference|; absolute where the reference is 0; infinite where a number is not finite."""
    if value.shape != reference.shape or not (np.isfinite(value).all() and np.isfinite(reference).all()):
        return float("inf")
    size = float(np.abs(reference).max(initial=0.0))
    difference = float(np.abs(value - reference).max(initial=0.0))
    return difference / size if size > 0 else difference


def errors(dump: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Scaled error of every array that the reference has; infinite where the dump lacks it."""
    return {key: scaled_error(dump[key], reference[key]) if key in dump else float("inf") for key in reference}


def first_divergence(graph: Graph, found: Mapping[str, float], gate: float = FLOAT64_GATE) -> Divergence | None:
    """The first node over the gate in graph order; if none, the first gradient over it, from the output backwards."""
    names = [INPUT, *(node.name for node in graph.nodes)]
    forward = _first(((name, found.get(f"output/{name}", 0.0)) for name in names), gate)
    if forward is not None:
        return Divergence(node=forward[0], direction="forward", error=forward[1])
    owners = {node.name: node.owner for node in graph.convs()}
    backward = _first(((name, _gradient_error(found, name, owners.get(name, name))) for name in reversed(names)), gate)
    return None if backward is None else Divergence(node=backward[0], direction="backward", error=backward[1])


def _gradient_error(found: Mapping[str, float], name: str, owner: str) -> float:
    keys = (f"gradient/{name}", f"weight/{owner}.weight", f"weight/{owner}.bias")
    return max(found.get(key, 0.0) for key in keys)


def _first(pairs: Iterable[tuple[str, float]], gate: float) -> tuple[str, float] | None:
    return next((pair for pair in pairs if not pair[1] <= gate), None)
