"""A hundred training steps on Torch, on Paddle and by hand in NumPy: how far they part, beside each against itself.

    OMP_NUM_THREADS=1 python benchmarks/compare/trainings.py trainings.json

Adam, L1 (dual regression loss for its family), cosine from 1e-4; a control is the same framework on two threads without oneDNN.
"""

import json
import sys
from pathlib import Path

from shared.spec import parse, software
from weights_convert.compare.case import make_case
from weights_convert.compare.compare import FRAMEWORKS, Question, Subject, compare
from weights_convert.compare.recipe import Recipe
from weights_convert.compare.verdict import curve

RECIPE = Recipe(steps=100, batch=2, height=11, width=9)
SPECS = [
    parse({"family": "drn", "scale": 2, "features": 8, "blocks": 2, "stages": 2, "reduction": 4}),
    parse(
        {"family": "rcan", "scale": 3, "features": 8, "groups": 2, "blocks": 1, "reduction": 4, "image_skip": "bicubic"}
    ),
    parse({"family": "dual_regression", "scale": 2, "features": 8, "blocks": 1, "reduction": 4}),
]


def main(target: Path) -> None:
    asked = [
        Question(case=make_case(spec, dtype=dtype), subject=Subject(kind=kind), recipe=RECIPE, passes=False)
        for spec in SPECS
        for dtype in ("float64", "float32")
        for kind in FRAMEWORKS
    ]
    rows = []
    for question, answer in zip(asked, compare(asked), strict=True):
        assert answer.curves is not None
        rows.append(
            {
                "id": question.case.spec.id,
                "dtype": question.case.dtype,
                "framework": answer.subject.kind,
                "equal": answer.equal,
                "faults": len(answer.steps),
                "loss": float(answer.curves.loss.max()),
                "weights": float(answer.curves.weight.max()),
                "control_loss": float(answer.control.loss.max()) if answer.control else None,
                "control_weights": float(answer.control.weight.max()) if answer.control else None,
                "curve": curve(answer.curves, answer.control),
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "curve"})
    value = {"command": "trainings.py", "recipe": RECIPE.model_dump(), "software": software(), "rows": rows}
    target.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
