"""The answers of a comparison as one JSON value."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shared.network.families import build_graph
from weights_convert.compare.compare import Answer, Question
from weights_convert.compare.judge import Measurement
from weights_convert.compare.training_check import Curves, StepFault

WORST = 10  # arrays in the list
BLAMED = 20  # faults in the list
CURVE_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def verdict(questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, Any]:
    """What `gpnas-sr compare --json` prints. Numbers that are not finite are null.

    Args:
        questions: of one case, against one thing.
        answers: one for each.
    """
    case = questions[0].case
    errors = [item.error for answer in answers for item in answer.measurements]
    first = next(((answer, *answer.divergence) for answer in answers if answer.divergence is not None), None)
    return {
        "id": case.spec.id,
        "equal": all(answer.equal for answer in answers),
        "dtype": case.dtype,
        "against": questions[0].against,
        "max_scaled_error": _finite(max(errors)) if errors else None,
        "first_divergence": first
        and {"framework": first[0].subject.kind, "direction": first[2], **_measurement(first[1])},
        "blame": [item for answer in answers for item in _blame(answer)][:BLAMED],
        "subjects": [_subject(question, answer) for question, answer in zip(questions, answers, strict=True)],
    }


def worst(answer: Answer) -> list[Measurement]:
    """The arrays nearest to their limits or furthest over them; those without a limit by their error."""
    return sorted(answer.measurements, key=_closeness, reverse=True)[:WORST]


def blamed_steps(answer: Answer) -> list[StepFault]:
    """Faults of the first wrong step, one for each part of it: later steps repeat them."""
    first: dict[str, StepFault] = {}
    for fault in answer.steps:
        if fault.step == answer.steps[0].step:
            known = first.setdefault(fault.part, fault)
            first[fault.part] = max(known, fault, key=lambda item: item.error)
    return list(first.values())


def curve(found: Curves, control: Curves | None) -> list[dict[str, Any]]:
    """Differences after some steps: loss of the step, weights, and the control's weights."""
    steps = len(found.loss)
    return [
        {
            "step": step,
            "loss": _finite(float(found.loss[step - 1])),
            "weights": _finite(float(found.weight[step])),
            "control": None if control is None else _finite(float(control.weight[step])),
        }
        for step in sorted({*(s for s in CURVE_STEPS if s < steps), steps})
    ]


def _subject(question: Question, answer: Answer) -> dict[str, Any]:
    training = None
    if question.recipe is not None and answer.curves is not None:
        training = {
            "steps": question.recipe.steps,
            "learning_rate": question.recipe.learning_rate,
            "max_loss_error": _finite(float(answer.curves.loss.max())),
            "max_weight_error": _finite(float(answer.curves.weight.max())),
            "curve": curve(answer.curves, answer.control),
        }
    return {
        "name": answer.subject.network if answer.subject.kind in ("module", "onnx") else answer.subject.kind,
        "equal": answer.equal,
        "nodes": len(build_graph(question.case.spec).nodes),
        "compared": len(answer.measurements),
        "worst": [{"agrees": item.agrees, **_measurement(item)} for item in worst(answer)],
        "training": training,
    }


def _blame(answer: Answer) -> list[dict[str, Any]]:
    nodes = [{"framework": answer.subject.kind, **_measurement(item)} for item in answer.blamed]
    steps = [{"framework": answer.subject.kind, **_measurement(fault)} for fault in blamed_steps(answer)]
    return nodes + steps


def _measurement(item: Measurement | StepFault) -> dict[str, Any]:
    return asdict(item) | {"error": _finite(item.error), "limit": _finite(item.limit)}


def _closeness(item: Measurement) -> tuple[bool, float, float]:
    share = item.error / item.limit if item.limit > 0 else math.inf if item.error > 0 else 0.0
    return not item.agrees, share if math.isfinite(share) else math.inf, item.error


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
