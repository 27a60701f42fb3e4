"""Figures of finished searches and predictions: means with standard errors, signed-rank tests, trainings needed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from benchmarks.nas.problems import NOISY, make_problem
from benchmarks.nas.searches import BUDGET, OURS, replay
from benchmarks.nas.tables import Table

REFERENCE = "GPSampler"  # whose result after BUDGET trainings the others are to reach

Lines = Iterable[Mapping[str, Any]]


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None from one value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def signed_rank(ours: Sequence[int], theirs: Sequence[int]) -> dict[str, float]:
    """Two-sided Wilcoxon signed-rank test on the logarithms of paired ranks.

    Returns:
        "p": 1 where no pair differs; "log_ratio": mean of log(ours / theirs): below 0, ours is better.
    """
    change = np.round(np.log(ours) - np.log(theirs), 12)  # from 1 to 2 is as far as from 2 to 4
    p = float(wilcoxon(change).pvalue) if np.any(change) else 1.0
    return {"p": p, "log_ratio": float(np.mean(change))}


def trainings_to_reach(best: np.ndarray, level: float) -> float:
    """The number of trainings after which the best found is at least the level; infinity: not within the budget."""
    reached = np.flatnonzero(best >= level)
    return float(reached[0] + 1) if len(reached) else float("inf")


def summarise_searches(lines: Lines, tables: Mapping[str, Table], version: str) -> dict[str, dict[str, Any]]:
    """Figures of each method on each case ("table variant"), from the lines of the peers and of this version of ours."""
    cases: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line["version"] in ("", version):
            problem = make_problem(tables[line["table"]], line["variant"], line["seed"])
            facts = {**replay(problem, line), "cpu_s": line["cpu_s"]}
            cases[f"{line['table']} {line['variant']}"][line["method"]][line["seed"]] = facts
    return {
        case: {name: _figures(methods, name, "recommended_" if case.endswith(NOISY) else "") for name in methods}
        for case, methods in cases.items()
    }


def _figures(methods: Mapping[str, Mapping[int, Mapping[str, Any]]], name: str, judged: str) -> dict[str, Any]:
    """Of one method, by the best found, or with `judged` "recommended_", where scores are noisy, by the recommended point."""
    runs = methods[name]
    seeds = sorted(runs)
    ranks = [runs[seed][f"{judged}rank"] for seed in seeds]
    regrets = [runs[seed][f"{judged}regret"] for seed in seeds]
    return {
        "seeds": len(seeds),
        "rank": float(np.mean(ranks)),
        "rank_error": standard_error(ranks),
        "rank_median": float(np.median(ranks)),
        "rank_found": float(np.mean([runs[seed]["rank"] for seed in seeds])),
        "rank_recommended": float(np.mean([runs[seed]["recommended_rank"] for seed in seeds])),
        "regret": float(np.mean(regrets)),
        "regret_error": standard_error(regrets),
        "repeats": sum(runs[seed]["repeats"] for seed in seeds),
        "infeasible": sum(runs[seed]["infeasible"] for seed in seeds),
        "cpu_s": float(np.mean([runs[seed]["cpu_s"] for seed in seeds])),
        "against_ours": _against(methods.get(OURS, {}), runs, f"{judged}rank") if name != OURS else None,
        "trainings_to_reach_reference": _needed(runs, methods.get(REFERENCE, {})),
        "ranks": " ".join(map(str, ranks)),  # by seed
    }


def _against(
    ours: Mapping[int, Mapping[str, Any]], theirs: Mapping[int, Mapping[str, Any]], judged: str
) -> dict[str, Any] | None:
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return None
    test = signed_rank([ours[seed][judged] for seed in common], [theirs[seed][judged] for seed in common])
    return {"pairs": len(common), **test}


def _needed(
    runs: Mapping[int, Mapping[str, Any]], reference: Mapping[int, Mapping[str, Any]]
) -> dict[str, float | None] | None:
    """Median over paired seeds of the trainings to reach the reference's best; None: more than the budget."""
    common = sorted(runs.keys() & reference.keys())
    if not common:
        return None
    counts = [trainings_to_reach(runs[seed]["best"], reference[seed]["best"][-1]) for seed in common]
    middle = float(np.median(counts))
    reached = float(np.mean(np.isfinite(counts)))
    return {"median": middle if middle <= BUDGET else None, "reached": reached}


def summarise_predictions(lines: Lines, version: str) -> list[dict[str, Any]]:
    """One row a table, metric and size: each model's mean tau and coverage, over the draws that all models have."""
    cells: dict[tuple[str, str, int], dict[str, dict[int, Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line["version"] in ("", version):
            cells[line["table"], line["metric"], line["size"]][line["model"]][line["draw"]] = line
    return [
        {"table": table, "metric": metric, "size": size, **_row(models)}
        for (table, metric, size), models in cells.items()
    ]


def _row(models: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    common = sorted(set.intersection(*(set(draws) for draws in models.values())))
    taus = {name: [draws[number]["tau"] for number in common] for name, draws in models.items()}
    row: dict[str, Any] = {"draws": len(common), "models": {}}
    for name, draws in models.items():
        coverages = [draws[number]["coverage"] for number in common]
        row["models"][name] = {
            "tau": float(np.mean(taus[name])),
            "tau_error": standard_error(taus[name]),
            "coverage": None if None in coverages else float(np.mean(coverages)),
            "cpu_s": float(np.mean([draws[number]["cpu_s"] for number in common])),
        }
    if OURS in models and len(models) > 1:
        best = max((name for name in models if name != OURS), key=lambda name: float(np.mean(taus[name])))
        change = np.subtract(taus[OURS], taus[best])
        row |= {"best_peer": best, "gain": float(change.mean()), "gain_error": standard_error(change.tolist())}
    return row
