"""Searches on sr_table.h5: the best network, the suite, and early stopping.

    .venv/bin/python -m benchmarks.nas.sr_table_search [--seeds 50] [--suite-seeds 20] [--trials 20]

How good is the best network after 16 and 20 long trainings in rounds of four, against random choice? How good is the suite found
in 20 short trainings by `search_paddle.search.run_search` (workers answer from the table), with proposals for the suite and
without, chosen by errors and by score: held-out PSNR (whole crops) with shares fitted to the long trainings, as in
suite_selection.py? What does early stopping save, and what does it cost, over the whole table in random order, in rounds of four,
with the validations that the long trainings have? Writes sr_table_search.json and .md here.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.nas.sr_table import SPACE
from benchmarks.nas.sr_table_file import TABLE, SrTable
from benchmarks.nas.sr_table_replay import replay
from benchmarks.nas.suite_selection import Measured, covariance, measure, paired, psnr_by_pair
from search_paddle.config import SearchConfig, make_config
from search_paddle.early_stop import expected_score, floors, scores_by_steps
from search_paddle.gp_nas import GPNAS
from search_paddle.search import SearchResult, run_search
from search_paddle.suite.selection import ScoredSpec, select_suite
from shared.data.pack import PackPair, write_pack
from shared.ensemble_weights import least_error_weights
from shared.records.record import parse_value
from shared.records.trial import ProxyResult, Trial
from shared.spec import software

HERE = Path(__file__).parent
MARGINS = (0.0, 1.0, 2.0)
ROUND = 4


def search(table: Path, run: str, pack: Path, seed: int, **fields: Any) -> SearchResult:
    """A search of a run of the table, in a folder that is not kept."""
    command = (sys.executable, "-P", "-m", "benchmarks.nas.sr_table_replay", str(table), run)
    proxy = {"patch": 8, **fields.pop("proxy", {})}
    config = make_config({"jobs": 1, "seed": seed, "proxy": proxy, **fields})
    with tempfile.TemporaryDirectory() as folder:
        return run_search(pack, Path(folder), space=SPACE, config=config, command=command)


def empty_pack(path: Path) -> Path:
    """A pack of the right scale; the workers never look at it."""
    images = {"lr": np.zeros((16, 16, 3), np.uint8), "hr": np.zeros((64, 64, 3), np.uint8)}
    pairs = [PackPair(name=split, split=split, facts={}, **images) for split in ("train", "validation")]
    write_pack(path, pairs, scale=4, provenance={})
    return path


def rank(scores: np.ndarray, best: float) -> int:
    """1 + the number of better rows."""
    return 1 + int((scores > best + 1e-12).sum())


def singles(seeds: int, trials: int, table: SrTable) -> dict[str, Any]:
    """Rank of the best of 16 and of all trials, ours and random."""
    scores = table.scores("long")
    by_point = {SPACE.index(row["point"]): score for row, score in zip(table.rows, scores, strict=True)}
    ours: dict[int, list[int]] = {16: [], trials: []}
    chance: dict[int, list[int]] = {16: [], trials: []}
    for seed in range(seeds):
        sampler, found = GPNAS(SPACE, seed=seed, feasible=lambda point: SPACE.index(point) in by_point), []
        while len(found) < trials:
            points = sampler.ask(ROUND)
            found += [by_point[SPACE.index(point)] for point in points]
            sampler.tell(points, found[-len(points) :])
        order = np.random.default_rng([seed, 7]).permutation(scores)
        for count in ours:
            ours[count].append(rank(scores, max(found[:count])))
            chance[count].append(rank(scores, order[:count].max()))
    return {
        str(count): {
            "ours": float(np.mean(ours[count])),
            "random": float(np.mean(chance[count])),
            "p": paired(np.log(chance[count]) - np.log(ours[count])),
        }
        for count in ours
    }


def suites(args: argparse.Namespace, measured: Measured, pack: Path) -> dict[str, Any]:
    """Held-out PSNR of the suite found in short trainings."""
    ways: dict[str, dict[str, Any]] = {
        "for the suite in turn": {},
        "for the score": {"suite_proposals": False},
        "for the score, suite by score and family": {"suite_proposals": False, "proxy": {"residual_windows": 0}},
    }
    rows = {candidate.id: row for row, candidate in enumerate(measured.candidates["long"])}
    values: dict[str, list[float]] = {way: [] for way in ways}
    for seed in range(args.suite_seeds):
        for way, fields in ways.items():
            found = search(args.table, "short", pack, seed, trials=args.trials, **fields).members
            members = [rows[trial.id] for trial in found]
            shares = least_error_weights(covariance(measured, "long", members))
            values[way].append(float(psnr_by_pair(measured.crops, members, shares).mean()))
    first = np.array(values["for the suite in turn"])
    return {
        way: {"psnr": float(np.mean(each)), "gain": float(np.mean(first - each)), "p": paired(first - each)}
        for way, each in values.items()
    }


def stopping(seeds: int, table: SrTable) -> dict[str, Any]:
    """Steps done, the rank of the best, and the order of all trials with stopped ones at the score to expect."""
    truth = table.scores("long")
    result = {}
    for margin in (None, *MARGINS):
        steps = table.rows[0]["runs"]["long"]["steps"]
        config = make_config({"stop_margin": margin, "proxy": {"steps": steps, "validations": 3}})
        figures = [stopped_search(table, config, seed) for seed in range(seeds)]
        names = ("steps", "rank", "stopped", "kendall", "kendall_sampler")
        result[str(margin)] = dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))
    result["score at step 140"] = {
        "kendall": float(kendalltau([first_score(row) for row in table.rows], truth).statistic)
    }
    return result


def stopped_search(table: SrTable, config: SearchConfig, seed: int) -> tuple[float, int, float, float, float]:
    """Part of the steps done, rank of the best, part stopped, τ with the truth: of scores to expect, and by the sampler."""
    truth, trials = table.scores("long"), []
    order = np.random.default_rng(seed).permutation(len(table.rows)).tolist()
    for first in range(0, len(order), ROUND):
        known = list(trials)
        done = [
            ScoredSpec(id=each.id, family=each.architecture["family"], score=each.score) for each in known if each.score
        ]
        chosen = {member.id for member in select_suite(done).members}
        lowest = dict(floors(known, [each for each in known if each.id in chosen], config))
        trials += [
            trial(table.rows[row], number, lowest) for number, row in enumerate(order[first : first + ROUND], first)
        ]
    expected = [expected_score(each, trials[: each.trial // ROUND * ROUND]) for each in trials]
    best = max(each.score for each in trials if each.score is not None)
    return (
        sum(each.steps for each in trials) / (config.proxy.steps * len(trials)),
        rank(truth, best),
        sum(each.status == "stopped" for each in trials) / len(trials),
        float(kendalltau(expected, truth[order]).statistic),
        float(kendalltau(predicted(trials, config), truth[order]).statistic),
    )


def predicted(trials: list[Trial], config: SearchConfig) -> np.ndarray:
    """Scores of all trials as the sampler sees them that was told their learning curves: known, or predicted if stopped, dB."""
    sampler = GPNAS(SPACE, seed=0)
    for each in trials:
        curve = scores_by_steps(each, config)
        sampler.tell([each.point] * len(curve), curve.values(), curve)
    means, _ = sampler.predict([each.point for each in trials])
    return np.array([mean if each.score is None else each.score for mean, each in zip(means, trials, strict=True)])


def trial(row: Mapping[str, Any], number: int, lowest: dict[int, float]) -> Trial:
    """A long training of the table as a trial, ended where it falls below its floor."""
    result = parse_value(ProxyResult, replay(row["runs"]["long"], lowest) | {"seed": 0}, "row of the table")
    return Trial(
        trial=number,
        round=number // ROUND,
        id=row["id"],
        point=row["point"],
        architecture=row["architecture"],
        bicubic=0.0,
        predicted=None,
        elapsed=0.0,
        cost=row["cost"],
        **dict(result),
    )


def first_score(row: Mapping[str, Any]) -> float:
    """At the first validation of the long training, dB."""
    return float(row["runs"]["long"]["validation"][0][1])


def markdown(results: dict[str, Any]) -> str:
    """The tables, as findings.md describes them."""
    lines = [results["how"], "", "| long trainings | mean rank of the best, ours | random | p |", "|---|---|---|---|"]
    lines += [f"| {n} | {e['ours']:.2f} | {e['random']:.2f} | {e['p']:.1e} |" for n, e in results["singles"].items()]
    lines += ["", "| proposals | held-out PSNR of the suite, dB | gain of the first way, dB | p |", "|---|---|---|---|"]
    lines += [f"| {w} | {e['psnr']:.3f} | {e['gain']:+.3f} | {e['p']:.1e} |" for w, e in results["suites"].items()]
    lines += [
        "",
        "| stop_margin | steps done | stopped | rank of the best | τ with the truth, scores to expect | by the sampler |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {m} | {e['steps']:.0%} | {e['stopped']:.0%} | {e['rank']:.2f} | {e['kendall']:.3f} | {e['kendall_sampler']:.3f} |"
        for m, e in results["stopping"].items()
        if "steps" in e
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Search, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--suite-seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    table = SrTable.read(args.table)
    measured = measure(table)
    with tempfile.TemporaryDirectory() as folder:
        pack = empty_pack(Path(folder) / "empty.h5")
        results = {
            "how": f"`python -m benchmarks.nas.sr_table_search --seeds {args.seeds} --suite-seeds {args.suite_seeds} "
            f"--trials {args.trials}`, {len(table.rows)} of {SPACE.size} architectures.",
            "singles": singles(args.seeds, args.trials, table),
            "suites": suites(args, measured, pack),
            "stopping": stopping(args.seeds, table),
            "software": software(),
        }
    (args.out / "sr_table_search.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "sr_table_search.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
