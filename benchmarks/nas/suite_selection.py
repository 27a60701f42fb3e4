"""Which rule chooses the better suite of three, on sr_table.h5: by residual covariance, the top 3, or the best of each family.

    .venv/bin/python -m benchmarks.nas.suite_selection [--seeds 100] [--searched 30]

For each seed 30 random architectures of the table count as searched. Each rule sees their scores and, the covariance rule, their
errors on the windows of the validation pairs, of the short trainings or of the long ones. The suite is judged by the long
trainings (another seed than the short ones) on the held-out pairs: mean over pairs of the PSNR of the mean of the members, and
beside it the PSNR of the mean squared error of all pairs together, which the hard pairs decide. Both by the windows alone, and
with correlations from the windows and levels from the whole crops (so a single network has its PSNR there, as in the search's own
criterion). Shares: equal, or fitted to the long trainings' errors on the validation windows, as a suite's may be after its
training. Signed-rank tests: over seeds (sub-tables of one table, judged
by the same pairs), and over the held-out pairs (differences averaged over seeds). Also the rank correlation of budgets. Writes
suite_selection.json and suite_selection.md here.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr, wilcoxon

from benchmarks.nas.sr_table_file import TABLE, SrTable
from search_paddle.proxy.validation import LEVELS
from search_paddle.suite.error_covariance import Floats, correlate, error_covariance, error_products
from search_paddle.suite.selection import ScoredSpec, select_complementary, select_suite
from shared.ensemble_weights import least_error_weights
from shared.spec import software

HERE = Path(__file__).parent
SIZE = 3
RULES = ("covariance", "top 3", "each family")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """The table as products of errors.

    Attributes:
        candidates: of one budget, in the order of the rows; budget -> candidates.
        validation: budget -> error products of the validation pairs (p, n, n).
        test: of the long trainings on the windows of the held-out pairs, mean squares in [0, 1], (q, n, n).
        crops: the same with the levels of the whole crops: single networks have exactly their PSNR there.
    """

    candidates: dict[str, list[ScoredSpec]]
    validation: dict[str, Floats]
    test: Floats
    crops: Floats


def measure(table: SrTable) -> Measured:
    """All products of a table."""
    candidates = {
        run: [
            ScoredSpec(
                id=row["id"], family=row["architecture"]["family"], score=row["runs"][run]["score"], cost=row["cost"]
            )
            for row in table.rows
        ]
        for run in ("short", "long")
    }
    pairs, test_pairs = len(table.bicubic["psnr_rgb"]), len(table.bicubic["test_psnr_rgb"])
    held_out = table.residuals["long", "test"]
    values = held_out[0].size // test_pairs
    test = error_products(held_out, test_pairs) / (values * LEVELS**2)
    psnr = np.array([list(row["runs"]["long"]["test_psnr_rgb"].values()) for row in table.rows])
    return Measured(
        candidates=candidates,
        validation={run: error_products(table.residuals[run, "validation"], pairs) for run in ("short", "long")},
        test=test,
        crops=at_levels(test, psnr),
    )


def at_levels(products: Floats, psnr: Floats) -> Floats:
    """Products (p, n, n) scaled so that single networks have this PSNR, (n, p), dB."""
    ratio = 10 ** (-psnr.T / 20) / np.sqrt(np.diagonal(products, axis1=1, axis2=2))
    return products * ratio[:, :, None] * ratio[:, None, :]


def psnr_by_pair(errors: Floats, members: list[int], shares: Floats) -> Floats:
    """PSNR of the mean of the members on each held-out pair, dB, from `Measured.test` or `Measured.crops`."""
    part = errors[:, members][:, :, members]
    return -10 * np.log10(np.einsum("i,pij,j->p", shares, part, shares))


def covariance(measured: Measured, run: str, rows: list[int]) -> Floats:
    """Of the rows, as a search that trained them would have it."""
    products = measured.validation[run][:, rows][:, :, rows]
    scores = np.array([measured.candidates[run][row].score for row in rows])
    return error_covariance(correlate(products).values, scores)


def choose(measured: Measured, run: str, rows: list[int]) -> dict[str, list[int]]:
    """Rule -> members."""
    candidates = [measured.candidates[run][row] for row in rows]
    places = {candidate.id: row for candidate, row in zip(candidates, rows, strict=True)}
    chosen = {
        "covariance": select_complementary(candidates, covariance(measured, run, rows), size=SIZE).members,
        "top 3": sorted(candidates, key=lambda candidate: -candidate.score)[:SIZE],
        "each family": select_suite(candidates, size=SIZE).members,
    }
    return {rule: [places[one.id] for one in members] for rule, members in chosen.items()}


def judge(measured: Measured, run: str, searched: int, seeds: int) -> dict[str, dict[str, Floats]]:
    """Held-out PSNR (seeds, pairs) of each rule: judged by windows or crops, with equal shares or with fitted ones."""
    parts = {"windows": measured.test, "whole crops": measured.crops}
    values: dict[str, dict[str, list[Floats]]] = {
        f"{judged}, {shares} shares": {rule: [] for rule in RULES} for judged in parts for shares in ("equal", "fitted")
    }
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(measured.candidates[run]))[:searched].tolist()
        for rule, members in choose(measured, run, rows).items():
            equal, fitted = np.full(SIZE, 1 / SIZE), least_error_weights(covariance(measured, "long", members))
            for judged, errors in parts.items():
                values[f"{judged}, equal shares"][rule].append(psnr_by_pair(errors, members, equal))
                values[f"{judged}, fitted shares"][rule].append(psnr_by_pair(errors, members, fitted))
    return {way: {rule: np.array(each) for rule, each in by_rule.items()} for way, by_rule in values.items()}


def compare(values: dict[str, Floats]) -> dict[str, Any]:
    """Means, and the covariance rule against the others: gain in dB with both tests."""
    together = {rule: pooled(each) for rule, each in values.items()}
    result: dict[str, Any] = {
        "psnr": {rule: float(each.mean()) for rule, each in values.items()},
        "pooled": {rule: float(each.mean()) for rule, each in together.items()},
    }
    for rule in RULES[1:]:
        gain, of_all = values["covariance"] - values[rule], together["covariance"] - together[rule]
        by_seed, by_pair = gain.mean(axis=1), gain.mean(axis=0)
        result[f"over {rule}"] = {
            "pooled gain": float(of_all.mean()),
            "pooled p over seeds": paired(of_all),
            "gain": float(gain.mean()),
            "seeds better": float((by_seed > 0).mean()),
            "seeds worse": float((by_seed < 0).mean()),
            "p over seeds": paired(by_seed),
            "pairs better": float((by_pair > 0).mean()),
            "p over pairs": paired(by_pair),
        }
    return result


def pooled(psnr: Floats) -> Floats:
    """PSNR of the mean squared error of all pairs (…, pairs), dB."""
    return -10 * np.log10((10 ** (-psnr / 10)).mean(axis=-1))


def paired(differences: Floats) -> float:
    """One-sided signed-rank test that the differences are positive; 1 where all are 0."""
    return float(wilcoxon(differences, alternative="greater").pvalue) if np.any(differences) else 1.0


def rank_correlations(table: SrTable) -> dict[str, dict[str, float]]:
    """Of scores at different budgets and steps with the long training's score."""
    final = table.scores("long")
    known: dict[str, Floats] = {"short training": table.scores("short")}
    for place, (step, _) in enumerate(table.rows[0]["runs"]["long"]["validation"][:-1]):
        curves = [row["runs"]["long"]["validation"][place][1] for row in table.rows]
        known[f"long training at step {step}"] = np.array(curves)
    known["parameters"] = np.array([row["cost"]["parameters"] for row in table.rows])
    if any("again" in row["runs"] for row in table.rows):
        known["long training, other seed"] = table.scores("again")
    return {name: _correlation(values, final) for name, values in known.items()}


def _correlation(values: Floats, final: Floats) -> dict[str, float]:
    both = np.isfinite(values) & np.isfinite(final)
    return {
        "rows": int(both.sum()),
        "kendall": float(kendalltau(values[both], final[both]).statistic),
        "spearman": float(spearmanr(values[both], final[both]).statistic),
    }


def markdown(results: dict[str, Any]) -> str:
    """The tables, as findings.md describes them."""
    lines = [
        results["how"],
        "",
        "| errors of | judged by | rule | held-out PSNR, dB | gain of covariance, dB | better on | p over seeds | p over pairs "
        "| all pairs together: PSNR, gain, p over seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run, parts in results["selection"].items():
        for way, part in parts.items():
            lines += [_line(run, way, rule, part) for rule in RULES]
    lines += [
        "",
        "| rank correlation with the long training's score | rows | Kendall τ | Spearman ρ |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each['rows']} | {each['kendall']:.3f} | {each['spearman']:.3f} |"
        for name, each in results["rank correlation"].items()
    ]
    return "\n".join(lines) + "\n"


def _line(run: str, way: str, rule: str, part: dict[str, Any]) -> str:
    start = f"| {run} | {way} | {rule} | {part['psnr'][rule]:.3f} |"
    if rule == RULES[0]:
        return f"{start} | | | | {part['pooled'][rule]:.3f} |"
    over = part[f"over {rule}"]
    seeds = f"{over['seeds better']:.0%} of seeds (worse on {over['seeds worse']:.0%})"
    better = f"{seeds}, {over['pairs better']:.0%} of pairs"
    together = f"{part['pooled'][rule]:.3f}, {over['pooled gain']:+.3f}, {over['pooled p over seeds']:.1e}"
    return f"{start} {over['gain']:+.3f} | {better} | {over['p over seeds']:.1e} | {over['p over pairs']:.1e} | {together} |"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--searched", type=int, default=30)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    table = SrTable.read(args.table)
    measured = measure(table)
    selection = {}
    for run in ("short", "long"):
        judged = judge(measured, run, args.searched, args.seeds)
        selection[run] = {way: compare(values) for way, values in judged.items()}
    results = {
        "how": f"`python -m benchmarks.nas.suite_selection --seeds {args.seeds} --searched {args.searched}`, {len(table.rows)} "
        f"architectures, {len(measured.test)} held-out pairs; single networks {_singles(measured)} dB there.",
        "selection": selection,
        "rank correlation": rank_correlations(table),
        "software": software(),
    }
    (args.out / "suite_selection.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "suite_selection.md").write_text(markdown(results))
    print(markdown(results))


def _singles(measured: Measured) -> str:
    values = [psnr_by_pair(measured.crops, [row], np.ones(1)).mean() for row in range(len(measured.test[0]))]
    return f"{min(values):.3f} to {max(values):.3f}"


if __name__ == "__main__":
    main()
