"""Graph -> paddle.nn.Layer, in the forms that agree with Torch and NumPy to float64 rounding (docs/numerics.md)."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph as graph_of
from shared.network.graph import Graph
from shared.network.initialization import initial_weights
from shared.network.primitives import (
    INPUT,
    Add,
    ChannelScale,
    Concat,
    Conv,
    Crop,
    GlobalMean,
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
)
from shared.records.weights import check_arrays, check_graph_weights
from shared.resize import upscaling_matrix

Outputs = Literal["sr", "all"]
See = Callable[[str, Tensor], Tensor]


class Network(nn.Layer):
    """A Graph as a layer: (n, 3, h, w) in [0, 1] -> image, or a tuple of images where the Graph has several outputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = {node.owner: _layer(node) for node in graph.weighted()}
        for name, layer in self.layers.items():
            _attach(self, name, layer)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The graph's outputs."""
        found: dict[str, Tensor] = {}

        def see(name: str, value: Tensor) -> Tensor:
            if name in self.graph.outputs:
                found[name] = value
            return value

        self.walk(image, see)
        results = tuple(found[name] for name in self.graph.outputs)
        return results if len(results) > 1 else results[0]

    def node_outputs(self, image: Tensor) -> dict[str, Tensor]:
        """The output of every node by its name, `input` first; gradients flow."""
        found: dict[str, Tensor] = {}
        self.walk(image, lambda name, value: found.setdefault(name, value))
        return found

    def walk(self, image: Tensor, see: See) -> None:
        """Run, and show every node's output, `input` first, to `see`; what it returns is what later nodes read.

        An output is let go when its last reader has run.
        """
        last = self.graph.last_use()
        values = {INPUT: see(INPUT, image)}
        for place, node in enumerate(self.graph.nodes):
            values[node.name] = see(node.name, self.node_output(node, [values[name] for name in node.inputs]))
            for name in {name for name in node.inputs if last[name] == place}:
                del values[name]

    def node_output(self, node: Primitive, inputs: list[Tensor]) -> Tensor:
        """The output of one node, given its inputs."""
        x = inputs[0]
        match node:
            case Conv() | LayerNorm() | ChannelScale():
                return self.layers[node.owner](x)
            case Add():
                return x + inputs[1]
            case Multiply():
                return x * inputs[1]
            case Concat(axis=axis):
                return paddle.concat(inputs, axis=axis)
            case Crop(maps=maps, rows=rows, columns=columns):
                return x[:, slice(*maps), slice(*rows), slice(*columns)]
            case Scale(factor=factor):
                return x * factor
            case Relu():
                return functional.relu(x)
            case LeakyRelu(slope=slope):  # leaky_relu has gradient 1 at 0; prelu agrees with Torch everywhere
                return functional.prelu(x, paddle.full([1], slope, dtype=x.dtype))
            case Sigmoid():
                return functional.sigmoid(x)
            case GlobalMean():
                return x.mean(3, keepdim=True).mean(2, keepdim=True)
            case PixelShuffle(factor=factor):
                return functional.pixel_shuffle(x, factor)
            case Resize(factor=factor, kernel=kernel):
                return resize(x, factor, kernel)


def build(
    spec: ArchSpec, seed: int = 0, *, weights: Mapping[str, np.ndarray] | None = None, outputs: Outputs = "sr"
) -> Network:
    """The network of a spec; arguments, result and errors as `train_torch.network.build`, and the same weights bit for bit."""
    graph = graph_of(spec)
    weights = initial_weights(graph, seed) if weights is None else weights
    if outputs == "all":
        return build_graph(graph, weights)
    check_graph_weights(weights, graph)
    graph = graph.inference()
    return build_graph(graph, {name: weights[name] for name in graph.weight_shapes()})


def build_graph(graph: Graph, weights: Mapping[str, np.ndarray]) -> Network:
    """Any Graph as a layer; a Graph with several outputs returns a tuple."""
    network = Network(graph)
    set_weights(network, weights)
    return network


def get_weights(network: nn.Layer) -> dict[str, np.ndarray]:
    """Copies of all weights, name -> array of the network's dtype."""
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def set_weights(network: nn.Layer, weights: Mapping[str, np.ndarray]) -> None:
    """Replace all weights; names, shapes and dtypes are checked before the first is touched (set_state_dict only warns).

    Raises:
        WeightsError: they do not fit.
    """
    state = network.state_dict()
    check_arrays(weights, {name: tuple(tensor.shape) for name, tensor in state.items()}, name="weights")
    for name, tensor in state.items():
        tensor.set_value(np.ascontiguousarray(weights[name], dtype=tensor.numpy().dtype))


def resize(x: Tensor, factor: int, kernel: ResizeKernel) -> Tensor:
    """Resize as two matrix products.

    Args:
        x: (n, c, h, w).
        factor: whole number.
        kernel: of the `Resize` node.
    """
    rows, columns = (paddle.to_tensor(upscaling_matrix(size, factor, kernel), dtype=x.dtype) for size in x.shape[2:])
    return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


class _LayerNorm(nn.Layer):
    """As `shared.network.primitives.LayerNorm`: two means and a division, which both frameworks compute alike in float64."""

    def __init__(self, node: LayerNorm) -> None:
        super().__init__()
        self.eps = node.eps
        self.weight, self.bias = (self.create_parameter([node.channels, 1, 1]) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        y = centred / ((centred * centred).mean(1, keepdim=True) + self.eps).sqrt()
        return y * self.weight + self.bias


class _ChannelScale(nn.Layer):
    def __init__(self, node: ChannelScale) -> None:
        super().__init__()
        self.weight = self.create_parameter([node.channels, 1, 1])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def _layer(node: Layer) -> nn.Layer:
    """The layer that holds a node's arrays; their values come later."""
    match node:
        case LayerNorm():
            layer: nn.Layer = _LayerNorm(node)
        case ChannelScale():
            layer = _ChannelScale(node)
        case Conv():
            layer = _conv(node)
    for parameter in layer.parameters():
        parameter.stop_gradient = not node.trainable
    return layer


def _conv(node: Conv) -> nn.Layer:
    return nn.Conv2D(
        node.in_channels,
        node.channels,
        node.kernel,
        stride=node.stride,
        padding=node.padding,
        groups=node.groups,
        bias_attr=None if node.bias else False,
    )


def _attach(root: nn.Layer, name: str, layer: nn.Layer) -> None:
    """Put a layer under a dotted name, so that state dict keys are the Graph's weight names."""
    *parents, last = name.split(".")
    for part in parents:
        if part not in root._sub_layers:
            root.add_sublayer(part, nn.Layer())
        root = root._sub_layers[part]
    root.add_sublayer(last, layer)
