"""Run cases on Torch: `python -m weights_convert.dump_torch FOLDER` writes every node's output and every gradient.

FOLDER holds cases `0.case.safetensors`, `1.case.safetensors` …; beside each comes `0.dump.safetensors` ….
"""

import sys
from pathlib import Path

import numpy as np
import torch

from shared.families import build_graph as graph_of
from shared.weights import write_arrays
from train_torch.network import build, node_outputs
from weights_convert.case import Case, read_case


def dump(case: Case) -> dict[str, np.ndarray]:
    """`output/NODE`, `gradient/NODE` and `weight/NAME` (the gradient of a weight) of a case."""
    dtype = getattr(torch, case.dtype)
    graph = graph_of(case.spec)
    module = build(case.spec, weights=case.weights, outputs="all").to(dtype).requires_grad_(True)
    image = torch.tensor(case.image, dtype=dtype, requires_grad=True)
    values = node_outputs(module, graph, image)
    for value in values.values():
        value.retain_grad()
    outputs = (values[name] for name in graph.outputs)
    terms = [
        (output * torch.tensor(array, dtype=dtype)).sum()
        for output, array in zip(outputs, case.cotangents, strict=True)
    ]
    torch.stack(terms).sum().backward()
    return (
        {f"output/{name}": value.detach().numpy() for name, value in values.items()}
        | {f"gradient/{name}": _gradient(value) for name, value in values.items()}
        | {f"weight/{name}": _gradient(parameter) for name, parameter in module.named_parameters()}
    )


def _gradient(tensor: torch.Tensor) -> np.ndarray:
    assert tensor.grad is not None, "every node reaches an output"
    return tensor.grad.numpy()


def main(folder: Path) -> None:
    """Dump every case of a folder."""
    for path in sorted(folder.glob("*.case.safetensors")):
        target = path.with_name(path.name.replace(".case.", ".dump."))
        write_arrays(target, dump(read_case(path)), {"framework": f"torch {torch.__version__}"})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
