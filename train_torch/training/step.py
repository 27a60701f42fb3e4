"""The moving part of a training: network, optimiser, EMA of the weights, and one step. It touches no file.

EMA: exponential moving average, decay · average + (1 - decay) · weights after each step (`shared.schedule.ema_decay`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from shared.errors import NonFiniteError
from shared.network.architecture import ArchSpec
from shared.schedule import ema_decay, learning_rate
from train_torch.config import TrainConfig
from train_torch.losses.dual_regression import loss_terms, term_weights
from train_torch.losses.reconstruction import total
from train_torch.training.checkpoint import Arrays
from train_torch.training.module import build_training_module, file_name, ordered


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What a step measured before it changed the weights.

    Attributes:
        loss: weighted sum of the terms.
        terms: each term, not weighted.
        learning_rate: rate of the step.
        gradient_norm: Euclidean norm of the whole gradient, before it was clipped.
    """

    loss: float
    terms: dict[str, float]
    learning_rate: float
    gradient_norm: float


class Training:
    """Network and optimiser of one member, somewhere between its first and its last step.

    Deterministic on CPUs: the same weights, batches and number of threads give the same bits.
    """

    def __init__(self, spec: ArchSpec, config: TrainConfig, weights: Arrays) -> None:
        """A training before its first step.

        Args:
            spec: the network.
            config: how it is trained.
            weights: initial weights, as `train_torch.training.module.initial_training_weights` gives them.
        """
        self.config = config
        self.fabric = Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        module = ordered(build_training_module(spec, weights), self.memory_format)
        # Fused: the same numbers, three times faster than the loop over parameters
        optimizer = torch.optim.Adam((p for p in module.parameters() if p.requires_grad), lr=0.0, fused=True)
        self.module, self.optimizer = self.fabric.setup(module, optimizer)
        self.adam = optimizer  # the same optimiser, unwrapped: its state is saved
        self.term_weights = term_weights(config, len(module.dual))
        self.weights: dict[str, Tensor] = {file_name(name): p.data for name, p in module.named_parameters()}
        self.trainable: dict[str, Tensor] = {
            file_name(name): p for name, p in module.named_parameters() if p.requires_grad
        }
        self.average: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self.weights.items()}

    def advance(self, step: int, lr: np.ndarray, hr: np.ndarray) -> StepReport:
        """Take step `step` (from 0) with one batch.

        Args:
            step: decides the learning rate and the decay of the EMA; nothing else counts steps.
            lr: float32 (n, 3, p, p) in [0, 1].
            hr: float32 (n, 3, s·p, s·p) in [0, 1].

        Raises:
            NonFiniteError: loss or gradient is NaN or infinite; no weight was changed.
        """
        rate = learning_rate(step, self.config)
        for group in self.adam.param_groups:
            group["lr"] = rate
        lr_batch, hr_batch = self._batch(lr), self._batch(hr)
        images, reduced = self.module(lr_batch)
        terms = loss_terms(images, reduced, lr_batch, hr_batch, self.config)
        loss = total(terms, self.term_weights)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self._clipped_norm()
        report = StepReport(
            loss=loss.item(),
            terms={name: term.item() for name, term in terms.items()},
            learning_rate=rate,
            gradient_norm=norm,
        )
        if not math.isfinite(report.loss) or not math.isfinite(norm):
            raise NonFiniteError(f"loss {report.loss}, gradient norm {norm}, expected finite numbers")
        self.optimizer.step()
        self._follow(ema_decay(step, self.config.ema_decay))
        return report

    def state(self) -> dict[str, Arrays]:
        """All arrays a checkpoint needs, by its groups; copies."""
        return {
            "weights": _arrays(self.weights.items()),
            "average": _arrays(self.average.items()),
            "adam.first": _arrays(self._moments("exp_avg")),
            "adam.second": _arrays(self._moments("exp_avg_sq")),
        }

    def restore(self, step: int, arrays: Mapping[str, Arrays]) -> None:
        """Go back to a state taken by `state` after `step` steps."""
        with torch.no_grad():
            for name, tensor in self.weights.items():
                tensor.copy_(torch.from_numpy(arrays["weights"][name]))
                self.average[name].copy_(torch.from_numpy(arrays["average"][name]))
        for name, parameter in self.trainable.items():
            self.adam.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                "exp_avg": _like(parameter, arrays["adam.first"][name]),
                "exp_avg_sq": _like(parameter, arrays["adam.second"][name]),
            }

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The EMA of all weights, under the names of weights files."""
        return _arrays(self.average.items())

    def _batch(self, images: np.ndarray) -> Tensor:
        return self.fabric.to_device(torch.from_numpy(images)).contiguous(memory_format=self.memory_format)

    def _clipped_norm(self) -> float:
        parameters = list(self.trainable.values())
        if self.config.gradient_clip is None:
            return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]).item()
        return torch.nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip).item()

    def _follow(self, decay: float) -> None:
        """Update the EMA."""
        update = get_ema_multi_avg_fn(decay)
        update([self.average[name] for name in self.trainable], list(self.trainable.values()), 0)

    def _moments(self, key: str) -> Iterable[tuple[str, Tensor]]:
        """Adam's moments; zeros before the first step, as Adam starts."""
        for name, parameter in self.trainable.items():
            yield name, self.adam.state.get(parameter, {}).get(key, torch.zeros_like(parameter))


def _arrays(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in tensors}


def _like(parameter: Tensor, array: np.ndarray) -> Tensor:
    """The array on the parameter's device, in its memory order."""
    return torch.empty_like(parameter, requires_grad=False).copy_(torch.from_numpy(array))
