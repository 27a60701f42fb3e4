"""Rank of the best found in 50 trainings, and Kendall tau and coverage of predictions, on tables of trained architectures.

    python -m benchmarks.nas.first_version DATA [--seeds 5] [--batch 1]

DATA is the data folder that holds nas/. One process, one thread; five seeds take about three minutes of processor time.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from benchmarks.nas.tables import Table, read_table
from search_paddle.gp_nas import GPNAS

SEARCHED = (("nats_sss", "C100"), ("nas_bench_macro", "acc"), ("channel_bench_resnet", "acc"))
PREDICTED = (*SEARCHED, ("nas_bench_mr", "seg_mIoU"))
BUDGET = 50
SIZES = (50, 100)
HELD_OUT = 2000


def search(table: Table, seed: int, batch: int = 1) -> float:
    """The best score among BUDGET trainings."""
    sampler, scores = GPNAS(table.space, seed=seed), []
    while len(scores) < BUDGET:
        points = sampler.ask(batch)
        sampler.tell(points, [table.scores[table.space.index(point)] for point in points])
        scores += [table.scores[table.space.index(point)] for point in points]
    return max(scores)


def predict(table: Table, size: int, seed: int) -> tuple[float, float]:
    """Kendall tau and coverage of 95 % intervals on held-out points, from `size` random ones."""
    rng = np.random.default_rng([seed, size])
    order = [list(table.scores)[place] for place in rng.permutation(len(table.scores))]
    known, held = order[:size], order[size : size + HELD_OUT]
    sampler = GPNAS(table.space, seed=seed)
    sampler.tell([table.space.point(index) for index in known], [table.scores[index] for index in known])
    mean, std = sampler.predict([table.space.point(index) for index in held])
    truth = np.array([table.scores[index] for index in held])
    return float(kendalltau(mean, truth).statistic), float(np.mean(np.abs(truth - mean) < 1.96 * std))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1, help="proposals between two updates")
    arguments = parser.parse_args()
    tables = {folder: read_table(arguments.data, folder, metric) for folder, metric in PREDICTED}
    for folder, _ in SEARCHED:
        table, start = tables[folder], time.process_time()
        ranks = [table.rank(search(table, seed, arguments.batch)) for seed in range(arguments.seeds)]
        each = (time.process_time() - start) / (BUDGET * arguments.seeds)
        error = np.std(ranks, ddof=1) / np.sqrt(len(ranks)) if len(ranks) > 1 else float("nan")
        print(
            f"{table.name}: rank after {BUDGET} {np.mean(ranks):.2f} +- {error:.2f} {ranks}, {1e3 * each:.0f} ms each",
            flush=True,
        )
    for table in tables.values():
        for size in SIZES:
            parts = np.array([predict(table, size, seed) for seed in range(arguments.seeds)]).mean(axis=0)
            print(f"{table.name}: from {size} tau {parts[0]:.3f}, coverage {parts[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
