"""Networks in the form that exporters need: any height and width, and a module for every node of the Graph.

Our resize is two products with matrices of one size, which an exporter would bake in. Upscaling by a whole number is a
convolution too: output pixel s·j + p is a sum over the input pixels j - 2 … j + 2, with weights that depend on the phase p alone:

    resize(x) = pixel_shuffle(conv(pad(x)), s),    weight of phase (p, q) = w_p ⊗ w_q,

the weights read off the resize matrix itself, borders by an index that is computed from the size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from shared.network.graph import Graph
from shared.network.primitives import Primitive, Resize, ResizeKernel
from shared.resize import upscaling_matrix

RADIUS = 2  # input pixels that a cubic reads on either side
MIDDLE = 4  # an input pixel of a row of nine that no border reaches


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A network of an ensemble.

    Attributes:
        prefix: put before the names of its nodes.
        graph: its Graph, with one output.
        module: the Graph as a module.
        weight: in the mean, > 0.
    """

    prefix: str
    graph: Graph
    module: fx.GraphModule
    weight: float


class ResizeAnySize(nn.Module):
    """The same numbers as `train_torch.layers.resize`, to rounding, without a matrix of the image's size.

    (n, channels, h, w) -> (n, channels, factor·h, factor·w), any h, w >= 1.
    """

    weight: Tensor

    def __init__(self, factor: int, kernel: ResizeKernel, channels: int) -> None:
        super().__init__()
        self.factor, self.kernel, self.channels = factor, kernel, channels
        weight = torch.tensor(phase_kernels(factor, kernel), dtype=torch.float32)
        self.register_buffer("weight", weight.repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The upscaled x."""
        rows, columns = (_rows(size, self.kernel, x) for size in x.shape[2:])
        padded = x.index_select(2, rows).index_select(3, columns)
        return functional.pixel_shuffle(functional.conv2d(padded, self.weight, groups=self.channels), self.factor)


def phase_kernels(factor: int, kernel: ResizeKernel) -> np.ndarray:
    """Weights of every phase: float64 (factor², 1, 5, 5)."""
    first = MIDDLE * factor
    rows = upscaling_matrix(2 * MIDDLE + 1, factor, kernel)[
        first : first + factor, MIDDLE - RADIUS : MIDDLE + RADIUS + 1
    ]
    return np.einsum("ia,jb->ijab", rows, rows).reshape(factor * factor, 1, 2 * RADIUS + 1, 2 * RADIUS + 1)


def _rows(size: int, kernel: ResizeKernel, like: Tensor) -> Tensor:
    """Input rows that stand for rows -2 … size + 1: mirrored with the edge repeated ("cubic"), or the edge held."""
    position = torch.arange(-RADIUS, size + RADIUS, device=like.device)
    if kernel == "cubic":
        position = torch.minimum(torch.maximum(position, -1 - position), 2 * size - 1 - position)
    return position.clamp(min=0).clamp(max=size - 1)


class _Call(nn.Module):
    """A function of tensors and constants as a module."""

    def __init__(self, function: Callable[..., Tensor], *constants: Any, listed: bool = False) -> None:
        super().__init__()
        self.function, self.constants, self.listed = function, constants, listed

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(inputs, *self.constants) if self.listed else self.function(*inputs, *self.constants)


class AnySize(nn.Module):
    """The mean of networks, Σ weight · network(x), each node a module of its own whose number its exported name carries.

    `names` are the names to give: `names[i]` is that of the module `n{i}`.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.names: list[str] = []
        self.owners: dict[str, str] = {}  # module -> the name under which its arrays stand in the Graph
        self._program: list[
            tuple[int, tuple[int, ...]]
        ] = []  # module, and the values that it reads; value 0 is the input
        results = [self._add_part(part) for part in parts]
        if len(parts) > 1:
            self._add_mean([part.weight for part in parts], results)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in [0, 1] -> (n, 3, scale·h, scale·w), not clipped."""
        values = [x]
        for module, inputs in self._program:
            values.append(getattr(self, f"n{module}")(*(values[index] for index in inputs)))
        return values[-1]

    def _add(self, name: str, module: nn.Module, inputs: tuple[int, ...]) -> int:
        """Append a node; the number of its value."""
        self.add_module(f"n{len(self.names)}", module)
        self._program.append((len(self.names), inputs))
        self.names.append(name)
        return len(self.names)

    def _add_mean(self, weights: Sequence[float], results: Sequence[int]) -> None:
        scaled = [
            self._add(f"mean.{index}", _Call(torch.mul, weight), (result,))
            for index, (weight, result) in enumerate(zip(weights, results, strict=True))
        ]
        total = scaled[0]
        for index, value in enumerate(scaled[1:], start=1):
            total = self._add(f"mean.sum.{index}", _Call(torch.add), (total, value))

    def _add_part(self, part: Part) -> int:
        """Append a network; the number of its output."""
        nodes = [node for node in part.module.graph.nodes if node.op not in ("placeholder", "output")]
        numbers = {node: 0 for node in part.module.graph.nodes if node.op == "placeholder"}
        for source, node in zip(part.graph.nodes, nodes, strict=True):
            inputs = tuple(numbers[value] for value in node.all_input_nodes)
            numbers[node] = self._add(part.prefix + source.name, _module(part.module, node, source), inputs)
            owner = str(node.target) if node.op == "call_module" else source.name
            self.owners[f"n{numbers[node] - 1}"] = part.prefix + owner
        return numbers[nodes[-1]]


def _module(network: fx.GraphModule, node: fx.Node, source: Primitive) -> nn.Module:
    """A node as a module of the tensors that it reads."""
    if node.op == "call_module":
        return network.get_submodule(str(node.target))
    if isinstance(source, Resize):
        return ResizeAnySize(source.factor, source.kernel, source.channels)
    assert callable(node.target)
    listed = isinstance(node.args[0], list | tuple)
    constants = node.args[1:] if listed else node.args[len(node.all_input_nodes) :]
    return _Call(node.target, *constants, listed=listed)
