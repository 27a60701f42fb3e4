"""The faults in Torch: `Subject(kind="torch", network="…/faults_torch.py:NAME")`, likewise `training`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import faults
import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from shared.network.architecture import ArchSpec
from shared.network.graph import Graph
from shared.schedule import ema_decay, learning_rate
from train_torch.network import build_graph
from train_torch.training.step import Training
from weights_convert.compare.case import DType
from weights_convert.compare.dump.torch_worker import make_training
from weights_convert.compare.recipe import Recipe

Arrays = Mapping[str, np.ndarray]
MEAN, VARIANCE, EPS = (
    0.1,
    0.02,
    1e-5,
)  # of the normalisation that is folded into a convolution; a small variance shows eps


class FoldedNorm(nn.Module):
    """A convolution whose weights hold a batch norm, computed as convolution and norm; equal to it where eps is 1e-5."""

    def __init__(self, conv: nn.Conv2d, eps: float, *, is_training: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.is_training = conv.weight, conv.bias, eps, is_training
        channels = conv.out_channels
        for name, value in (("mean", MEAN), ("variance", VARIANCE)):
            self.register_buffer(name, torch.full((channels,), value, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        deviation = (self.variance + EPS).sqrt()
        y = functional.conv2d(x, self.weight * deviation[:, None, None, None], padding=1)
        mean, variance = self.mean.clone(), self.variance.clone()
        shift = self.bias + self.mean / deviation
        return functional.batch_norm(y, mean, variance, torch.ones_like(mean), shift, self.is_training, 0.1, self.eps)


def network(name: str, graph: Graph, weights: Arrays) -> fx.GraphModule:
    """The network with a fault."""
    change = faults.FAULTS[name].change if name in faults.FAULTS else None
    if change is not None:
        return build_graph(*change(graph, weights))
    module = build_graph(graph, weights)
    EDITS[name](module)
    module.graph.lint()
    module.recompile()
    return module


def find(module: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in module.graph.nodes if node.name == name.replace(".", "_"))


def retarget(name: str, function: Callable[..., Any]) -> Callable[[fx.GraphModule], None]:
    def edit(module: fx.GraphModule) -> None:
        node = find(module, name)
        node.target, node.args = function, node.args[:1]

    return edit


def after_input(function: Callable[..., Any], *args: Any) -> Callable[[fx.GraphModule], None]:
    def edit(module: fx.GraphModule) -> None:
        image = next(node for node in module.graph.nodes if node.op == "placeholder")
        with module.graph.inserting_after(image):
            changed = module.graph.call_function(function, (image, *args))
        image.replace_all_uses_with(changed, delete_user_cb=lambda user: user is not changed)

    return edit


def without_skip(module: fx.GraphModule) -> None:
    node = find(module, "body.0.add")
    node.target, node.args = torch.clone, node.args[:1]


def with_detached_skip(module: fx.GraphModule) -> None:
    node = find(module, "body.0.add")
    with module.graph.inserting_before(node):
        detached = module.graph.call_method("detach", (node.args[1],))
    node.args = (node.args[0], detached)


def normalised(eps: float, *, is_training: bool = False) -> Callable[[fx.GraphModule], None]:
    def edit(module: fx.GraphModule) -> None:
        parent, _, last = faults.CONV.rpartition(".")
        setattr(
            module.get_submodule(parent),
            last,
            FoldedNorm(module.get_submodule(faults.CONV), eps, is_training=is_training),
        )

    return edit


def with_reflection(module: fx.GraphModule) -> None:
    module.get_submodule(faults.CONV).padding_mode = "reflect"


def shuffle(x: Tensor) -> Tensor:
    """Pixel shuffle with the channel counted last."""
    n, channels, height, width = x.shape
    cells = x.reshape(n, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2)
    return cells.reshape(n, channels // 4, 2 * height, 2 * width)


class Instead(nn.Module):
    """Another function of a layer and its input, under the names of its arrays."""

    def __init__(self, layer: nn.Module, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def instead(name: str, function: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[fx.GraphModule], None]:
    def edit(module: fx.GraphModule) -> None:
        parent, _, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, Instead(module.get_submodule(name), function))

    return edit


def normalised_over(axes: tuple[int, ...], correction: int = 0) -> Callable[[nn.Module, Tensor], Tensor]:
    def compute(layer: nn.Module, x: Tensor) -> Tensor:
        variance = x.var(axes, correction=correction, keepdim=True)
        y = (x - x.mean(axes, keepdim=True)) / (variance + 1e-6).sqrt()
        return y * layer.weight + layer.bias

    return compute


def depthwise(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Of an input in which channels were mixed."""
    return lambda conv, x: functional.conv2d(change(x), conv.weight, conv.bias, padding=1, groups=x.shape[1])


EDITS: dict[str, Callable[[fx.GraphModule], None]] = {
    "layer_norm_over_pixels": instead(f"{faults.NAF}.norm1", normalised_over((2, 3))),
    "layer_norm_unbiased_variance": instead(f"{faults.NAF}.norm2", normalised_over((1,), correction=1)),
    "groups_mixed": instead(f"{faults.NAF}.conv2", depthwise(lambda x: x.sum(1, keepdim=True).expand_as(x))),
    "groups_shuffled": instead(f"{faults.NAF}.conv2", depthwise(lambda x: x.roll(1, 1))),
    "channel_scale_detached": instead(f"{faults.NAF}.beta", lambda layer, x: x.detach() * layer.weight),
    "healthy_norm": normalised(1e-5),
    "rgb_bgr": after_input(torch.flip, [1]),
    "range_255": after_input(torch.mul, 255.0),
    "align_corners": retarget(
        "upsample", lambda x: functional.interpolate(x, scale_factor=4, mode="bicubic", align_corners=True)
    ),
    "norm_eps_1e-3": normalised(1e-3),
    "norm_eps_1e-6": normalised(1e-6),
    "norm_train_mode": normalised(1e-5, is_training=True),
    "max_for_mean": retarget(f"{faults.BLOCK}.body.3.avg_pool", lambda x: x.amax((2, 3), keepdim=True)),
    "skip_missing": without_skip,
    "hard_sigmoid": retarget(f"{faults.BLOCK}.body.3.conv_du.3", functional.hardsigmoid),
    "reflect_padding": with_reflection,
    "shuffle_order": retarget("tail.0.1", shuffle),
    "skip_detached": with_detached_skip,
}


def training(name: str, spec: ArchSpec, weights: Arrays, recipe: Recipe, dtype: DType) -> Training:
    """The training with a fault."""
    if name == "dual_loss_weights":
        recipe = recipe.model_copy(update={"dual_weighting": "paddlegan"})
    if name == "dual_models_swapped":
        weights = swapped(weights)
    started = make_training(spec, weights, recipe, dtype)
    if name in TRAINING_EDITS:
        TRAINING_EDITS[name](started)
    return started


def swapped(weights: Arrays) -> Arrays:
    names = {"dual.0.": "dual.1.", "dual.1.": "dual.0."}
    return {names.get(key[:7], key[:7]) + key[7:]: value for key, value in weights.items()}


def in_group(**values: Any) -> Callable[[Training], None]:
    return lambda started: started.adam.param_groups[0].update(values)


def not_cleared(started: Training) -> None:
    started.optimizer.zero_grad = lambda: None


def left_out(started: Training) -> None:
    group = started.adam.param_groups[0]
    group["params"] = [p for p in group["params"] if p is not started.trainable["tail.1.weight"]]


def schedule_early(started: Training) -> None:
    steps = iter(range(1, started.config.steps + 1))

    def set_rate(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        optimizer.param_groups[0]["lr"] = learning_rate(next(steps), started.config)

    started.adam.register_step_pre_hook(set_rate)


def ema_late(started: Training) -> None:
    steps, follow = iter(range(1, started.config.steps + 1)), started._follow
    started._follow = lambda decay: follow(ema_decay(next(steps), started.config.ema_decay))


TRAINING_EDITS: dict[str, Callable[[Training], None]] = {
    "gradients_not_cleared": not_cleared,
    "adam_eps_1e-7": in_group(eps=1e-7),
    "decay_of_adamw": in_group(weight_decay=0.01, decoupled_weight_decay=True),
    "weight_left_out": left_out,
    "beta2_0.99": in_group(betas=(0.9, 0.99)),
    "schedule_one_step_early": schedule_early,
    "ema_one_step_late": ema_late,
}


def __getattr__(name: str) -> Callable[..., Any]:
    """A fault by its name."""
    return partial(training if name in faults.TRAINING | faults.FAMILY_TRAINING else network, name)
