"""A training in float64 NumPy: loss, gradient, Adam and EMA written out by hand, as the oracle of both frameworks."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph, dual_graphs
from shared.network.graph import Graph
from shared.network.primitives import INPUT
from shared.network.reference import Array, run
from shared.resize import resize
from weights_convert.compare.backward import gradients
from weights_convert.compare.recipe import (
    Recipe,
    batch,
    ema_decay,
    initial_weights,
    learning_rate,
    write_state,
    write_step,
)

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba 2015
# Weights of the images between, of the first dual model and of the others (Guo et al. 2020; PaddleGAN)
DUAL_WEIGHTS = {"guoyongcs": (1.0, 0.1, 0.1), "paddlegan": (0.1, 1.0, 0.1)}
State = dict[str, dict[str, Array]]  # weight, first, second, average -> name -> array


def dump_training(spec: ArchSpec, recipe: Recipe, path: Path) -> None:
    """Train and write every step; keys in weights_convert/compare/recipe.py.

    Args:
        spec: the network.
        recipe: of the training.
        path: of the dump.
    """
    state = first_state(spec, initial_weights(spec, recipe))
    with h5py.File(path, "w") as file:
        write_state(file, 0, recipe.steps, state)
        for step in range(recipe.steps):
            lr, hr = batch(spec, recipe, step)
            loss, gradient = loss_and_gradients(spec, state["weight"], lr, hr, recipe)
            rate = learning_rate(step, recipe)
            write_step(file, step, recipe.steps, loss, rate, gradient)
            state = advance(state, gradient, step, rate, recipe)
            write_state(file, step + 1, recipe.steps, state)


def first_state(spec: ArchSpec, weights: Mapping[str, np.ndarray]) -> State:
    """Adam before its first step; frozen weights have no moments."""
    exact = {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}
    moments = {name: np.zeros(exact[name].shape) for name in trainable(spec)}
    return {"weight": exact, "first": moments, "second": moments, "average": exact}


def trainable(spec: ArchSpec) -> list[str]:
    """Names of the weights that a training changes, dual models included."""
    names = build_graph(spec).trainable()
    return names + [f"dual.{i}.{name}" for i, graph in enumerate(dual_graphs(spec)) for name in graph.trainable()]


def advance(
    state: Mapping[str, Mapping[str, Array]], gradient: Mapping[str, Array], step: int, rate: float, recipe: Recipe
) -> State:
    """State after step t (from 0) with a given gradient g.

    m' = β1 m + (1 - β1) g        v' = β2 v + (1 - β2) g²
    w' = w - rate · (m' / (1 - β1^{t+1})) / (√(v' / (1 - β2^{t+1})) + ε)        a' = d a + (1 - d) w', d = ema_decay(t)

    Args:
        state: before the step.
        gradient: name -> array, of the trainable weights.
        step: from 0.
        rate: learning rate.
        recipe: its EMA decay counts.
    """
    decay = ema_decay(step, recipe)
    after: State = {"weight": dict(state["weight"]), "first": {}, "second": {}, "average": dict(state["average"])}
    for name, g in gradient.items():
        first = BETA1 * state["first"][name] + (1 - BETA1) * g
        second = BETA2 * state["second"][name] + (1 - BETA2) * g * g
        size = np.sqrt(second / (1 - BETA2 ** (step + 1))) + EPSILON
        weight = state["weight"][name] - rate * (first / (1 - BETA1 ** (step + 1))) / size
        after["first"][name], after["second"][name], after["weight"][name] = first, second, weight
        after["average"][name] = decay * state["average"][name] + (1 - decay) * weight
    return after


def loss_and_gradients(
    spec: ArchSpec, weights: Mapping[str, np.ndarray], lr: np.ndarray, hr: np.ndarray, recipe: Recipe
) -> tuple[float, dict[str, Array]]:
    """Loss of a batch and its gradient with respect to every trainable weight.

    With images S_0 … S_n, targets I_k of their sizes and dual models D_i (train_torch/losses/dual_regression.py has the formula):
    L1(S_n, I_n) + b Σ L1(S_k, I_k) + Σ f_i L1(D_i(S_{i+1}), I_i).

    Args:
        spec: the network.
        weights: name -> array, dual models included.
        lr: (n, 3, h, w) in [0, 1].
        hr: (n, 3, scale·h, scale·w) in [0, 1].
        recipe: its weighting of the dual models counts.
    """
    graph = build_graph(spec)
    values = run(graph, weights, lr)
    images = [values[name] for name in graph.outputs]
    targets = _targets(images, lr, hr)
    between, first, others = DUAL_WEIGHTS[recipe.dual_weighting]
    factors = [between] * (len(images) - 1) + [1.0]
    terms = [_l1(image, target, factor) for image, target, factor in zip(images, targets, factors, strict=True)]
    loss, cotangents = sum(term[0] for term in terms), [term[1] for term in terms]
    found: dict[str, Array] = {}
    for index, dual in enumerate(dual_graphs(spec)):
        factor = others if index else first
        term, back, own = _dual(dual, f"dual.{index}.", weights, images[index + 1], targets[index], factor)
        loss, cotangents[index + 1] = loss + term, cotangents[index + 1] + back
        found |= own
    _collect(found, graph, weights, values, dict(zip(graph.outputs, cotangents, strict=True)))
    return float(loss), {name: found[name] for name in trainable(spec)}


def _targets(images: list[Array], lr: np.ndarray, hr: np.ndarray) -> list[Array]:
    """I_k: the LR image, HR reduced by the antialiased bicubic, the HR image; HR alone where there is one image."""
    exact = np.asarray(hr, dtype=np.float64)
    middle = [_reduced(exact, hr.shape[3] // image.shape[3]) for image in images[1:-1]]
    return [np.asarray(lr, dtype=np.float64), *middle, exact] if len(images) > 1 else [exact]


def _reduced(image: Array, factor: int) -> Array:
    flat = image.reshape(-1, *image.shape[2:]).transpose(1, 2, 0)
    small = resize(flat, Fraction(1, factor), kernel="cubic", antialias=True, edge="symmetric")
    return small.transpose(2, 0, 1).reshape(*image.shape[:2], *small.shape[:2])


def _l1(image: Array, target: Array, factor: float) -> tuple[float, Array]:
    """L1 = factor · mean|image - target|, and its gradient with respect to the image."""
    difference = image - target
    return factor * float(np.abs(difference).mean()), factor * np.sign(difference) / difference.size


def _dual(
    graph: Graph, prefix: str, weights: Mapping[str, np.ndarray], image: Array, target: Array, factor: float
) -> tuple[float, Array, dict[str, Array]]:
    """Term of a dual model, its gradient with respect to the image, and with respect to the model's weights."""
    own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    values = run(graph, own, image)
    loss, cotangent = _l1(values[graph.outputs[-1]], target, factor)
    found: dict[str, Array] = {}
    back = _collect(found, graph, own, values, {graph.outputs[-1]: cotangent})
    return loss, back, {prefix + name: array for name, array in found.items()}


def _collect(
    found: dict[str, Array],
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    values: Mapping[str, Array],
    cotangents: Mapping[str, Array],
) -> Array:
    """Add the gradients of the weights to `found`; returns that of the input."""
    back = np.zeros_like(values[INPUT])
    for name, gradient, own in gradients(graph, weights, values, cotangents):
        back = gradient if name == INPUT else back
        for key, array in own.items():
            found[key] = found[key] + array if key in found else array
    return back
