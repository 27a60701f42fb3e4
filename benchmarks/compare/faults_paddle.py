"""The faults in Paddle: `Subject(kind="paddle", network="…/faults_paddle.py:NAME")`, likewise `training`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import faults
import numpy as np
import paddle
from paddle import Tensor
from paddle.nn import functional

from search_paddle.network import Network, build_graph, set_weights
from shared.network.architecture import ArchSpec
from shared.network.graph import Graph
from shared.network.primitives import Primitive
from weights_convert.compare.case import DType
from weights_convert.compare.dump.train_paddle import PaddleTraining
from weights_convert.compare.recipe import Recipe

Arrays = Mapping[str, np.ndarray]
NodeOutput = Callable[[Network, Primitive, list[Tensor]], Tensor]
MEAN, VARIANCE, EPS = (
    0.1,
    0.02,
    1e-5,
)  # of the normalisation that is folded into a convolution; a small variance shows eps


class Faulty(Network):
    """A network in which one node is computed otherwise, or the image is changed first."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__(graph)
        self.fault = name

    def node_output(self, node: Primitive, inputs: list[Tensor]) -> Tensor:
        if self.fault in EDITS and node.name in faults.FAULTS.get(self.fault, faults.NETWORK["norm_eps_1e-3"]).nodes:
            return EDITS[self.fault](self, node, inputs)
        return super().node_output(node, inputs)

    def walk(self, image: Tensor, see: Callable[[str, Tensor], Tensor]) -> None:
        super().walk(IMAGES.get(self.fault, lambda x: x)(image), see)


def network(name: str, graph: Graph, weights: Arrays) -> Network:
    """The network with a fault."""
    change = faults.FAULTS[name].change if name in faults.FAULTS else None
    if change is not None:
        return build_graph(*change(graph, weights))
    faulty = Faulty(graph, name)
    set_weights(faulty, weights)
    return faulty


def normalised(eps: float, *, is_training: bool = False) -> NodeOutput:
    def compute(self: Network, node: Primitive, inputs: list[Tensor]) -> Tensor:
        conv, channels = self.layers[node.name], node.channels
        mean, variance = (paddle.full([channels], value, dtype=conv.weight.dtype) for value in (MEAN, VARIANCE))
        deviation = (variance + EPS).sqrt()
        y = functional.conv2d(inputs[0], conv.weight * deviation.reshape([-1, 1, 1, 1]), padding=1)
        shift = conv.bias + mean / deviation
        if is_training:
            mean, variance = (
                y.mean(3).mean(2).mean(0),
                ((y - y.mean([0, 2, 3], keepdim=True)) ** 2).mean(3).mean(2).mean(0),
            )
        shape = [1, -1, 1, 1]
        return (y - mean.reshape(shape)) / (variance.reshape(shape) + eps).sqrt() + shift.reshape(shape)

    return compute


def reflected(self: Network, node: Primitive, inputs: list[Tensor]) -> Tensor:
    conv = self.layers[node.name]
    return functional.conv2d(functional.pad(inputs[0], [1, 1, 1, 1], mode="reflect"), conv.weight, conv.bias)


def shuffle(self: Network, node: Primitive, inputs: list[Tensor]) -> Tensor:
    """Pixel shuffle with the channel counted last."""
    n, channels, height, width = inputs[0].shape
    cells = inputs[0].reshape([n, 2, 2, channels // 4, height, width]).transpose([0, 3, 4, 1, 5, 2])
    return cells.reshape([n, channels // 4, 2 * height, 2 * width])


def normalised_over(axes: list[int], *, unbiased: bool = False) -> NodeOutput:
    def compute(self: Network, node: Primitive, inputs: list[Tensor]) -> Tensor:
        x, layer = inputs[0], self.layers[node.name]
        variance = x.var(axes, unbiased=unbiased, keepdim=True)
        y = (x - x.mean(axes, keepdim=True)) / (variance + 1e-6).sqrt()
        return y * layer.weight + layer.bias

    return compute


def depthwise(change: Callable[[Tensor], Tensor]) -> NodeOutput:
    """Of an input in which channels were mixed."""

    def compute(self: Network, node: Primitive, inputs: list[Tensor]) -> Tensor:
        conv = self.layers[node.name]
        return functional.conv2d(change(inputs[0]), conv.weight, conv.bias, padding=1, groups=node.channels)

    return compute


EDITS: dict[str, NodeOutput] = {
    "layer_norm_over_pixels": normalised_over([2, 3]),
    "layer_norm_unbiased_variance": normalised_over([1], unbiased=True),
    "groups_mixed": depthwise(lambda x: x.sum(1, keepdim=True).expand_as(x)),
    "groups_shuffled": depthwise(lambda x: paddle.roll(x, 1, 1)),
    "channel_scale_detached": lambda self, node, x: x[0].detach() * self.layers[node.name].weight,
    "healthy_norm": normalised(1e-5),
    "align_corners": lambda self, node, x: functional.interpolate(
        x[0], scale_factor=4, mode="bicubic", align_corners=True
    ),
    "norm_eps_1e-3": normalised(1e-3),
    "norm_eps_1e-6": normalised(1e-6),
    "norm_train_mode": normalised(1e-5, is_training=True),
    "max_for_mean": lambda self, node, x: x[0].max(axis=[2, 3], keepdim=True),
    "skip_missing": lambda self, node, x: x[0].clone(),
    "hard_sigmoid": lambda self, node, x: functional.hardsigmoid(x[0]),
    "reflect_padding": reflected,
    "shuffle_order": shuffle,
    "skip_detached": lambda self, node, x: x[0] + x[1].detach(),
}
IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "rgb_bgr": lambda image: paddle.flip(image, [1]),
    "range_255": lambda image: image * 255.0,
}


class FaultyTraining(PaddleTraining):
    """The training with a fault."""

    def __init__(self, name: str, spec: ArchSpec, weights: Arrays, recipe: Recipe, dtype: DType) -> None:
        self.fault = name
        if name == "dual_loss_weights":
            recipe = recipe.model_copy(update={"dual_weighting": "paddlegan"})
        if name == "dual_models_swapped":
            names = {"dual.0.": "dual.1.", "dual.1.": "dual.0."}
            weights = {names.get(key[:7], key[:7]) + key[7:]: value for key, value in weights.items()}
        super().__init__(spec, weights, recipe, dtype)

    def make_optimizer(self) -> paddle.optimizer.Optimizer:
        names = [name for name in self.trainable if self.fault != "weight_left_out" or name != "tail.1.weight"]
        settings: dict[str, Any] = {"learning_rate": 0.0, "parameters": [self.trainable[name] for name in names]}
        if self.fault == "decay_of_adamw":
            return paddle.optimizer.AdamW(**settings)
        settings["epsilon"] = 1e-7 if self.fault == "adam_eps_1e-7" else 1e-8
        settings["beta2"] = 0.99 if self.fault == "beta2_0.99" else 0.999
        return paddle.optimizer.Adam(**settings)

    def rate(self, step: int) -> float:
        return super().rate(step + (self.fault == "schedule_one_step_early"))

    def decay(self, step: int) -> float:
        return super().decay(step + (self.fault == "ema_one_step_late"))

    def clear(self) -> None:
        if self.fault != "gradients_not_cleared":
            super().clear()


def __getattr__(name: str) -> Callable[..., Any]:
    """A fault by its name."""
    return partial(FaultyTraining if name in faults.TRAINING | faults.FAMILY_TRAINING else network, name)
