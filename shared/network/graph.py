"""The neutral description of a network: a list of named primitives.

A `Graph` is data. Each framework interprets it (`search_paddle/network.py`, `train_torch/network.py`), and so does the float64
NumPy executor (`reference.py`); cost is read off it (`cost.py`). Node names are weight names: the convolution `head.0` owns the
arrays `head.0.weight` and `head.0.bias`.

Tensors are (n, c, h, w), float, in the network's own range. The node `input` stands for the input image, in [0, 1].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

INPUT = "input"

ResizeKernel = Literal["cubic", "cubic_torch"]
Axis = Literal[1, 2, 3]  # channels, height, width
Span = tuple[int, int | None]  # start and stop of a Python slice
EVERYTHING: Span = (0, None)
Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True, slots=True)
class Affine:
    """Fixed first weights of a 1x1 convolution with as many inputs as outputs: y_c = x_c + offset_c."""

    offset: tuple[float, ...]


Initial = Literal["uniform", "zero"] | Affine


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What every primitive has.

    Attributes:
        name: unique in its graph; dots nest, as in state dicts.
        inputs: names of earlier nodes, or `input`.
        channels: channels of the output.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Conv(Node):
    """Square convolution (cross-correlation), zero padding, no groups.

    Weight (channels, in_channels, kernel, kernel), bias (channels). `initial` says where the first weights come from:
    "uniform" is PyTorch's default (weight and bias uniform in ±1/√fan_in), "zero" starts the layer silent, an `Affine`
    is fixed.
    `weights` names the node whose arrays are used where several nodes share them; empty: its own.
    """

    in_channels: int
    kernel: int
    stride: int = 1
    padding: int
    bias: bool = True
    trainable: bool = True
    initial: Initial = "uniform"
    weights: str = ""

    @property
    def owner(self) -> str:
        """Name under which the arrays stand: `<owner>.weight`, `<owner>.bias`."""
        return self.weights or self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Add(Node):
    """Sum of two tensors of one shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Multiply(Node):
    """Product of two tensors; the second may be (n, c, 1, 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concat(Node):
    """Concatenation along channels; along height or width in rewritten networks (shared/network/rewrites.py)."""

    axis: Axis = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop(Node):
    """Rows and columns start:stop, as Python slices; negative ones count from the far border."""

    rows: Span = EVERYTHING
    columns: Span = EVERYTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale(Node):
    """Multiplication by a constant."""

    factor: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu(Node):
    """max(x, 0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeakyRelu(Node):
    """x where x > 0, slope·x elsewhere."""

    slope: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(Node):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalMean(Node):
    """Mean over the width, then over the height: (n, c, 1, 1). The order of the two means keeps float32 exact enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelShuffle(Node):
    """Channel c·r²+i·r+j becomes pixel (i, j) of an r×r cell of channel c."""

    factor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Resize(Node):
    """Enlargement by an integer factor, as two products with the matrices of `shared.resize.resize_matrix`.

    `cubic` is a = -0.5 with mirrored edges (MATLAB's), `cubic_torch` a = -0.75 with repeated edges (torch's and Paddle's).
    """

    factor: int
    kernel: ResizeKernel


Primitive = (
    Conv | Add | Multiply | Concat | Crop | Scale | Relu | LeakyRelu | Sigmoid | GlobalMean | PixelShuffle | Resize
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A network.

    Attributes:
        nodes: in an order in which every node follows its inputs.
        outputs: names of the output nodes; the last is the super-resolved image, earlier ones exist for training only.
        in_channels: channels of the input image.
    """

    nodes: tuple[Primitive, ...]
    outputs: tuple[str, ...]
    in_channels: int = 3

    def convs(self) -> Iterator[Conv]:
        """The convolutions, in order: the only nodes with weights."""
        return (node for node in self.nodes if isinstance(node, Conv))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight array, in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for conv in self.convs():
            shapes[f"{conv.owner}.weight"] = (conv.channels, conv.in_channels, conv.kernel, conv.kernel)
            if conv.bias:
                shapes[f"{conv.owner}.bias"] = (conv.channels,)
        return shapes

    def inference(self) -> "Graph":
        """The same network with the super-resolved image as its only output: nodes that do not reach it are left out."""
        needed = {self.outputs[-1]}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in needed)
        return Graph(nodes=nodes, outputs=self.outputs[-1:], in_channels=self.in_channels)

    def shapes(self, height: int, width: int) -> dict[str, Shape]:
        """(channels, height, width) of every node's output, `input` included, for an input of height x width px."""
        shapes: dict[str, Shape] = {INPUT: (self.in_channels, height, width)}
        for node in self.nodes:
            sizes = [shapes[name][1:] for name in node.inputs]
            shapes[node.name] = (node.channels, *_output_size(node, sizes))
        return shapes


def _output_size(node: Primitive, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    height, width = sizes[0]
    match node:
        case Conv(kernel=kernel, stride=stride, padding=padding):
            return (height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1
        case PixelShuffle(factor=factor) | Resize(factor=factor):
            return height * factor, width * factor
        case GlobalMean():
            return 1, 1
        case Crop(rows=rows, columns=columns):
            return len(range(height)[slice(*rows)]), len(range(width)[slice(*columns)])
        case Concat(axis=2):
            return sum(size[0] for size in sizes), width
        case Concat(axis=3):
            return height, sum(size[1] for size in sizes)
        case _:
            return height, width


class GraphBuilder:
    """Collects nodes. Each method adds one primitive and returns its name, so that networks read as their formula.

    Example:
        >>> g = GraphBuilder()
        >>> x = g.conv("head", INPUT, 8)
        >>> x = g.relu("head.relu", x)
        >>> [node.name for node in g.graph(x).nodes]
        ['head', 'head.relu']
    """

    def __init__(self, in_channels: int = 3) -> None:
        self._channels = {INPUT: in_channels}
        self._nodes: list[Primitive] = []

    def conv(
        self,
        name: str,
        x: str,
        channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        trainable: bool = True,
        initial: Initial = "uniform",
        weights: str = "",
    ) -> str:
        """Convolution; padding defaults to kernel // 2."""
        return self._append(
            Conv(
                name=name,
                inputs=(x,),
                channels=channels,
                in_channels=self._channels[x],
                kernel=kernel,
                stride=stride,
                padding=kernel // 2 if padding is None else padding,
                bias=bias,
                trainable=trainable,
                initial=initial,
                weights=weights,
            )
        )

    def add(self, name: str, a: str, b: str) -> str:
        """Sum."""
        assert self._channels[a] == self._channels[b], f"{name}: {a} and {b} differ in channels"
        return self._append(Add(name=name, inputs=(a, b), channels=self._channels[a]))

    def multiply(self, name: str, a: str, b: str) -> str:
        """Product."""
        assert self._channels[a] == self._channels[b], f"{name}: {a} and {b} differ in channels"
        return self._append(Multiply(name=name, inputs=(a, b), channels=self._channels[a]))

    def concat(self, name: str, *inputs: str, axis: Axis = 1) -> str:
        """Concatenation along channels, height or width."""
        channels = [self._channels[x] for x in inputs]
        assert axis == 1 or len(set(channels)) == 1, f"{name}: {inputs} differ in channels"
        total = sum(channels) if axis == 1 else channels[0]
        return self._append(Concat(name=name, inputs=inputs, channels=total, axis=axis))

    def crop(self, name: str, x: str, *, rows: Span = EVERYTHING, columns: Span = EVERYTHING) -> str:
        """Some rows and columns."""
        return self._append(Crop(name=name, inputs=(x,), channels=self._channels[x], rows=rows, columns=columns))

    def copy(self, node: Primitive) -> str:
        """A node of another graph, whose inputs are there."""
        assert all(name in self._channels for name in node.inputs), f"{node.name}: an input is missing"
        return self._append(node)

    def scale(self, name: str, x: str, factor: float) -> str:
        """Multiplication by a constant."""
        return self._append(Scale(name=name, inputs=(x,), channels=self._channels[x], factor=factor))

    def relu(self, name: str, x: str) -> str:
        """Rectifier."""
        return self._append(Relu(name=name, inputs=(x,), channels=self._channels[x]))

    def leaky_relu(self, name: str, x: str, slope: float) -> str:
        """Leaky rectifier."""
        return self._append(LeakyRelu(name=name, inputs=(x,), channels=self._channels[x], slope=slope))

    def sigmoid(self, name: str, x: str) -> str:
        """Logistic function."""
        return self._append(Sigmoid(name=name, inputs=(x,), channels=self._channels[x]))

    def global_mean(self, name: str, x: str) -> str:
        """Mean over all pixels."""
        return self._append(GlobalMean(name=name, inputs=(x,), channels=self._channels[x]))

    def pixel_shuffle(self, name: str, x: str, factor: int) -> str:
        """Channels to pixels."""
        channels, rest = divmod(self._channels[x], factor * factor)
        assert rest == 0, f"{name}: {self._channels[x]} channels do not divide by {factor}²"
        return self._append(PixelShuffle(name=name, inputs=(x,), channels=channels, factor=factor))

    def resize(self, name: str, x: str, factor: int, kernel: ResizeKernel) -> str:
        """Enlargement."""
        return self._append(Resize(name=name, inputs=(x,), channels=self._channels[x], factor=factor, kernel=kernel))

    def graph(self, *outputs: str) -> Graph:
        """The finished network."""
        return Graph(nodes=tuple(self._nodes), outputs=outputs, in_channels=self._channels[INPUT])

    def _append(self, node: Primitive) -> str:
        assert node.name not in self._channels, f"two nodes are called {node.name}"
        self._channels[node.name] = node.channels
        self._nodes.append(node)
        return node.name
