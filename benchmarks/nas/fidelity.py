"""Does low fidelity (short trainings) inform about high fidelity (long ones)? Kendall tau and coverage on long scores.

    .venv/bin/python -m benchmarks.nas.fidelity ../shared/data [--draws 20]

Each draw trains some random architectures long and others (or all) short. Long scores of architectures that were not trained
long are predicted. Three models see the same draws: the long scores alone; both, told with their steps; both as if they had one
fidelity (with the average gain added), which is what a search does that knows no steps. Cases: the project's table of
super-resolution networks (steps 140 and 280 of the long training itself; 140 of another seed), and columns of nas_bench_mr that
agree (seg_4x with seg) and hardly do (cls_50_100 with cls_50_1000). Writes fidelity.md and fidelity.json here.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, wilcoxon

from benchmarks.nas.predictions import WIDTH
from benchmarks.nas.sr_table import SPACE
from benchmarks.nas.sr_table_file import TABLE, SrTable
from benchmarks.nas.tables import read_table
from search_paddle.gp_nas import GPNAS
from shared.space import Point, SearchSpace
from shared.spec import software

HERE = Path(__file__).parent
MODELS = ("long alone", "with steps", "as if equal")
HELD_OUT = 500


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """Architectures with a short and a long score.

    Attributes:
        name: of the case.
        space: of the points.
        points: n of them.
        short, long: scores, (n,).
        steps: of the two.
        sizes: (long, short) trainings of a draw; the short ones contain the long ones.
    """

    name: str
    space: SearchSpace
    points: list[Point]
    short: np.ndarray
    long: np.ndarray
    steps: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]


def cases(data: Path) -> Iterator[Case]:
    """All cases."""
    table = SrTable.read(TABLE)
    points, long = [row["point"] for row in table.rows], table.scores("long")
    curves = [dict(row["runs"]["long"]["validation"]) for row in table.rows]
    most = max(curves[0])
    early = {step: np.array([curve[step] for curve in curves]) for step in sorted(curves[0]) if step < most}
    for name, step, short in (
        *((f"SR table, {step} of {most} steps", step, scores) for step, scores in early.items()),
        ("SR table, short training of another seed", min(early), table.scores("short")),
    ):
        sizes = ((12, 24), (12, 72), (24, 72))
        yield Case(name=name, space=SPACE, points=points, short=short, long=long, steps=(step, most), sizes=sizes)
    table = read_table(data, "nas_bench_mr")
    points = [table.space.point(index) for index in table.indices]
    for low, high in (("seg_4x_mIoU", "seg_mIoU"), ("cls_50_100_top1", "cls_50_1000_top1")):
        yield Case(
            name=f"nas_bench_mr, {low} for {high}",
            space=table.space,
            points=points,
            short=table.columns[low],
            long=table.columns[high],
            steps=(1, 4),
            sizes=((25, 100), (50, 100)),
        )


def predict(case: Case, model: str, high: np.ndarray, low: np.ndarray, held: np.ndarray) -> tuple[Any, Any]:
    """Mean and std of the long scores of held-out rows.

    Args:
        case: the architectures and scores.
        model: of MODELS.
        high: rows that are trained long.
        low: rows that are trained short.
        held: rows to predict.
    """
    sampler = GPNAS(case.space, seed=0)
    both = np.concatenate([low, high])
    if model == "with steps":
        steps = [case.steps[0]] * len(low) + [case.steps[1]] * len(high)
        scores = np.concatenate([case.short[low], case.long[high]])
        sampler.tell([case.points[row] for row in both], scores.tolist(), steps)
    elif model == "as if equal":
        others = np.setdiff1d(low, high)
        gain = float(np.mean(case.long[high] - case.short[high]))
        sampler.tell([case.points[row] for row in others], (case.short[others] + gain).tolist())
        sampler.tell([case.points[row] for row in high], case.long[high].tolist())
    else:
        sampler.tell([case.points[row] for row in high], case.long[high].tolist())
    return sampler.predict([case.points[row] for row in held])


def judge(case: Case, draws: int) -> list[dict[str, Any]]:
    """One row a size: tau and coverage of each model, and the paired gain of knowing the steps."""
    rows = []
    for long, short in case.sizes:
        found: dict[str, list[tuple[float, float]]] = {model: [] for model in MODELS}
        for draw in range(draws):
            order = np.random.default_rng([draw, 2024]).permutation(len(case.points))
            held = order[long:][-HELD_OUT:]
            for model in MODELS:
                mean, std = predict(case, model, order[:long], order[:short], held)
                tau = float(kendalltau(mean, case.long[held]).statistic)
                found[model].append((tau, float(np.mean(np.abs(case.long[held] - mean) <= WIDTH * std))))
        taus = {model: np.array([tau for tau, _ in pairs]) for model, pairs in found.items()}
        gain = taus["with steps"] - taus["long alone"]
        rows.append(
            {
                "case": case.name,
                "agree": float(kendalltau(case.short, case.long).statistic),
                "long": long,
                "short": short,
                "tau": {model: float(values.mean()) for model, values in taus.items()},
                "coverage": {model: float(np.mean([held for _, held in pairs])) for model, pairs in found.items()},
                "gain": float(gain.mean()),
                "gain_error": float(gain.std(ddof=1) / np.sqrt(draws)),
                "p": float(wilcoxon(gain).pvalue) if gain.any() else 1.0,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        f"| short for long (τ between them) | long, short | {' | '.join(MODELS)} | gain of the steps | coverage |",
        "|---|---|" + "---|" * (len(MODELS) + 2),
    ]
    for row in rows:
        taus = " | ".join(f"{row['tau'][model]:.3f}" for model in MODELS)
        coverage = " / ".join(f"{row['coverage'][model]:.2f}" for model in MODELS)
        lines.append(
            f"| {row['case']} ({row['agree']:.2f}) | {row['long']}, {row['short']} | {taus} | "
            f"{row['gain']:+.3f} ± {row['gain_error']:.3f}, p {row['p']:.1g} | {coverage} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data folder that holds nas/")
    parser.add_argument("--draws", type=int, default=20, help="of trained architectures")
    arguments = parser.parse_args()
    rows = [row for case in cases(arguments.data) for row in judge(case, arguments.draws)]
    facts = {"command": f"python -m benchmarks.nas.fidelity DATA --draws {arguments.draws}", "software": software()}
    (HERE / "fidelity.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    title = "# Short trainings as evidence about long ones: Kendall τ and coverage of 95 % intervals on long scores"
    (HERE / "fidelity.md").write_text(f"{title}\n\n`{facts['command']}`\n\n{markdown(rows)}\n")


if __name__ == "__main__":
    main()
