"""Whole searches on sr_table.h5, by `search_paddle.search.run_search` with workers that answer from the table.

    .venv/bin/python -m benchmarks.nas.sr_table_search [--seeds 50] [--trials 20]

Three questions. How good is the best network after 16 and 20 long trainings, against random choice? How good is the suite found
in 20 short trainings, with proposals for the suite and without, chosen by errors and by score (held-out PSNR with shares fitted
to the long trainings, as in suite_selection.py)? What does early stopping save, and what does it cost? Writes
sr_table_search.json and .md here.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks.nas.sr_table import SPACE
from benchmarks.nas.sr_table_file import TABLE, SrTable
from benchmarks.nas.suite_selection import Measured, covariance, measure, paired, psnr_by_pair
from search_paddle.config import make_config
from search_paddle.early_stop import expected_score
from search_paddle.journal import Trial
from search_paddle.search import SearchResult, run_search
from shared.data.pack import PackPair, write_pack
from shared.error_shares import least_error_shares
from shared.spec import software

HERE = Path(__file__).parent
MARGINS = (0.0, 1.0, 2.0)
STOPPING_SEEDS = 15  # their searches are the long ones: 48 trials


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


def singles(args: argparse.Namespace, table: SrTable, pack: Path) -> dict[str, Any]:
    """Rank of the best of 16 and of all trials, ours and random."""
    scores = table.scores("long")
    ours: dict[int, list[int]] = {16: [], args.trials: []}
    chance: dict[int, list[int]] = {16: [], args.trials: []}
    for seed in range(args.seeds):
        found = search(args.table, "long", pack, seed, trials=args.trials, suite_proposals=False).trials
        order = np.random.default_rng([seed, 7]).permutation(scores)
        for count in ours:
            ours[count].append(rank(scores, max(t.score for t in found[:count] if t.score is not None)))
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
    for seed in range(args.seeds):
        for way, fields in ways.items():
            found = search(args.table, "short", pack, seed, trials=args.trials, **fields).members
            members = [rows[trial.id] for trial in found]
            shares = least_error_shares(covariance(measured, "long", members))
            values[way].append(float(psnr_by_pair(measured.crops, members, shares).mean()))
    first = np.array(values["for the suite in turn"])
    return {
        way: {"psnr": float(np.mean(each)), "gain": float(np.mean(first - each)), "p": paired(first - each)}
        for way, each in values.items()
    }


def stopping(args: argparse.Namespace, table: SrTable, pack: Path) -> dict[str, Any]:
    """Steps saved, the rank of the best, and the order of all trials with stopped ones at the score to expect."""
    scores, ids = table.scores("long"), [row["id"] for row in table.rows]
    truth = dict(zip(ids, scores, strict=True))
    result = {}
    for margin in (None, *MARGINS):
        steps, ranks, taus, stopped = [], [], [], []
        for seed in range(min(args.seeds, STOPPING_SEEDS)):
            fields = {"trials": 48, "suite_proposals": False, "stop_margin": margin}
            proxy = {"steps": 420, "validations": 3, "residual_windows": 0}
            trials = search(args.table, "long", pack, seed, **fields, proxy=proxy).trials
            trials = tuple(trial for trial in trials if trial.status != "failed")
            steps.append(sum(trial.steps for trial in trials) / (420 * len(trials)))
            stopped.append(sum(trial.status == "stopped" for trial in trials) / len(trials))
            ranks.append(rank(scores, max(trial.score for trial in trials if trial.score is not None)))
            expected = [expected_score(trial, earlier(trials, trial)) for trial in trials]
            taus.append(kendalltau(expected, [truth[trial.id] for trial in trials]).statistic)
        result[str(margin)] = {
            "steps": float(np.mean(steps)),
            "stopped": float(np.mean(stopped)),
            "rank": float(np.mean(ranks)),
            "kendall": float(np.mean(taus)),
        }
    return result


def earlier(trials: Sequence[Trial], trial: Trial) -> list[Trial]:
    """Those of the rounds before."""
    return [each for each in trials if each.round < trial.round]


def markdown(results: dict[str, Any]) -> str:
    """The tables of docs/suite.md."""
    lines = [results["how"], "", "| long trainings | mean rank of the best, ours | random | p |", "|---|---|---|---|"]
    lines += [f"| {n} | {e['ours']:.2f} | {e['random']:.2f} | {e['p']:.1e} |" for n, e in results["singles"].items()]
    lines += ["", "| proposals | held-out PSNR of the suite, dB | gain of the first way, dB | p |", "|---|---|---|---|"]
    lines += [f"| {w} | {e['psnr']:.3f} | {e['gain']:+.3f} | {e['p']:.1e} |" for w, e in results["suites"].items()]
    lines += [
        "",
        "| stop_margin | steps done | stopped | rank of the best | Kendall τ with the truth |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {m} | {e['steps']:.0%} | {e['stopped']:.0%} | {e['rank']:.2f} | {e['kendall']:.3f} |"
        for m, e in results["stopping"].items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Search, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    table = SrTable.read(args.table)
    measured = measure(table)
    with tempfile.TemporaryDirectory() as folder:
        pack = empty_pack(Path(folder) / "empty.h5")
        results = {
            "how": f"`python -m benchmarks.nas.sr_table_search --seeds {args.seeds} --trials {args.trials}`, "
            f"{len(table.rows)} of {SPACE.size} architectures.",
            "singles": singles(args, table, pack),
            "suites": suites(args, measured, pack),
            "stopping": stopping(args, table, pack),
            "software": software(),
        }
    (args.out / "sr_table_search.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "sr_table_search.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
