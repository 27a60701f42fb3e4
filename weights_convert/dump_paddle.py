"""Run cases on Paddle: `python -m weights_convert.dump_paddle FOLDER` writes every node's output and every gradient.

FOLDER holds cases `0.case.safetensors`, `1.case.safetensors` …; beside each comes `0.dump.safetensors` ….
"""

import sys
from pathlib import Path

import numpy as np
import paddle

from search_paddle.network import build
from shared.families import build_graph as graph_of
from shared.weights import write_arrays
from weights_convert.case import Case, read_case


def dump(case: Case) -> dict[str, np.ndarray]:
    """`output/NODE`, `gradient/NODE` and `weight/NAME` (the gradient of a weight) of a case."""
    graph = graph_of(case.spec)
    network = build(case.spec, weights=case.weights, outputs="all").to(dtype=case.dtype)
    for parameter in network.parameters():
        parameter.stop_gradient = False
    image = paddle.to_tensor(case.image.astype(case.dtype), stop_gradient=False)
    values = network.node_outputs(image)
    for value in values.values():
        value.retain_grads()
    outputs = (values[name] for name in graph.outputs)
    terms = [
        (output * paddle.to_tensor(array.astype(case.dtype))).sum()
        for output, array in zip(outputs, case.cotangents, strict=True)
    ]
    paddle.add_n(terms).backward()
    return (
        {f"output/{name}": value.numpy() for name, value in values.items()}
        | {f"gradient/{name}": _gradient(value) for name, value in values.items()}
        | {f"weight/{name}": _gradient(parameter) for name, parameter in network.named_parameters()}
    )


def _gradient(tensor: paddle.Tensor) -> np.ndarray:
    assert tensor.grad is not None, "every node reaches an output"
    return tensor.grad.numpy()


def main(folder: Path) -> None:
    """Dump every case of a folder."""
    for path in sorted(folder.glob("*.case.safetensors")):
        target = path.with_name(path.name.replace(".case.", ".dump."))
        write_arrays(target, dump(read_case(path)), {"framework": f"paddle {paddle.__version__}"})


if __name__ == "__main__":
    paddle.disable_signal_handler()
    main(Path(sys.argv[1]))
