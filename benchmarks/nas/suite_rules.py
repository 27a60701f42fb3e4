"""Rules for a suite tried beside the one in use, on the validation pairs of sr_table.h5 alone.

    .venv/bin/python -m benchmarks.nas.suite_rules [--seeds 100]

For each seed (from 1000 on: suite_selection.py reports others) some random architectures count as searched, with their scores and
errors on some random validation pairs. Each rule chooses, and the suite is judged by the long trainings on the other validation
pairs: mean over pairs of the PSNR of the mean of the members, levels of the whole crops. Prints the gain over the rule in use
(three, equal shares) with a two-sided signed-rank test over seeds, and writes it to suite_rules.json here.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from benchmarks.nas.sr_table_file import TABLE, SrTable
from benchmarks.nas.suite_selection import at_levels, measure, psnr_by_pair
from search_paddle.suite.error_covariance import Floats, correlate, error_covariance
from search_paddle.suite.selection import ScoredSpec, select_complementary
from shared.ensemble_weights import least_error_weights
from shared.spec import software

HERE = Path(__file__).parent
FIRST_SEED = 1000
SEARCHED = (30, 12)
PAIRS = (21, 6)
IN_USE = "three, equal shares"

Rule = Callable[[Floats, Floats], tuple[list[int], Floats]]  # correlation (n, n), PSNR (n, pairs) -> members and shares


def equal(correlation: Floats, psnr: Floats, *, size: int, keep: float | None = 1.0) -> tuple[list[int], Floats]:
    """The rule in use; `keep`: the part of the scores' differences that is believed, None: as the pairs agree on it."""
    scores = psnr.mean(axis=1)
    believed = scores.mean() + (reliability(psnr) if keep is None else keep) * (scores - scores.mean())
    candidates = [ScoredSpec(id=f"{i:03}", family="", score=score) for i, score in enumerate(believed.tolist())]
    found = select_complementary(candidates, error_covariance(correlation, believed), size=size)
    return [int(one.id) for one in found.members], np.array(found.weights)


def reliability(psnr: Floats) -> float:
    """Empirical Bayes: 1 - (variance of a score's error, from the scatter over pairs) / (variance of scores), at least 0."""
    differences = psnr - psnr.mean(axis=0)
    noise = differences.var(axis=1, ddof=1).mean() / psnr.shape[1]
    return max(0.0, 1 - float(noise / psnr.mean(axis=1).var(ddof=1)))


def least_error(correlation: Floats, psnr: Floats, *, sizes: tuple[int, ...]) -> tuple[list[int], Floats]:
    """The suite and the positive shares of least expected error, E_S⁻¹1 / 1ᵀE_S⁻¹1, of all suites of these sizes."""
    matrix = error_covariance(correlation, psnr.mean(axis=1))
    matrix = matrix + 1e-9 * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
    found: list[tuple[float, list[int]]] = []
    for size in sizes:
        suites = np.array(list(combinations(range(len(matrix)), size)))
        inverse = np.linalg.solve(matrix[suites[:, :, None], suites[:, None, :]], np.ones((*suites.shape, 1)))[:, :, 0]
        errors = np.where((inverse >= 0).all(axis=1), 1 / inverse.sum(axis=1), np.inf)
        place = int(errors.argmin())
        found.append((float(errors[place]), suites[place].tolist()))
    members = min(found)[1]
    return members, least_error_weights(matrix[np.ix_(members, members)])


def at_most(correlation: Floats, psnr: Floats) -> tuple[list[int], Floats]:
    """One, two or three with equal shares, whichever is expected to err least."""
    matrix = error_covariance(correlation, psnr.mean(axis=1))
    found = [equal(correlation, psnr, size=size) for size in (1, 2, 3)]
    return min(found, key=lambda each: float(matrix[np.ix_(each[0], each[0])].mean()))


RULES: Mapping[str, Rule] = {
    IN_USE: partial(equal, size=3),
    "at most three, least-error shares": partial(least_error, sizes=(1, 2, 3)),
    "three, least-error shares": partial(least_error, sizes=(3,)),
    "at most three, equal shares": at_most,
    "two, equal shares": partial(equal, size=2),
    "four, equal shares": partial(equal, size=4),
    "scores shrunk as pairs disagree": partial(equal, size=3, keep=None),
    "half of the scores' differences": partial(equal, size=3, keep=0.5),
    "no scores": partial(equal, size=3, keep=0.0),
}


def compare(table: SrTable, run: str, searched: int, pairs: int, seeds: int) -> dict[str, dict[str, float]]:
    """Rule -> members, held-back PSNR, gain over the rule in use and its p."""
    measured, psnr = measure(table), {name: _psnr(table, name) for name in {run, "long"}}
    values: dict[str, list[float]] = {rule: [] for rule in RULES}
    sizes: dict[str, list[int]] = {rule: [] for rule in RULES}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        rng = np.random.default_rng(seed)
        rows, order = rng.permutation(len(table.rows))[:searched], rng.permutation(psnr["long"].shape[1])
        seen, judged = order[:pairs], order[pairs:]
        errors = at_levels(measured.validation["long"][judged], psnr["long"][:, judged])
        correlation = correlate(measured.validation[run][np.ix_(seen, rows, rows)]).values
        for name, rule in RULES.items():
            members, shares = rule(correlation, psnr[run][np.ix_(rows, seen)])
            values[name].append(float(psnr_by_pair(errors, rows[members].tolist(), shares).mean()))
            sizes[name].append(len(members))
    return {rule: _facts(sizes[rule], np.array(values[rule]), np.array(values[IN_USE])) for rule in RULES}


def _facts(sizes: list[int], values: Floats, in_use: Floats) -> dict[str, float]:
    gain = values - in_use
    p = float(wilcoxon(gain).pvalue) if gain.any() else 1.0
    return {"members": float(np.mean(sizes)), "psnr": float(values.mean()), "gain": float(gain.mean()), "p": p}


def _psnr(table: SrTable, run: str) -> Floats:
    return np.array([list(row["runs"][run]["psnr_rgb"].values()) for row in table.rows])


def markdown(results: Mapping[str, Any]) -> str:
    """The table of findings.md: gain in dB and p, a column for each setting."""
    settings = list(results["settings"])
    lines = ["| rule | " + " | ".join(settings) + " |", "|---" * (len(settings) + 1) + "|"]
    for rule in RULES:
        parts = [results["settings"][setting][rule] for setting in settings]
        cells = [f"{part['gain']:+.4f} ({part['p']:.0e}), {part['members']:.2f} members" for part in parts]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    table = SrTable.read(args.table)
    settings = {
        f"{run}, {searched} searched, {pairs} pairs": compare(table, run, searched, pairs, args.seeds)
        for run in ("short", "long")
        for searched in SEARCHED
        for pairs in PAIRS
    }
    results = {
        "how": f"`python -m benchmarks.nas.suite_rules --seeds {args.seeds}`",
        "settings": settings,
        "software": software(),
    }
    (args.out / "suite_rules.json").write_text(json.dumps(results, indent=1) + "\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
