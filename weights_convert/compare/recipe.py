"""A short training that every framework can repeat: one value fixes initial weights, batches, loss, optimiser and averages.

What a framework dumps of it, T steps:

    training/loss, training/rate         (T,)           loss before a step, learning rate of the step
    training/gradient/NAME               (T, …)         gradient of the loss
    training/weight/NAME                 (T + 1, …)     before the first step, and after each
    training/first|second/NAME           (T + 1, …)     Adam's moments, not yet divided by 1 - β^t
    training/average/NAME                (T + 1, …)     EMA of the weights, where the framework keeps one
"""

import math
from collections.abc import Mapping
from typing import Literal

import h5py
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph, dual_graphs
from shared.network.initialization import random_weights

STATES = ("weight", "first", "second", "average")
Arrays = Mapping[str, np.ndarray]


class Recipe(BaseModel):
    """Adam (0.9, 0.999, 1e-8, no decay) on L1, and the dual regression loss of families that have one; rates along a cosine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1, description="optimiser steps (T)")
    batch: int = Field(default=4, ge=1, description="images in a step")
    height: int = Field(default=15, ge=1, description="of the LR images, px")
    width: int = Field(default=13, ge=1, description="of the LR images, px")
    learning_rate: float = Field(default=1e-4, gt=0, description="rate of the first step after warm-up")
    minimum_learning_rate: float = Field(default=1e-6, ge=0, description="rate at the end of the cosine")
    warmup: int = Field(default=0, ge=0, description="steps of linear rise")
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="highest weight of the old average")
    dual_weighting: Literal["guoyongcs", "paddlegan"] = Field(
        default="guoyongcs", description="of the dual regression loss"
    )
    seed: int = Field(default=0, ge=0, description="of weights and batches")


def initial_weights(spec: ArchSpec, recipe: Recipe) -> dict[str, np.ndarray]:
    """Random float32 weights of the network and of its dual models (`dual.{i}.`), none of them zero."""
    weights = random_weights(build_graph(spec), recipe.seed)
    for index, graph in enumerate(dual_graphs(spec)):
        weights |= {f"dual.{index}.{k}": v for k, v in random_weights(graph, recipe.seed + 1 + index).items()}
    return weights


def batch(spec: ArchSpec, recipe: Recipe, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a step: LR coloured noise, HR the same pixels repeated, with noise of its own.

    Args:
        spec: the network; its scale counts.
        recipe: of the training.
        step: from 0.

    Returns:
        float32 (n, 3, h, w) and (n, 3, scale·h, scale·w), in [0, 1].
    """
    generator = np.random.Generator(np.random.Philox(key=[recipe.seed, step]))
    colours = np.array([1.0, 0.7, 0.4])[:, None, None]
    lr = generator.uniform(0, 0.9, (recipe.batch, 3, recipe.height, recipe.width)) * colours
    hr = lr.repeat(spec.scale, 2).repeat(spec.scale, 3)
    hr = hr + generator.uniform(0, 0.1, hr.shape)
    return lr.astype(np.float32), hr.astype(np.float32)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Rate of step t (from 0): r (t + 1) / w during warm-up, then half a cosine from r to r_min over the rest."""
    r, r_min, w = recipe.learning_rate, recipe.minimum_learning_rate, recipe.warmup
    if step < w:
        return r * (step + 1) / w
    return r_min + (r - r_min) * (1 + math.cos(math.pi * (step - w) / (recipe.steps - w))) / 2


def ema_decay(step: int, recipe: Recipe) -> float:
    """Share of the old mean after step t: min(decay, (1 + t) / (10 + t))."""
    return min(recipe.ema_decay, (1 + step) / (10 + step))


def write_state(file: h5py.File, index: int, steps: int, state: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write the arrays after `index` steps (0: before the first); `state` maps each of STATES that there is to its arrays.

    Args:
        file: to write to.
        index: steps that were taken; 0: before the first.
        steps: of the whole training.
        state: each of STATES that there is -> name -> array.
    """
    for kind, arrays in state.items():
        for name, array in arrays.items():
            _write(file, f"training/{kind}/{name}", index, steps + 1, array)


def write_step(file: h5py.File, step: int, steps: int, loss: float, rate: float, gradients: Arrays) -> None:
    """Write what step `step` (from 0) found before it changed the weights.

    Args:
        file: to write to.
        step: from 0.
        steps: of the whole training.
        loss: before the step.
        rate: learning rate of the step.
        gradients: name -> array.
    """
    _write(file, "training/loss", step, steps, np.float64(loss))
    _write(file, "training/rate", step, steps, np.float64(rate))
    for name, array in gradients.items():
        _write(file, f"training/gradient/{name}", step, steps, array)


def _write(file: h5py.File, key: str, index: int, count: int, value: np.ndarray | np.float64) -> None:
    if key not in file:
        file.create_dataset(key, (count, *np.shape(value)), dtype=value.dtype, fillvalue=np.nan)
    file[key][index] = value
