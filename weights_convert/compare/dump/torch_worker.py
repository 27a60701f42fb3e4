"""Worker that dumps on Torch: `python -m weights_convert.compare.dump.torch_worker REQUEST.json`; the keys are in record.py."""

import sys
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import h5py
import numpy as np
import torch
from torch import Tensor, fx

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph as graph_of
from train_torch.config import TrainConfig
from train_torch.network import build_graph, get_weights, walk
from train_torch.training.step import Training
from weights_convert.compare.case import Case, DType, read_case
from weights_convert.compare.dump.record import Arrays, DumpJob, NodeCheck, Request, load_function, serve, write_rows
from weights_convert.compare.isolated import Isolated, cotangent_of, judge
from weights_convert.compare.recipe import Recipe, batch, initial_weights, write_state, write_step


def dump_chained(file: h5py.File, case: Case, module: fx.GraphModule) -> None:
    """Run the whole network forward and backward. Gradients are written as they come: none is kept.

    Args:
        file: to write to.
        case: what is computed.
        module: that computes it.
    """
    graph, dtype = graph_of(case.spec), getattr(torch, case.dtype)
    outputs: dict[str, Tensor] = {}

    def see(name: str, value: Tensor) -> Tensor:
        file[f"output/{name}"] = value.detach().numpy()
        if name in graph.outputs:
            outputs[name] = value
        if value.requires_grad:
            value.register_hook(
                lambda gradient: file.create_dataset(f"gradient/{name}", data=gradient.numpy()) and None
            )
        return value

    walk(module, graph, torch.tensor(case.image, dtype=dtype).requires_grad_(), see)
    terms = [
        (outputs[name] * torch.tensor(array, dtype=dtype)).sum()
        for name, array in zip(graph.outputs, case.cotangents, strict=True)
    ]
    torch.stack(terms).sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            file[f"weight/{name}"] = parameter.grad.numpy()


def dump_isolated(case: Case, module: fx.GraphModule, values: Arrays) -> list[NodeCheck]:
    """Feed every node the reference's values, and judge it.

    Args:
        case: what is computed.
        module: that computes it.
        values: float64 outputs of the reference, `output/NODE`.
    """
    graph, dtype = graph_of(case.spec), getattr(torch, case.dtype)
    nodes = {node.name: node for node in graph.nodes}
    parameters = dict(module.named_parameters())
    fed: WeakValueDictionary[str, Tensor] = WeakValueDictionary()  # the network holds what it still reads
    rows: list[NodeCheck] = []

    def see(name: str, value: Tensor) -> Tensor:
        if name in nodes:
            node = nodes[name]
            inputs = [read(x) for x in node.inputs]
            found = _vjp(
                value,
                inputs,
                {key: parameters.get(key) for key in node.weight_shapes()},
                cotangent_of(node, tuple(value.shape)),
            )
            rows.extend(judge(node, [x.detach().numpy() for x in inputs], case.weights, found, case.dtype))
        return read(name)

    def read(name: str) -> Tensor:
        value = fed.get(name)
        if value is None:
            value = fed[name] = torch.tensor(values[f"output/{name}"], dtype=dtype).requires_grad_()
        return value

    walk(module, graph, torch.tensor(case.image, dtype=dtype), see)
    return rows


def _vjp(value: Tensor, inputs: list[Tensor], weights: Mapping[str, Tensor | None], cotangent: np.ndarray) -> Isolated:
    known = {name: weight for name, weight in weights.items() if weight is not None}
    sources = [*inputs, *known.values()]
    found: tuple[Tensor | None, ...] = (None,) * len(sources)
    if value.requires_grad:
        seen = torch.tensor(cotangent, dtype=value.dtype)
        found = torch.autograd.grad(value, sources, seen, retain_graph=True, allow_unused=True)
    arrays = [None if gradient is None else gradient.numpy() for gradient in found]
    return Isolated(
        output=value.detach().numpy(),
        inputs=arrays[: len(inputs)],
        weights=dict(zip(known, arrays[len(inputs) :], strict=True)),
    )


def make_training(spec: ArchSpec, weights: Mapping[str, np.ndarray], recipe: Recipe, dtype: DType) -> Training:
    """The project's own training, with the recipe's settings and in the given precision.

    Args:
        spec: the network.
        weights: name -> array, dual models included.
        recipe: of the training.
        dtype: of the computation.
    """
    config = TrainConfig(
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        minimum_learning_rate=recipe.minimum_learning_rate,
        warmup=recipe.warmup,
        ema_decay=recipe.ema_decay,
        ms_ssim_weight=0.0,
        dual_weighting=recipe.dual_weighting,
        accelerator="cpu",
    )
    precise = (
        config if dtype == "float32" else config.model_copy(update={"precision": "64-true"})
    )  # for proofs, not offered to users
    return Training(spec, precise, {**weights})


def dump_training(file: h5py.File, case: Case, recipe: Recipe, training: Training) -> None:
    """Train, and write every step.

    Args:
        file: to write to.
        case: spec and precision.
        recipe: of the training.
        training: before its first step.
    """
    write_state(file, 0, recipe.steps, _state(training))
    for step in range(recipe.steps):
        lr, hr = (images.astype(case.dtype) for images in batch(case.spec, recipe, step))
        report = training.advance(step, lr, hr)
        gradients = {k: p.grad.detach().numpy() for k, p in training.trainable.items() if p.grad is not None}
        write_step(file, step, recipe.steps, report.loss, training.adam.param_groups[0]["lr"], gradients)
        write_state(file, step + 1, recipe.steps, _state(training))


def _state(training: Training) -> dict[str, Mapping[str, np.ndarray]]:
    names = {"weight": "weights", "average": "average", "first": "adam.first", "second": "adam.second"}
    state = training.state()
    return {kind: state[name] for kind, name in names.items()}


def dump(job: DumpJob) -> None:
    """Do one job."""
    case = read_case(job.case)
    torch.set_default_dtype(getattr(torch, case.dtype))  # Fabric brings a network's outputs to it
    with h5py.File(job.dump, "w") as file:
        if job.chained or job.values is not None:
            make = build_graph if job.network is None else load_function(job.network)
            module = make(graph_of(case.spec), case.weights).to(getattr(torch, case.dtype)).requires_grad_(True)
            for name, array in get_weights(module).items():
                file[f"held/{name}"] = array
            if job.chained:
                dump_chained(file, case, module)
            if job.values is not None:
                with Arrays(job.values) as values:
                    write_rows(file, dump_isolated(case, module, values))
        if job.recipe is not None:
            start = make_training if job.training is None else load_function(job.training)
            weights = initial_weights(case.spec, job.recipe)
            dump_training(file, case, job.recipe, start(case.spec, weights, job.recipe, case.dtype))


def start(request: Request) -> None:
    """Set the process up."""
    torch.set_num_threads(request.threads)
    torch.backends.mkldnn.set_flags(_enabled=request.onednn)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), start, dump))
