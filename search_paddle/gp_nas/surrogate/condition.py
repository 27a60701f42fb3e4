"""Condition: gives fitted models all scores, and says when they are fitted again.

Hyperparameters are fitted when the number of scores, or of scores of the highest fidelity, reaches one of `refit_at`, to the
scores told by then. Between two fits each new score adds a row to every factor. Everything follows from the trainings in the
order they were told: a sampler that is rebuilt from a journal has the same model to the last bit. Up to ALWAYS scores the order
does not matter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from search_paddle.gp_nas.encoding import Encoding
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.kernels import Kernel
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.surrogate.evaluations import (
    Evaluation,
    FidelityRange,
    PointAtSteps,
    by_row,
    observations,
)
from search_paddle.gp_nas.surrogate.fit import WeightedModel, fit_models
from search_paddle.gp_nas.surrogate.output_warping import MAPS
from search_paddle.gp_nas.surrogate.predict import Component, Surrogate
from search_paddle.gp_nas.surrogate.success import make_success

ALWAYS = 16  # scores: up to here every one is followed by a fit, then every tenth more


def refit_at(count: int) -> int:
    """The largest number <= count of scores at which hyperparameters are fitted."""
    reached = min(count, ALWAYS)
    while reached >= ALWAYS and reached + reached // 10 <= count:
        reached += reached // 10
    return reached


def make_surrogate(encoding: Encoding, evaluations: Sequence[Evaluation], before: Surrogate | None = None) -> Surrogate:
    """The model of all evaluations.

    Args:
        encoding: of the space.
        evaluations: in the order they were told. May be empty.
        before: the model of the first ones of them. It saves time and changes nothing.
    """
    finite = [each for each in evaluations if np.isfinite(each.score)]
    fidelities = FidelityRange.of([each.steps for each in finite])
    fitted = max(_after_last_mark(finite, fidelities), _after_last_change(finite))
    start, scores = max(fitted, _after_last_repeat(finite)), by_row(finite)
    if before is None or before.fitted != fitted or before.scored < start:
        base = by_row(finite[:start])
        rows = tuple(sorted(base))
        models = fit_models(encoding, finite[:fitted], fidelities)
        components = _conditioned(models, observations(encoding, rows, base, fidelities))
    else:
        rows, components = before.rows, before.components
    known = set(rows)
    new = tuple(row for row in scores if row not in known)
    if new:
        rows = (*rows, *new)
        observed = observations(encoding, rows, scores, fidelities)
        components = tuple(_appended(component, observed) for component in components)
    return Surrogate(
        components=components,
        success=make_success(encoding, evaluations),
        rows=rows,
        fidelities=fidelities,
        scored=len(finite),
        fitted=fitted,
    )


def _after_last_repeat(evaluations: Sequence[Evaluation]) -> int:
    """How many evaluations there are up to the last one like an earlier one: it changes a row and adds none."""
    seen: set[PointAtSteps] = set()
    last = 0
    for place, (point, _, steps) in enumerate(evaluations, start=1):
        last = place if (point, steps) in seen else last
        seen.add((point, steps))
    return last


def _after_last_mark(evaluations: Sequence[Evaluation], fidelities: FidelityRange) -> int:
    """How many evaluations there are up to the last one after which all, or those of the highest fidelity, are fitted."""
    highest = [place for place, each in enumerate(evaluations, start=1) if each.steps == fidelities.highest]
    return max(refit_at(len(evaluations)), highest[refit_at(len(highest)) - 1] if highest else 0)


def _after_last_change(evaluations: Sequence[Evaluation]) -> int:
    """How many evaluations there are up to the first of the most and the first of the fewest steps: before, t was another."""
    steps = [each.steps for each in evaluations]
    return max(steps.index(max(steps)), steps.index(min(steps))) + 1 if any(steps) else 0


def _seen(kernel: Kernel, observed: Observations) -> Observations:
    """What a component is conditioned on: without a fidelity kernel, the highest fidelity alone."""
    return observed if kernel.has_fidelity else observed.rows(observed.is_highest)


def _conditioned(models: Sequence[WeightedModel], observed: Observations) -> tuple[Component, ...]:
    """Components given observations whose values are scores."""
    made = []
    for model in models:
        seen = _seen(model.kernel, observed)
        warping = MAPS[model.warping](seen.values)
        posterior = make_posterior(model.kernel, model.hyper, replace(seen, values=warping.values))
        made.append(Component(warping=warping, posterior=posterior, weight=model.weight))
    return tuple(made)


def _appended(component: Component, observed: Observations) -> Component:
    """With new rows, after the ones it has; all scores are warped again."""
    seen = _seen(component.posterior.kernel, observed)
    warping = MAPS[component.warping.name](seen.values)
    new = replace(seen, values=warping.values).rows(slice(len(component.posterior.alpha), None))
    return replace(component, warping=warping, posterior=component.posterior.appended(new, warping.values))
