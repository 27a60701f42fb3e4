"""The recipe's training on Paddle, step by step: network, dual models, L1 and dual regression loss, Adam, EMA of the weights.

Loss and optimiser are those of the proxies (search_paddle/proxy/training.py); dual models and the EMA, which proxies do
without, follow train_torch/losses/dual_regression.py and shared/schedule.py.
"""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import paddle
from paddle import Tensor, nn

from search_paddle.config import ProxyConfig
from search_paddle.network import build_graph
from search_paddle.proxy.losses import l1
from search_paddle.proxy.training import learning_rate
from shared.network.architecture import ArchSpec
from shared.network.families import build_graph as graph_of
from shared.network.families import dual_graphs
from shared.network.graph import Graph
from shared.resize import resize_matrix
from weights_convert.compare.case import DType
from weights_convert.compare.recipe import Recipe, ema_decay

WEIGHTINGS = {"guoyongcs": (1.0, 0.1, 0.1), "paddlegan": (0.1, 1.0, 0.1)}  # images between, first dual model, others
Arrays = dict[str, np.ndarray]


class PaddleTraining:
    """A training somewhere between its first and its last step."""

    def __init__(self, spec: ArchSpec, weights: Mapping[str, np.ndarray], recipe: Recipe, dtype: DType) -> None:
        """A training before its first step; `weights` are the network's and its dual models'."""
        self.recipe, self.scale = recipe, spec.scale
        self.network = _network(graph_of(spec), weights, "").to(dtype=dtype)
        self.duals = [_network(g, weights, f"dual.{i}.").to(dtype=dtype) for i, g in enumerate(dual_graphs(spec))]
        self.weights: dict[str, Tensor] = dict(self.network.named_parameters())
        for index, dual in enumerate(self.duals):
            self.weights |= {f"dual.{index}.{name}": tensor for name, tensor in dual.named_parameters()}
        self.trainable = {name: tensor for name, tensor in self.weights.items() if not tensor.stop_gradient}
        self.average: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        self.optimizer = self.make_optimizer()
        self.schedule = ProxyConfig(
            steps=recipe.steps,
            learning_rate=recipe.learning_rate,
            minimum_learning_rate=recipe.minimum_learning_rate,
            warmup=recipe.warmup,
        )

    def make_optimizer(self) -> paddle.optimizer.Optimizer:
        """Adam as the proxies have it."""
        return paddle.optimizer.Adam(
            learning_rate=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8, parameters=list(self.trainable.values())
        )

    def advance(self, step: int, lr: np.ndarray, hr: np.ndarray) -> tuple[float, Arrays]:
        """Take step `step` (from 0) with one batch; loss and gradients as they were before it.

        Args:
            step: from 0.
            lr: (n, 3, h, w) in [0, 1].
            hr: (n, 3, scale·h, scale·w) in [0, 1].
        """
        self.optimizer.set_lr(self.rate(step))
        loss = self.loss(paddle.to_tensor(lr), paddle.to_tensor(hr))
        loss.backward()
        gradients = {name: p.grad.numpy().copy() for name, p in self.trainable.items() if p.grad is not None}
        self.optimizer.step()
        self.clear()
        self.follow(self.decay(step))
        return float(loss.numpy()), gradients

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return learning_rate(step, self.schedule)

    def decay(self, step: int) -> float:
        """Share of the old in the EMA after a step."""
        return ema_decay(step, self.recipe)

    def clear(self) -> None:
        """Forget the gradients."""
        self.optimizer.clear_grad()

    def loss(self, lr: Tensor, hr: Tensor) -> Tensor:
        """L1 of the image; with dual models the dual regression loss of train_torch/losses/dual_regression.py."""
        images = self.network(lr)
        if not self.duals:
            return l1(images, hr)
        between, first, others = WEIGHTINGS[self.recipe.dual_weighting]
        targets = [lr, *(_reduced(hr, hr.shape[3] // image.shape[3]) for image in images[1:-1]), hr]
        total = l1(images[-1], hr)
        for image, target in zip(images[:-1], targets, strict=False):
            total = total + l1(image, target) * between
        for index, dual in enumerate(self.duals):
            total = total + l1(dual(images[index + 1]), targets[index]) * (others if index else first)
        return total

    @paddle.no_grad()
    def follow(self, decay: float) -> None:
        """EMA: decay · mean + (1 - decay) · weights."""
        for name, tensor in self.trainable.items():
            self.average[name] = self.average[name] * decay + tensor.detach() * (1 - decay)

    def state(self) -> dict[str, Arrays]:
        """Weights, Adam's moments (zeros before the first step) and EMA; copies."""
        state = self.optimizer.state_dict()
        return {
            "weight": {name: tensor.numpy().copy() for name, tensor in self.weights.items()},
            "first": {name: _moment(state, tensor, 1) for name, tensor in self.trainable.items()},
            "second": {name: _moment(state, tensor, 2) for name, tensor in self.trainable.items()},
            "average": {name: tensor.numpy().copy() for name, tensor in self.average.items()},
        }


def _network(graph: Graph, weights: Mapping[str, np.ndarray], prefix: str) -> nn.Layer:
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix or "dual.") == bool(prefix)}
    return build_graph(graph, own)


def _moment(state: Mapping[str, Tensor], parameter: Tensor, order: int) -> np.ndarray:
    key = f"{parameter.name}_moment{order}_0"
    return state[key].numpy().copy() if key in state else np.zeros(parameter.shape, parameter.numpy().dtype)


def _reduced(image: Tensor, factor: int) -> Tensor:
    """Antialiased bicubic reduction, as the middle target of train_torch/losses/dual_regression.py."""
    rows, columns = (
        paddle.to_tensor(
            resize_matrix(size, Fraction(1, factor), kernel="cubic", antialias=True, edge="symmetric"),
            dtype=image.dtype,
        )
        for size in image.shape[2:]
    )
    return paddle.matmul(paddle.matmul(rows, image), columns, transpose_y=True)
