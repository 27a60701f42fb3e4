"""Searches of complete tables: which methods, on which tables, and one search from start to end."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nas import methods, packages
from benchmarks.nas.ledger import Ledger, source_id
from benchmarks.nas.methods import Method
from benchmarks.nas.problems import NOISY, Problem, make_problem
from benchmarks.nas.tables import Table
from search_paddle import gp_nas

BUDGET = 50
OURS = "ours"
METHODS: Mapping[str, Callable[[Problem], Method]] = {
    "random": methods.Random,
    "evolution": methods.Evolution,
    "local search": methods.LocalSearch,
    "ps": methods.PaddleSlim,
    "TPE": packages.tpe,
    "TPE multivariate": packages.multivariate_tpe,
    "GPSampler": packages.gp_sampler,
    "BoTorch": packages.BoTorch,
    "SMAC": packages.Smac,
    "HEBO": packages.Hebo,
    OURS: methods.Ours,
}
CASES = (
    ("nas_bench_macro", "plain"),
    ("nats_sss", "plain"),
    ("channel_bench_resnet", "plain"),
    ("nas_bench_macro", "constrained"),
    ("nas_bench_macro", "noisy"),
    ("nas_bench_macro", "noisy again"),
)
VARIANTS = ("plain", "constrained", *NOISY)
SEEDS = 50
DEAR = {
    "SMAC": 10,
    "BoTorch": 10,
    "HEBO": 2,
}  # seeds of methods that take half a minute and more a search; plain tables only
FIELDS = ("table", "variant", "method", "seed", "version")


def search(problem: Problem, method: Method, budget: int = BUDGET) -> dict[str, Any]:
    """The trainings of one search, in order, and what it recommends; a repeated and a forbidden proposal cost a training."""
    start, indices = time.process_time(), []
    while len(indices) < budget and (index := method.ask()) is not None:
        method.tell(index, problem.report(index))
        indices.append(index)
    return {"indices": indices, "recommended": method.recommend(), "cpu_s": round(time.process_time() - start, 3)}


def run_searches(
    tables: Mapping[str, Table],
    ledger: Ledger,
    names: Sequence[str],
    seeds: range,
    version: str,
    variants: Sequence[str] = VARIANTS,
) -> None:
    """All searches that the ledger lacks; seed by seed, so that a run that is cut off has all methods on equal seeds.

    Args:
        tables: by name, those of CASES that are to be searched.
        ledger: of FIELDS.
        names: of METHODS.
        seeds: of the searches.
        version: of our own code; the peers' lines have none.
        variants: of CASES.
    """
    cases = [case for case in CASES if case[0] in tables and case[1] in variants]
    for seed, (table, variant), name in itertools.product(seeds, cases, names):
        if seed < DEAR.get(name, SEEDS) and (name not in DEAR or variant == "plain"):
            key = {"table": table, "variant": variant, "method": name, "seed": seed}
            key["version"] = version if name == OURS else ""
            if not ledger.has(**key):
                problem = make_problem(tables[table], variant, seed)
                ledger.add({**key, **search(problem, METHODS[name](problem))})
                print(f"{table} {variant}, {name}, seed {seed}", flush=True)


def replay(problem: Problem, line: Mapping[str, Any]) -> dict[str, Any]:
    """What a search is judged by.

    Returns:
        "best": best truth after each training, float (budget,), NaN until one succeeded; "rank" and "regret" of the best found;
        "recommended_rank" and "recommended_regret"; all among the points that are allowed and do not fail; "repeats" and
        "infeasible": numbers of such proposals.
    """
    indices, good = line["indices"], problem.reachable()
    found = [problem.truth[index] if np.isfinite(problem.report(index)) else -np.inf for index in indices]
    best = np.maximum.accumulate(found)
    final = problem.truth[line["recommended"]]
    return {
        "best": np.where(np.isfinite(best), best, np.nan),
        "rank": rank(good, best[-1]),
        "regret": float(good[0] - best[-1]),
        "recommended_rank": rank(good, final),
        "recommended_regret": float(good[0] - final),
        "repeats": len(indices) - len(set(indices)),
        "infeasible": int(np.sum(~problem.allowed[indices])),
    }


def rank(good: np.ndarray, score: float) -> int:
    """1 + the number of scores that are strictly better."""
    return 1 + int(np.sum(good > score))


def our_version() -> str:
    """Of the sampler's code; paddleslim.py has no part in its results."""
    return source_id(Path(gp_nas.__file__).parent, without=("paddleslim.py",))
