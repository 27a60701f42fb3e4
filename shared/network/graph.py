"""The neutral description of a network: a list of named primitives, and the builder that families write it with.

A `Graph` is data. Each framework interprets it (`search_paddle/network.py`, `train_torch/network.py`), and so does the float64
NumPy executor (`reference.py`); cost is read off it (`cost.py`). Node names are weight names: the convolution `head.0` owns the
arrays `head.0.weight` and `head.0.bias`.

Tensors are (n, c, h, w), float, in the network's own range. The node `input` stands for the input image, in [0, 1].
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.network.primitives import (
    EVERYTHING,
    INPUT,
    Add,
    Axis,
    ChannelScale,
    Concat,
    Conv,
    Crop,
    GlobalMean,
    Initial,
    Layer,
    LayerNorm,
    LeakyRelu,
    Multiply,
    PixelShuffle,
    Primitive,
    Relu,
    Resize,
    ResizeKernel,
    Scale,
    Sigmoid,
    Span,
    Weighted,
)

Shape = tuple[int, int, int]  # channels, height, width


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

    def weighted(self) -> Iterator[Layer]:
        """The nodes with weights, in order."""
        return (node for node in self.nodes if isinstance(node, Weighted))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight array, in order."""
        return {name: shape for node in self.nodes for name, shape in node.weight_shapes().items()}

    def trainable(self) -> list[str]:
        """Names of the weight arrays that a training changes, in order."""
        frozen = {node.owner for node in self.weighted() if not node.trainable}
        return [name for name in self.weight_shapes() if name.rpartition(".")[0] not in frozen]

    def last_use(self) -> dict[str, int]:
        """Value -> place of the node that reads it last; the number of nodes for outputs, its own place if nobody reads it."""
        places = {name: place for place, node in enumerate(self.nodes) for name in (*node.inputs, node.name)}
        return places | dict.fromkeys(self.outputs, len(self.nodes))

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
            shapes[node.name] = (node.channels, *node.output_size(*(shapes[name][1:] for name in node.inputs)))
        return shapes


class GraphBuilder:
    """Collects nodes. Each method adds one primitive and returns its name, so that networks read as their formula.

    `name` is that of the new node; `x`, `a` and `b` are names of earlier nodes; the other arguments are fields of the primitive.

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
        groups: int = 1,
        bias: bool = True,
        trainable: bool = True,
        initial: Initial = "uniform",
        weights: str = "",
    ) -> str:
        """Convolution; `padding` None: kernel // 2."""
        assert self._channels[x] % groups == channels % groups == 0, (
            f"{name}: channels do not divide by {groups} groups"
        )
        return self._append(
            Conv(
                name=name,
                inputs=(x,),
                channels=channels,
                in_channels=self._channels[x],
                kernel=kernel,
                stride=stride,
                padding=kernel // 2 if padding is None else padding,
                groups=groups,
                bias=bias,
                trainable=trainable,
                initial=initial,
                weights=weights,
            )
        )

    def layer_norm(self, name: str, x: str, eps: float) -> str:
        """Normalisation over the channels."""
        return self._append(LayerNorm(name=name, inputs=(x,), channels=self._channels[x], eps=eps))

    def channel_scale(self, name: str, x: str) -> str:
        """A learned factor for each channel."""
        return self._append(ChannelScale(name=name, inputs=(x,), channels=self._channels[x]))

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

    def crop(
        self, name: str, x: str, *, maps: Span = EVERYTHING, rows: Span = EVERYTHING, columns: Span = EVERYTHING
    ) -> str:
        """Some channels, rows and columns."""
        channels = len(range(self._channels[x])[slice(*maps)])
        return self._append(Crop(name=name, inputs=(x,), channels=channels, maps=maps, rows=rows, columns=columns))

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
        """Upscaling by a whole factor."""
        return self._append(Resize(name=name, inputs=(x,), channels=self._channels[x], factor=factor, kernel=kernel))

    def graph(self, *outputs: str) -> Graph:
        """The finished network."""
        return Graph(nodes=tuple(self._nodes), outputs=outputs, in_channels=self._channels[INPUT])

    def _append(self, node: Primitive) -> str:
        assert node.name not in self._channels, f"two nodes are called {node.name}"
        self._channels[node.name] = node.channels
        self._nodes.append(node)
        return node.name
