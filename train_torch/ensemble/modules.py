"""Torch modules as pure functions of image batches: nothing passed in is changed.

Our own networks (they carry their Graph) run as a private copy, rewritten for speed; foreign modules run as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from shared.errors import NonFiniteError, OutOfMemoryError, UsageError
from shared.network.graph import INPUT, Conv, Graph
from shared.network.rewrites import faster
from train_torch.ensemble.plan import Precision
from train_torch.network import build_graph, get_weights, graph_in


@dataclass(frozen=True, slots=True)
class Network:
    """A member, ready to run.

    Attributes:
        name: for messages.
        scale: HR side / LR side, which outputs are checked against.
        module: what runs.
        original: what runs for images with a side shorter than `least_side` px.
        least_side: px.
        graph: what `module` computes, where that is known.
        device: where the weights are.
        dtype: of the images it takes.
        layout: of the images it takes.
    """

    name: str
    scale: int
    module: nn.Module
    original: nn.Module
    least_side: int
    graph: Graph | None
    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format

    def __call__(self, x: Tensor) -> Tensor:
        """Run a batch; the module gets a copy, as some write into their input.

        Args:
            x: (n, 3, h, w), anywhere, of any floating-point type.

        Returns:
            (n, 3, scale·h, scale·w) on the network's device.

        Raises:
            UsageError: the output is no tensor, or has another shape.
            OutOfMemoryError: the device has no room.
        """
        copy = x.to(self.device, self.dtype, copy=True, memory_format=self.layout)
        output = _call(self.original if min(x.shape[2:]) < self.least_side else self.module, copy, self.name)
        expected = (x.shape[0], 3, x.shape[2] * self.scale, x.shape[3] * self.scale)
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or got != expected:
            raise UsageError(f"{self.name}: made {got} of {tuple(x.shape)}, expected {expected} at scale {self.scale}")
        return output


def prepare(
    members: Sequence[nn.Module | Network], scale: int, *, precision: Precision = "float32"
) -> tuple[Network, ...]:
    """Members as networks; a Network stays what it is, so that a caller with many images prepares once.

    Args:
        members: (n, 3, h, w) -> (n, 3, scale·h, scale·w), on any device, in any floating-point precision.
        scale: HR side / LR side.
        precision: of our own networks' layers before the last.
    """
    return tuple(
        member
        if isinstance(member, Network)
        else _network(member, scale, f"member {index} of {len(members)}", precision)
        for index, member in enumerate(members, 1)
    )


@contextmanager
def evaluating(networks: Sequence[Network]) -> Iterator[None]:
    """Evaluation mode without gradients within the block; behind it every submodule is in the mode it was in."""
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


def _network(member: nn.Module, scale: int, name: str, precision: Precision) -> Network:
    device, dtype = _placement(member)
    graph = graph_in(member)
    if graph is None or len(graph.outputs) > 1 or dtype != torch.float32:
        layout = torch.contiguous_format  # what a module may `view`
        return Network(name, scale, member, member, 1, graph, device, dtype, layout)
    rewritten = faster(graph, get_weights(member))
    half = trunk(rewritten.graph) if precision == "bfloat16" else frozenset()
    module = build_graph(rewritten.graph, rewritten.weights, half=half, in_place=True).to(device)
    module = convert_conv2d_weight_memory_format(module, torch.channels_last)
    layout = torch.channels_last
    return Network(name, scale, module, member, rewritten.least_side, rewritten.graph, device, dtype, layout)


def trunk(graph: Graph) -> frozenset[str]:
    """The nodes before the last convolutions, but for those at the input that are as thin as the image."""
    nodes = {node.name: node for node in graph.nodes}
    last, found = set[str](), [graph.outputs[-1]]
    while found:
        name = found.pop()
        if name != INPUT and name not in last:
            last.add(name)
            found += () if isinstance(nodes[name], Conv) else nodes[name].inputs
    return frozenset(name for name, node in nodes.items() if name not in last and node.channels > graph.in_channels)


def _placement(member: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and precision of its first floating-point weight or buffer; CPU and float32 if it has none."""
    for tensor in chain(member.parameters(), member.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _call(member: nn.Module, x: Tensor, name: str) -> object:
    try:
        return member(x)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"{name}: no memory for {x.shape[0]} x {x.shape[3]}x{x.shape[2]} px: {error}; "
            "upscale by patches, by smaller ones, or cut it into parts"
        ) from None


def check_finite(sr: Tensor, name: str) -> None:
    """Refuse an image with a NaN or an infinity in it: NonFiniteError."""
    if torch.isfinite(sr.sum()):  # one pass without a copy: either stays in the sum
        return
    count = int((~torch.isfinite(sr)).sum())
    if count:
        raise NonFiniteError(
            f"{name}: its output holds {count} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
