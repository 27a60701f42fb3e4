"""Graph -> torch.fx.GraphModule: straight-line code, one line a node, that compiles, exports and prints as readable code."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

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
    LayerNorm,
    LeakyRelu,
    Multiply,
    PixelShuffle,
    Primitive,
    Relu,
    Resize,
    Scale,
    Sigmoid,
)
from shared.records.weights import check_arrays, check_graph_weights
from train_torch.layers import crop, global_mean, make_layer, resize

Outputs = Literal["sr", "all"]
See = Callable[[str, Tensor], Tensor]
GRAPH = "gpnas_sr.graph"  # key of a module's meta, where its Graph and the code made of it stand


def build(
    spec: ArchSpec, seed: int = 0, *, weights: Mapping[str, np.ndarray] | None = None, outputs: Outputs = "sr"
) -> fx.GraphModule:
    """The network of a spec.

    Args:
        spec: the architecture.
        seed: of the initial weights, used when `weights` is None.
        weights: name -> array, exactly the network's (those of dual models left out).
        outputs: "sr": the image alone; "all": a tuple of images, LR size first, SR last.

    Returns:
        module: float (n, 3, h, w) in [0, 1] -> (n, 3, scale·h, scale·w), not clipped. Mean shifts are frozen.

    Raises:
        WeightsError: the weights do not fit.

    Example:
        >>> from shared.spec import parse
        >>> build(parse("rcan", scale=2))(torch.zeros(1, 3, 8, 8)).shape  # doctest: +SKIP
        torch.Size([1, 3, 16, 16])
    """
    graph = graph_of(spec)
    weights = initial_weights(graph, seed) if weights is None else weights
    if outputs == "all":
        return build_graph(graph, weights)
    check_graph_weights(weights, graph)
    graph = graph.inference()
    return build_graph(graph, {name: weights[name] for name in graph.weight_shapes()})


def build_graph(
    graph: Graph, weights: Mapping[str, np.ndarray], *, half: Collection[str] = (), in_place: bool = False
) -> fx.GraphModule:
    """Any Graph as a module; a Graph with several outputs returns a tuple.

    Args:
        graph: the network.
        weights: name -> array.
        half: nodes that compute in bfloat16, the others in float32; for inference.
        in_place: element-wise nodes write over an input that nobody reads after them: less memory traffic; for inference.
    """
    code = fx.Graph()
    values = {"input": code.placeholder("input")}
    layers: dict[str, nn.Module] = {}
    spent = spent_inputs(graph) if in_place else {}
    for node in graph.nodes:
        inputs = [_cast(code, values[name], name in half, node.name in half) for name in node.inputs]
        values[node.name] = _emit(code, layers, node, inputs, spent=spent.get(node.name))
    results = tuple(values[name] for name in graph.outputs)
    code.output(results if len(results) > 1 else results[0])
    module = fx.GraphModule(layers, code, class_name="Network")
    module.meta[GRAPH] = graph, module.code
    set_weights(module, weights)
    for owner in {node.owner for node in graph.weighted() if node.name in half}:
        layers[owner].to(torch.bfloat16)
    return module


def graph_in(module: nn.Module) -> Graph | None:
    """The Graph of a module by `build_graph`; None for any other, and for one whose code or weights were given other names."""
    graph, code = module.meta.get(GRAPH, (None, "")) if isinstance(module, fx.GraphModule) else (None, "")
    same = graph is not None and code == module.code and module.state_dict().keys() == graph.weight_shapes().keys()
    return graph if same else None


def get_weights(module: nn.Module) -> dict[str, np.ndarray]:
    """Copies of all weights, name -> array of the module's dtype."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def set_weights(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Replace all weights; names, shapes and dtypes are checked before the first is touched.

    Raises:
        WeightsError: they do not fit.
    """
    state = module.state_dict()
    check_arrays(weights, {name: tuple(tensor.shape) for name, tensor in state.items()}, name="weights")
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))


def node_outputs(module: fx.GraphModule, graph: Graph, image: Tensor) -> dict[str, Tensor]:
    """The output of every node by its name, `input` first; gradients flow. For comparisons.

    Args:
        module: by `build_graph`.
        graph: the Graph that it was built from.
        image: (n, 3, h, w) in [0, 1].
    """
    found: dict[str, Tensor] = {}
    walk(module, graph, image, lambda name, value: found.setdefault(name, value))
    return found


def walk(module: fx.GraphModule, graph: Graph, image: Tensor, see: See) -> None:
    """Run, and show every node's output, `input` first, to `see`; what it returns is what later nodes read.

    An output is let go when its last reader has run. Nodes that the Graph does not have (somebody added them to the module)
    run unseen.

    Args:
        module: by `build_graph`.
        graph: the Graph that it was built from.
        image: (n, 3, h, w) in [0, 1].
        see: (name of a node, its output) -> the output that later nodes read.
    """
    _Walk(module, graph, see).run(image)


class _Walk(fx.Interpreter):
    """Runs a module and shows what the nodes of the Graph give, in order."""

    def __init__(self, module: fx.GraphModule, graph: Graph, see: See) -> None:
        super().__init__(module)
        self._names = {_code_name(node.name): node.name for node in graph.nodes}
        self._see = see

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        name = INPUT if n.op == "placeholder" else self._names.get(n.name)
        return value if name is None else self._see(name, value)


def _code_name(name: str) -> str:
    """Name of a node's variable in the module's code."""
    return name.replace(".", "_")


def spent_inputs(graph: Graph) -> dict[str, int]:
    """Node -> which of its inputs may be written over: an array of its own, not a view nor seen through one, read last here."""
    last = graph.last_use()
    views = {name for node in graph.nodes if isinstance(node, Crop) for name in (node.name, *node.inputs)}
    spent: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        candidates = node.inputs if isinstance(node, Add) else node.inputs[:1]
        free = [i for i, x in enumerate(candidates) if last[x] == place and x not in views and x != INPUT]
        if isinstance(node, Add | Multiply | Relu) and free and len(set(node.inputs)) == len(node.inputs):
            spent[node.name] = free[0]
    return spent


def _emit(
    code: fx.Graph, layers: dict[str, nn.Module], node: Primitive, inputs: list[fx.Node], *, spent: int | None = None
) -> fx.Node:
    """One line of code for one node; the input number `spent` may be written over."""

    def call(function: Callable[..., Any], *args: Any) -> fx.Node:
        return code.create_node("call_function", function, args, name=_code_name(node.name))

    match node:
        case Add() | Multiply() | Relu() if spent is not None:
            method = {Add: "add_", Multiply: "mul_", Relu: "relu_"}[type(node)]
            others = [x for i, x in enumerate(inputs) if i != spent]
            return code.create_node("call_method", method, (inputs[spent], *others), name=_code_name(node.name))
        case Conv() | LayerNorm() | ChannelScale():
            layers.setdefault(node.owner, make_layer(node))
            return code.create_node("call_module", node.owner, tuple(inputs), name=_code_name(node.name))
        case Add():
            return call(torch.add, *inputs)
        case Multiply():
            return call(torch.mul, *inputs)
        case Concat(axis=axis):
            return call(torch.cat, inputs, axis)
        case Crop(maps=maps, rows=rows, columns=columns):
            return call(crop, *inputs, maps, rows, columns)
        case Scale(factor=factor):
            return call(torch.mul, *inputs, factor)
        case Relu():
            return call(torch.relu, *inputs)
        case LeakyRelu(slope=slope):
            return call(functional.leaky_relu, *inputs, slope)
        case Sigmoid():
            return call(torch.sigmoid, *inputs)
        case GlobalMean():
            return call(global_mean, *inputs)
        case PixelShuffle(factor=factor):
            return call(functional.pixel_shuffle, *inputs, factor)
        case Resize(factor=factor, kernel=kernel):
            return call(resize, *inputs, factor, kernel)


def _cast(code: fx.Graph, value: fx.Node, is_half: bool, as_half: bool) -> fx.Node:
    if is_half == as_half:
        return value
    return code.call_method("to", (value, torch.bfloat16 if as_half else torch.float32))
