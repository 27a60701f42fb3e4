"""What is trained: a network, and the dual models of its closed loop where its family has them.

They form one module, so that one forward pass, under one precision, gives all images a loss needs. Names of weights are
those of weights files: the network's own, and `dual.{i}.` for dual models.
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


class Trainee(nn.Module):
    """A network and its dual models, which may be none."""

    def __init__(self, network: nn.Module, duals: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.network = network
        self.dual = nn.ModuleList(duals)

    def forward(self, lr: Tensor) -> tuple[Images, Images]:
        """All images of the network, LR size first and SR last, and what dual model i makes of image i + 1."""
        images = self.network(lr)
        images = images if isinstance(images, tuple) else (images,)
        return images, tuple(dual(image) for dual, image in zip(self.dual, images[1:], strict=True))


def build_trainee(spec: ArchSpec, weights: Mapping[str, np.ndarray]) -> Trainee:
    """A trainee with given weights.

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
    return Trainee(build_graph(graph_of(spec), network), duals)


def first_weights(spec: ArchSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights drawn from the seed; dual model i from seed + i: all have the same names, and must not start equal."""
    weights = initial_weights(graph_of(spec), seed)
    for index, graph in enumerate(dual_graphs(spec)):
        weights |= {f"dual.{index}.{name}": array for name, array in initial_weights(graph, seed + index).items()}
    return weights


def ordered(module: Module, memory_format: torch.memory_format) -> Module:
    """The same module, with weights in that memory order."""
    return module.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub lacks this form


def file_name(name: str) -> str:
    """Name in weights files of a parameter of `Trainee`."""
    return name.removeprefix("network.")


def _under(prefix: str, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
