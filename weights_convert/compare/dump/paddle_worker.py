"""Worker that dumps on Paddle: `python -m weights_convert.compare.dump.paddle_worker REQUEST.json`; the keys are in record.py."""

import sys
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import h5py
import numpy as np
import paddle
from paddle import Tensor

from search_paddle.network import Network, build_graph, get_weights
from shared.network.families import build_graph as graph_of
from shared.network.primitives import INPUT
from weights_convert.compare.case import Case, read_case
from weights_convert.compare.dump.record import Arrays, DumpJob, NodeCheck, Request, load_function, serve, write_rows
from weights_convert.compare.dump.train_paddle import PaddleTraining
from weights_convert.compare.isolated import Isolated, cotangent_of, judge
from weights_convert.compare.recipe import Recipe, batch, initial_weights, write_state, write_step


def dump_chained(file: h5py.File, case: Case, network: Network) -> None:
    """Run the whole network forward and backward. Gradients are written as they come: none is kept.

    Args:
        file: to write to.
        case: what is computed.
        network: that computes it.
    """
    graph = graph_of(case.spec)
    names = {INPUT, *(node.name for node in graph.nodes)}
    outputs: dict[str, Tensor] = {}

    def see(name: str, value: Tensor) -> Tensor:
        if name in names:
            file[f"output/{name}"] = value.numpy()
            if name in graph.outputs:
                outputs[name] = value
            if not value.stop_gradient:
                value.register_hook(lambda gradient: _keep(file, f"gradient/{name}", gradient))
        return value

    network.walk(paddle.to_tensor(case.image.astype(case.dtype), stop_gradient=False), see)
    terms = [
        (outputs[name] * paddle.to_tensor(array.astype(case.dtype))).sum()
        for name, array in zip(graph.outputs, case.cotangents, strict=True)
    ]
    paddle.add_n(terms).backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            file[f"weight/{name}"] = parameter.grad.numpy()


def dump_isolated(case: Case, network: Network, values: Arrays) -> list[NodeCheck]:
    """Feed every node the reference's values, and judge it.

    Args:
        case: what is computed.
        network: that computes it.
        values: float64 outputs of the reference, `output/NODE`.
    """
    nodes = {node.name: node for node in graph_of(case.spec).nodes}
    parameters = dict(network.named_parameters())
    fed: WeakValueDictionary[str, Tensor] = WeakValueDictionary()  # the network holds what it still reads
    rows: list[NodeCheck] = []

    def see(name: str, value: Tensor) -> Tensor:
        if name in nodes:
            node = nodes[name]
            inputs = [read(x) for x in node.inputs]
            weights = {key: parameters[key] for key in node.weight_shapes() if key in parameters}
            found = _vjp(value, inputs, weights, cotangent_of(node, tuple(value.shape)))
            rows.extend(judge(node, [x.numpy() for x in inputs], case.weights, found, case.dtype))
        if name != INPUT and name not in nodes:
            return value
        return read(name)

    def read(name: str) -> Tensor:
        value = fed.get(name)
        if value is None:
            value = fed[name] = paddle.to_tensor(values[f"output/{name}"].astype(case.dtype), stop_gradient=False)
        return value

    network.walk(paddle.to_tensor(case.image.astype(case.dtype)), see)
    return rows


def _keep(file: h5py.File, key: str, gradient: Tensor) -> None:
    file[key] = gradient.numpy()


def _vjp(value: Tensor, inputs: list[Tensor], weights: Mapping[str, Tensor], cotangent: np.ndarray) -> Isolated:
    found: list[Tensor | None] = [None] * (len(inputs) + len(weights))
    if not value.stop_gradient:
        seen = paddle.to_tensor(cotangent.astype(value.numpy().dtype))
        found = paddle.grad([value], [*inputs, *weights.values()], [seen], retain_graph=True, allow_unused=True)
    arrays = [None if gradient is None else gradient.numpy() for gradient in found]
    return Isolated(
        output=value.numpy(),
        inputs=arrays[: len(inputs)],
        weights=dict(zip(weights, arrays[len(inputs) :], strict=True)),
    )


def dump_training(file: h5py.File, case: Case, recipe: Recipe, training: PaddleTraining) -> None:
    """Train, and write every step.

    Args:
        file: to write to.
        case: spec and precision.
        recipe: of the training.
        training: before its first step.
    """
    write_state(file, 0, recipe.steps, training.state())
    for step in range(recipe.steps):
        lr, hr = (images.astype(case.dtype) for images in batch(case.spec, recipe, step))
        loss, gradients = training.advance(step, lr, hr)
        write_step(file, step, recipe.steps, loss, training.optimizer.get_lr(), gradients)
        write_state(file, step + 1, recipe.steps, training.state())


def dump(job: DumpJob) -> None:
    """Do one job."""
    case = read_case(job.case)
    with h5py.File(job.dump, "w") as file:
        if job.chained or job.values is not None:
            make = build_graph if job.network is None else load_function(job.network)
            network = make(graph_of(case.spec), case.weights).to(dtype=case.dtype)
            for parameter in network.parameters():
                parameter.stop_gradient = False
            for name, array in get_weights(network).items():
                file[f"held/{name}"] = array
            if job.chained:
                dump_chained(file, case, network)
            if job.values is not None:
                with Arrays(job.values) as values:
                    write_rows(file, dump_isolated(case, network, values))
        if job.recipe is not None:
            start = PaddleTraining if job.training is None else load_function(job.training)
            weights = initial_weights(case.spec, job.recipe)
            dump_training(file, case, job.recipe, start(case.spec, weights, job.recipe, case.dtype))


def start(request: Request) -> None:
    """Set the process up."""
    paddle.disable_signal_handler()
    paddle.set_flags({"FLAGS_use_mkldnn": request.onednn})


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), start, dump))
