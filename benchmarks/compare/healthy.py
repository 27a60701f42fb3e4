"""Random healthy networks: how far the frameworks are from the float64 reference, and whether `compare` ever raises alarm.

    OMP_NUM_THREADS=1 python benchmarks/compare/healthy.py float64 --per-cell 20 --out healthy_float64.json

A cell is a family and a scale; a spec is drawn at random over all fields, small enough for NumPy. `--count N` draws N specs over
all cells instead. Resumes: specs that the file holds already are not run again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np

from shared.files import write_json
from shared.network.architecture import ArchSpec
from shared.network.families import FAMILIES, build_graph
from shared.network.families.family import Family
from shared.spec import software
from weights_convert.compare.case import make_case
from weights_convert.compare.compare import FRAMEWORKS, Answer, Question, Subject, compare
from weights_convert.compare.judge import COLUMNS

WIDTHS = (8, 8, 12, 16, 24, 32, 64)
CHUNK = 20  # specs in one start of the frameworks


def random_spec(family: Family, scale: int, generator: np.random.Generator) -> ArchSpec:
    """A spec with every field drawn; 8 to 64 channels, mostly few; a network with dual models is twice as wide inside."""

    def pick(*values: Any) -> Any:
        return values[int(generator.integers(len(values)))]

    def value(name: str, annotation: Any) -> Any:
        if get_origin(annotation) is Literal:
            return pick(*get_args(annotation))
        named = {"features": WIDTHS[:4] if family.dual_graphs(spec) else WIDTHS, "reduction": (4, 8)}
        return pick(*named.get(name, {int: (1, 2, 3), float: (0.1, 1.0), bool: (True, False)}[annotation]))

    spec = family.example_specs(scale)[0]
    fields = {name: value(name, field.annotation) for name, field in family.spec.model_fields.items()}
    return family.spec.model_validate({**fields, "scale": scale})


def draw(cells: Sequence[tuple[Family, int]], count: int, seed: int) -> list[tuple[ArchSpec, int]]:
    """(spec, seed of its case): `count` distinct ones, the cells in turn."""
    generator = np.random.default_rng(seed)
    found: dict[str, tuple[ArchSpec, int]] = {}
    while len(found) < count:
        spec = random_spec(*cells[len(found) % len(cells)], generator)
        found.setdefault(spec.id, (spec, len(found)))
    return list(found.values())


def measured(spec: ArchSpec, dtype: str, answer: Answer) -> dict[str, Any]:
    """Largest error and largest share of the limit, per column."""
    worst, shares = dict.fromkeys(COLUMNS, 0.0), dict.fromkeys(COLUMNS, 0.0)
    for item in answer.measurements:
        worst[item.column] = max(worst[item.column], item.error)
        shares[item.column] = max(shares[item.column], item.error / item.limit if item.limit else item.error)
    graph = build_graph(spec)
    return {
        "id": spec.id,
        "architecture": spec.architecture(),
        "nodes": len(graph.nodes),
        "framework": answer.subject.kind,
        "equal": answer.equal,
        "blamed": [[item.node, item.column, item.array, item.error, item.limit] for item in answer.blamed],
        "gradients_judged": all(np.isfinite(item.limit) for item in answer.measurements),
        "errors": worst,
        "shares": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dtype", choices=("float64", "float32"))
    parser.add_argument("--per-cell", type=int)
    parser.add_argument("--count", type=int)
    parser.add_argument("--family", nargs="*", help="these alone; default: all")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = [(f, scale) for f in FAMILIES if not args.family or f.name in args.family for scale in (2, 3, 4)]
    specs = draw(cells, args.count or args.per_cell * len(cells), args.seed)
    value = json.loads(args.out.read_text()) if args.out.exists() else {"rows": []}
    done = {row["id"] for row in value["rows"]}
    waiting = [(spec, seed) for spec, seed in specs if spec.id not in done]
    for start in range(0, len(waiting), CHUNK):
        questions = [
            (spec, Question(case=make_case(spec, seed=seed, dtype=args.dtype), subject=Subject(kind=kind)))
            for spec, seed in waiting[start : start + CHUNK]
            for kind in FRAMEWORKS
        ]
        answers = compare([question for _, question in questions])
        value["rows"] += [measured(spec, args.dtype, a) for (spec, _), a in zip(questions, answers, strict=True)]
        summary = summarise(value["rows"])
        amount = f"--count {args.count}" if args.count else f"--per-cell {args.per_cell}"
        families = f" --family {' '.join(args.family)}" if args.family else ""
        command = f"healthy.py {args.dtype} {amount} --seed {args.seed}{families}"
        write_json(args.out, {"command": command, "software": software(), "summary": summary, "rows": value["rows"]})
        print(len(value["rows"]), summary, flush=True)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "specs": len({row["id"] for row in rows}),
        "alarms": sum(not row["equal"] for row in rows),
        "gradients_judged": sum(row["gradients_judged"] for row in rows),
        "largest_error": {c: max(row["errors"][c] for row in rows) for c in COLUMNS},
        "largest_share_of_limit": {c: max(row["shares"][c] for row in rows) for c in COLUMNS},
    }


if __name__ == "__main__":
    main()
