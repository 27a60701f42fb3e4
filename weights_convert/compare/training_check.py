"""A dumped training, held against another one step by step, and every step of it against the formula of a step.

The second check is the isolated one: from the framework's own weights, moments and gradient the step is computed by hand in
float64 (`reference_training.advance`), and from its own weights the gradient: so the first wrong step is named, and its part.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared.network.architecture import ArchSpec
from weights_convert.compare.case import DType
from weights_convert.compare.dump.record import Arrays
from weights_convert.compare.limits import FLOAT32_DRIFT, FLOAT32_LOSS, FLOAT64_GATE, scaled_error
from weights_convert.compare.recipe import STATES, Recipe, batch, ema_decay, initial_weights, learning_rate
from weights_convert.compare.reference_training import advance, loss_and_gradients, trainable

Part = Literal["initial weights", "learning rate", "loss", "gradient", "optimiser", "average", "trajectory"]
# Of one step in float32. Gradients: a ReLU or a sign of L1 that changes side
FLOAT32_STEP: dict[Part, float] = {
    "learning rate": 1e-12,
    "loss": 1e-6,
    "gradient": 1e-2,
    "optimiser": 3e-7,
    "average": 1e-6,
}
FLOAT32_SHARE = 300.0  # updates and moments may err so many times more than weights: Paddle's 1 - β2 is off by 1.3e-5
Floats = dict[str, np.ndarray]
State = dict[str, Floats]
LOOKED_AT = 3  # first steps whose gradient is computed anew, beside the last


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFault:
    """A part of a step that is wrong: steps count from 1."""

    step: int
    part: Part
    array: str
    error: float
    limit: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """How far two trainings are apart.

    Attributes:
        loss: (T,) relative difference of the losses.
        weights: name -> (T + 1,) scaled difference of a weight.
    """

    loss: np.ndarray
    weights: dict[str, np.ndarray]

    @property
    def weight(self) -> np.ndarray:
        """(T + 1,) largest difference over all weights."""
        return np.max(list(self.weights.values()), axis=0)


def curves(dump: Arrays, target: Arrays) -> Curves:
    """Differences of two trainings, step by step."""
    loss, reference = dump["training/loss"], target["training/loss"]
    relative = np.abs(loss - reference) / np.abs(reference)
    weights = {
        name: np.array(
            [
                scaled_error(a, b)
                for a, b in zip(dump[f"training/weight/{name}"], target[f"training/weight/{name}"], strict=True)
            ]
        )
        for name in target.group("training/weight")
    }
    return Curves(loss=np.where(np.isfinite(relative), relative, np.inf), weights=weights)


def trajectory_faults(found: Curves, dtype: DType) -> list[StepFault]:
    """Where trainings are further apart than equal ones can be: weights in float64; loss, and weights grossly, in float32."""
    gates = (FLOAT64_GATE, FLOAT64_GATE) if dtype == "float64" else (FLOAT32_LOSS, FLOAT32_DRIFT)
    faults = []
    for name, errors, gate, shift in (("loss", found.loss, gates[0], 1), ("weights", found.weight, gates[1], 0)):
        over = np.flatnonzero(~(errors <= gate))
        if over.size:
            step = int(over[0])
            faults.append(
                StepFault(step=step + shift, part="trajectory", array=name, error=float(errors[step]), limit=gate)
            )
    return faults


def step_faults(
    dump: Arrays, spec: ArchSpec, recipe: Recipe, dtype: DType, *, suspects: Sequence[int] = ()
) -> list[StepFault]:
    """Every part of a step that is not what the formula makes of the framework's own state.

    Args:
        dump: of the training.
        spec: the network.
        recipe: of the training.
        dtype: precision of the framework.
        suspects: steps (from 0) whose loss and gradient are computed anew, beside the first three and the last.

    Returns:
        In the order of steps, and of parts within a step.
    """
    limits = FLOAT32_STEP if dtype == "float32" else dict.fromkeys(FLOAT32_STEP, FLOAT64_GATE)
    share = FLOAT32_SHARE if dtype == "float32" else 1.0
    looked_at = {*range(min(LOOKED_AT, recipe.steps)), recipe.steps - 1, *suspects}
    state = {
        kind: {name: dump[f"training/{kind}/{name}"] for name in dump.group(f"training/{kind}")} for kind in STATES
    }
    gradients = {name: dump[f"training/gradient/{name}"] for name in dump.group("training/gradient")}
    found = _initial_weights(state["weight"], spec, recipe)
    for step in range(recipe.steps):
        errors = list(_step_errors(dump, spec, recipe, state, gradients, step, share, whole=step in looked_at))
        found += [
            StepFault(step=step + 1, part=part, array=array, error=error, limit=limits[part])
            for part, array, error in errors
            if not (math.isfinite(error) and error <= limits[part])
        ]
    return found


def _initial_weights(weights: Floats, spec: ArchSpec, recipe: Recipe) -> list[StepFault]:
    """Trainings must start from the same weights, to the last bit."""
    errors = {name: scaled_error(weights[name][0], array) for name, array in initial_weights(spec, recipe).items()}
    return [
        StepFault(step=0, part="initial weights", array=name, error=error, limit=0.0)
        for name, error in errors.items()
        if not error <= 0
    ]


def _step_errors(
    dump: Arrays,
    spec: ArchSpec,
    recipe: Recipe,
    state: State,
    gradients: Floats,
    step: int,
    share: float,
    *,
    whole: bool,
) -> Iterator[tuple[Part, str, float]]:
    """Every part of a step with its error; loss and gradient where `whole`."""
    rate, expected = float(dump["training/rate"][step]), learning_rate(step, recipe)
    yield "learning rate", "", abs(rate - expected) / expected
    before = {kind: {name: _exact(array[step]) for name, array in arrays.items()} for kind, arrays in state.items()}
    if whole:
        loss, exact = loss_and_gradients(spec, before["weight"], *batch(spec, recipe, step), recipe)
        yield "loss", "", abs(float(dump["training/loss"][step]) - loss) / loss
        for name, reference in exact.items():
            yield "gradient", name, scaled_error(gradients[name][step], reference) if name in gradients else math.inf
    known = [name for name in trainable(spec) if name in gradients and name in state["first"]]
    after = advance(before, {name: _exact(gradients[name][step]) for name in known}, step, rate, recipe)
    for name in known:
        yield "optimiser", name, _update_error(state["weight"][name][step + 1], after["weight"][name], share * rate)
        for moment in ("first", "second"):
            yield "optimiser", name, scaled_error(state[moment][name][step + 1], after[moment][name]) / share
        # From the weights as they came out, so that a wrong update is not blamed on the mean as well
        decay, mean = ema_decay(step, recipe), before["average"][name]
        reference = decay * mean + (1 - decay) * _exact(state["weight"][name][step + 1])
        yield "average", name, scaled_error(state["average"][name][step + 1], reference)
    for name in set(trainable(spec)) - set(known):
        yield "optimiser", name, math.inf


def _update_error(weight: np.ndarray, reference: np.ndarray, size: float) -> float:
    """Largest |w - r| / (|r| + size), number by number: large weights must not hide the updates of small ones."""
    error = float((np.abs(_exact(weight) - reference) / (np.abs(reference) + size)).max(initial=0.0))
    return error if math.isfinite(error) else math.inf


def _exact(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float64)
