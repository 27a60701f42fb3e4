"""Plants every fault of faults.py in Torch and in Paddle, and counts what `compare` finds, and what it blames.

    OMP_NUM_THREADS=1 PYTHONPATH=benchmarks/compare python benchmarks/compare/run_faults.py float64 faults_float64.json [FAULT…]

Beside it stands the check that most people make: the output alone, at a tolerance of 1e-3.
"""

import json
import sys
from pathlib import Path

import faults

from shared.spec import software
from weights_convert.compare.case import make_case
from weights_convert.compare.compare import Answer, Question, Subject, compare
from weights_convert.compare.recipe import Recipe
from weights_convert.compare.verdict import blamed_steps

HERE = Path(__file__).parent
RECIPE = Recipe(steps=6)
OUTPUT_CHECK = 1e-3
KINDS = ("torch", "paddle")


def questions(dtype: str, names: list[str]) -> list[tuple[str, Question]]:
    cases = {net: make_case(spec, seed=3, dtype=dtype) for net, spec in faults.SPECS.items()}
    asked = []
    for name in names:
        fault = faults.FAULTS.get(name, faults.Fault(net="rcan"))
        for kind in KINDS:
            path = f"{HERE}/faults_{kind}.py:{name}"
            is_training = bool(fault.parts)
            subject = Subject(kind=kind, training=path) if is_training else Subject(kind=kind, network=path)
            recipe = RECIPE if is_training else None
            case, passes = cases[fault.net], not is_training
            asked.append((name, Question(case=case, subject=subject, recipe=recipe, passes=passes, control=passes)))
    return asked


def row(name: str, question: Question, answer: Answer) -> dict[str, object]:
    fault = faults.FAULTS.get(name)
    nodes = [item.node for item in answer.blamed]
    steps = [[item.step, item.part] for item in blamed_steps(answer)]
    right = bool(nodes) and set(nodes) <= set(fault.nodes) if fault and fault.nodes else False
    if fault and fault.parts:
        right = bool(steps) and all(tuple(step) in fault.parts for step in steps)
    outputs = [item.error for item in answer.measurements if item.column == "output"]
    divergence = answer.divergence
    return {
        "fault": name,
        "framework": answer.subject.kind,
        "net": question.case.spec.id,
        "found": not answer.equal,
        "blamed": nodes or steps,
        "right": right,
        "first": None if divergence is None else [divergence[0].node, divergence[1], divergence[0].error],
        "output_error": outputs[-1] if outputs else None,
        "output_check_finds": None if not outputs else not outputs[-1] <= OUTPUT_CHECK,
    }


def main(dtype: str, target: Path, names: list[str]) -> None:
    asked = questions(dtype, ["healthy_norm", *(names or faults.FAULTS)])
    answers = compare([question for _, question in asked])
    rows = [row(name, question, answer) for (name, question), answer in zip(asked, answers, strict=True)]
    healthy, planted = rows[: len(KINDS)], rows[len(KINDS) :]
    for item in rows:
        print(
            f"{item['fault']:26} {item['framework']:7} found {item['found']!s:5} right {item['right']!s:5}",
            item["blamed"],
        )
    seen = [item for item in planted if item["output_check_finds"] is not None]
    summary = {
        "planted": len(planted),
        "found": sum(bool(item["found"]) for item in planted),
        "blamed_right": sum(bool(item["right"]) for item in planted),
        "false_alarms_of_healthy_norm": sum(bool(item["found"]) for item in healthy),
        "output_check": [sum(bool(item["output_check_finds"]) for item in seen), len(seen)],
    }
    print(summary)
    value = {
        "command": __doc__.splitlines()[2].strip(),
        "dtype": dtype,
        "software": software(),
        "summary": summary,
        "rows": rows,
    }
    target.write_text(json.dumps(value, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
