"""What is trained: a network, and the dual models of its dual regression loss where its family has them.

They form one module, so that one forward pass, under one precision, gives all images that the loss needs. Names of
weights are those of weights files: the network's own, and `dual.{i}.` for dual model i.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph as graph_of
from shared.network.families import dual_graphs
from shared.network.initialization import initial_weights
from shared.records.weights import check_weights
from train_torch.network import build_graph

Images = tuple[Tensor, ...]
Module = TypeVar("Module", bound=nn.Module)


class TrainingModule(nn.Module):
    """A network and its dual models; most families have none."""

    def __init__(self, network: nn.Module, duals: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.network = network
        self.dual = nn.ModuleList(duals)

    def forward(self, lr: Tensor) -> tuple[Images, Images]:
        """All images of the network, LR size first and SR last, and what dual model i makes of image i + 1."""
        images = self.network(lr)
        images = images if isinstance(images, tuple) else (images,)
        return images, tuple(dual(image) for dual, image in zip(self.dual, images[1:], strict=True))


def build_training_module(spec: ArchSpec, weights: Mapping[str, np.ndarray]) -> TrainingModule:
    """A training module with given weights.

    Args:
        spec: the architecture.
        weights: of the network, and of dual models under `dual.{i}.`: all that the family has.

    Raises:
        WeightsError: they do not fit.
    """
    check_weights(weights, spec)
    duals = tuple(
        build_graph(graph, _under(f"dual.{index}.", weights)) for index, graph in enumerate(dual_graphs(spec))
    )
    network = {name: array for name, array in weights.items() if not name.startswith("dual.")}
    return TrainingModule(build_graph(graph_of(spec), network), duals)


def initial_training_weights(spec: ArchSpec, seed: int) -> dict[str, np.ndarray]:
    """Initial weights: of the network drawn from the seed, of dual model i from seed + i, so that no two start equal."""
    weights = initial_weights(graph_of(spec), seed)
    for index, graph in enumerate(dual_graphs(spec)):
        weights |= {f"dual.{index}.{name}": array for name, array in initial_weights(graph, seed + index).items()}
    return weights


def ordered(module: Module, memory_format: torch.memory_format) -> Module:
    """The same module, with weights in that memory order."""
    return module.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub lacks this form


def file_name(name: str) -> str:
    """The name that a parameter of `TrainingModule` has in weights files."""
    return name.removeprefix("network.")


def _under(prefix: str, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
