"""Random healthy networks: how far the frameworks are from the float64 reference, and whether `compare` ever raises alarm.

    OMP_NUM_THREADS=1 python benchmarks/compare/healthy.py float64 --per-cell 20 --out healthy_float64.json

A cell is a family and a scale; a spec is drawn at random over all fields, small enough for NumPy. `--count N` draws N specs over
all cells instead. Resumes: specs that the file holds already are not run again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.files import write_json
from shared.network.architecture import ArchSpec
from shared.network.families import FAMILIES, build_graph
from shared.spec import parse, software
from weights_convert.compare.case import make_case
from weights_convert.compare.compare import FRAMEWORKS, Answer, Question, Subject, compare
from weights_convert.compare.judge import COLUMNS

CHUNK = 20  # specs in one start of the frameworks


def random_spec(family: str, scale: int, generator: np.random.Generator) -> ArchSpec:
    """A spec with every field drawn; 8 to 64 channels, mostly few."""

    def pick(*values: Any) -> Any:
        return values[int(generator.integers(len(values)))]

    fields: dict[str, Any] = {"family": family, "scale": scale, "features": pick(8, 8, 12, 16, 24, 32, 64)}
    fields |= {"reduction": pick(4, 8), "image_skip": pick("none", "bicubic")}
    fields |= {"mean_shift": pick("none", "div2k", "df2k"), "value_range": pick(1, 255)}
    if family == "drn":
        fields |= {"blocks": pick(1, 2, 3, 4), "stages": pick(1, 2, 3), "fusion_kernel": pick(1, 3)}
        fields |= {"ibsc_stages": pick("none", "first_two", "all"), "ibsc_mode": pick("add", "concat")}
        fields |= {"stage_chain": pick("chained", "parallel"), "stage_activations": pick(1, 2)}
        fields |= {"long_skip": pick(True, False), "pre_upsample_conv": pick(True, False)}
    elif family == "rcan":
        fields |= {"groups": pick(1, 2, 3), "blocks": pick(1, 2, 3)}
    else:
        fields |= {"features": pick(8, 8, 12, 16), "blocks": pick(1, 2)}
    return parse(fields)


def draw(cells: Sequence[tuple[str, int]], count: int, seed: int) -> list[tuple[ArchSpec, int]]:
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
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cells = [(family.name, scale) for family in FAMILIES for scale in (2, 3, 4)]
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
        command = f"healthy.py {args.dtype} {amount} --seed {args.seed}"
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
