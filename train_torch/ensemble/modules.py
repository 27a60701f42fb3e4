"""Torch modules as pure functions of image batches: nothing passed in is changed.

Our own networks, which carry their Graph, run as a private copy that is rewritten for speed. Foreign modules run as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from shared.errors import NonFiniteError, UsageError
from shared.network.graph import Graph
from shared.network.primitives import INPUT
from shared.network.rewrites import faster
from train_torch.device import memory_errors
from train_torch.ensemble.plan import Precision
from train_torch.network import build_graph, get_weights, graph_in


@dataclass(frozen=True, slots=True)
class PreparedMember:
    """A member, ready to run.

    Attributes:
        name: for messages.
        scale: HR side / LR side; outputs are checked against it.
        module: what runs, rewritten for speed where that is possible.
        original: the module as it was given; it runs for images with a side shorter than `least_side` px.
        least_side: px.
        graph: the Graph of `module`; None for a foreign module.
        device: where the weights are.
        dtype: of the images it takes.
        memory_format: memory order of the images it takes.
    """

    name: str
    scale: int
    module: nn.Module
    original: nn.Module
    least_side: int
    graph: Graph | None
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    def __call__(self, x: Tensor) -> Tensor:
        """Run a batch. The module gets a copy, because some modules write into their input.

        Args:
            x: (n, 3, h, w), anywhere, of any floating-point type.

        Returns:
            (n, 3, scale·h, scale·w) on the network's device.

        Raises:
            UsageError: the output is no tensor, or has another shape.
            OutOfMemoryError: the device has no room.
        """
        copy = x.to(self.device, self.dtype, copy=True, memory_format=self.memory_format)
        module = self.original if min(x.shape[2:]) < self.least_side else self.module
        count, _, height, width = x.shape
        with memory_errors(
            f"{self.name}: no memory for {count} x {width}x{height} px",
            "upscale by patches, by smaller ones, or cut it into parts",
        ):
            output = module(copy)
        expected = (count, 3, height * self.scale, width * self.scale)
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or got != expected:
            raise UsageError(f"{self.name}: made {got} of {tuple(x.shape)}, expected {expected} at scale {self.scale}")
        return output


EnsembleMember = nn.Module | PreparedMember  # what the functions of the ensemble take


def prepare(
    members: Sequence[EnsembleMember], scale: int, *, precision: Precision = "float32"
) -> tuple[PreparedMember, ...]:
    """Make members ready to run. A prepared one is returned as it is, so a caller with many images prepares once.

    Args:
        members: (n, 3, h, w) -> (n, 3, scale·h, scale·w), on any device, in any floating-point precision.
        scale: HR side / LR side.
        precision: of the layers before the last, for our own networks.
    """
    return tuple(
        member
        if isinstance(member, PreparedMember)
        else _network(member, scale, f"member {index} of {len(members)}", precision)
        for index, member in enumerate(members, 1)
    )


@contextmanager
def evaluating(networks: Sequence[PreparedMember]) -> Iterator[None]:
    """Evaluation mode without gradients within the block. After it every submodule is in the mode it was in before."""
    modules = [module for network in networks for module in (network.module, network.original)]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():  # inference_mode would poison tensors that a module keeps, for a later training
            yield
    finally:
        for part, training in modes:
            part.training = training


def _network(member: nn.Module, scale: int, name: str, precision: Precision) -> PreparedMember:
    device, dtype = _placement(member)
    graph = graph_in(member)
    if graph is None or len(graph.outputs) > 1 or dtype != torch.float32:
        memory_format = torch.contiguous_format  # what a module may `view`
        return PreparedMember(name, scale, member, member, 1, graph, device, dtype, memory_format)
    rewritten = faster(graph, get_weights(member))
    half = trunk(rewritten.graph) if precision == "bfloat16" else frozenset()
    module = build_graph(rewritten.graph, rewritten.weights, half=half, in_place=True).to(device)
    module = convert_conv2d_weight_memory_format(module, torch.channels_last)
    memory_format = torch.channels_last
    return PreparedMember(
        name, scale, module, member, rewritten.least_side, rewritten.graph, device, dtype, memory_format
    )


def trunk(graph: Graph) -> frozenset[str]:
    """The nodes before the last ones with weights, but for those at the input that are as thin as the image."""
    nodes = {node.name: node for node in graph.nodes}
    last, found = set[str](), [graph.outputs[-1]]
    while found:
        name = found.pop()
        if name != INPUT and name not in last:
            last.add(name)
            found += () if nodes[name].parts() else nodes[name].inputs
    return frozenset(name for name, node in nodes.items() if name not in last and node.channels > graph.in_channels)


def _placement(member: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and precision of its first floating-point weight or buffer; CPU and float32 if it has none."""
    for tensor in chain(member.parameters(), member.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def check_finite(sr: Tensor, name: str) -> None:
    """Raise NonFiniteError if the image holds a NaN or an infinity."""
    if torch.isfinite(sr.sum()):  # one pass without a copy: either stays in the sum
        return
    count = int((~torch.isfinite(sr)).sum())
    if count:
        raise NonFiniteError(
            f"{name}: its output holds {count} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
