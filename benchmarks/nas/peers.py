"""Ours against PaddleSlim, Optuna, BoTorch, SMAC, HEBO, evolution, local search and random draws, on tables of trained networks.

    make peers-env paddleslim-env
    .venv-peers/bin/python -m benchmarks.nas.peers ../shared/data --out runs/peers

One process, one thread. What is finished is kept in the folder of --out, a line a piece of work; run again, it goes on. Our own
lines carry a hash of search_paddle/gp_nas, so after a change of the sampler only our searches run again. At the end the summary
is written to benchmarks/nas/peers.json and its tables to benchmarks/nas/results.md.
"""

import argparse
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from benchmarks.nas import report, speed
from benchmarks.nas.ledger import Ledger
from benchmarks.nas.paddleslim_original import PYTHON
from benchmarks.nas.predictions import DRAWS, MODELS, run_predictions
from benchmarks.nas.predictions import FIELDS as PREDICTION_FIELDS
from benchmarks.nas.problems import TRUTH
from benchmarks.nas.searches import FIELDS, METHODS, SEEDS, VARIANTS, our_version, run_searches
from benchmarks.nas.summary import summarise_predictions, summarise_searches
from benchmarks.nas.tables import Table, read_table
from shared.files import write_json

PARTS = ("searches", "predictions", "speed", "report")
SUMMARY = Path(__file__).with_name("peers.json")
PAGE = Path(__file__).with_name("results.md")
PACKAGES = ("numpy", "scipy", "scikit-learn", "optuna", "torch", "botorch", "gpytorch", "smac", "HEBO")


def main() -> None:
    arguments = parse()
    version = our_version()
    tables = {name: read_table(arguments.data, name) for name in TRUTH}
    searches = Ledger(arguments.out / "searches.jsonl", FIELDS)
    predictions = Ledger(arguments.out / "predictions.jsonl", PREDICTION_FIELDS)
    timings = arguments.out / "speed.json"
    if "searches" in arguments.parts:
        run_searches(
            tables, searches, arguments.methods, range(arguments.first, arguments.seeds), version, arguments.cases
        )
    if "predictions" in arguments.parts:
        names = [name for name in MODELS if arguments.models is None or name in arguments.models]
        run_predictions(arguments.data, predictions, names, arguments.draws, version)
    if "speed" in arguments.parts:
        write_json(timings, {"version": version, "rows": speed.measure(arguments.paddleslim)})
    if "report" in arguments.parts:
        summary = summarise(tables, searches, predictions, timings, version)
        write_json(SUMMARY, summary)
        report.write_tables(PAGE, summary)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data folder that holds nas/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished pieces")
    parser.add_argument(
        "--parts", nargs="*", default=PARTS, choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument(
        "--cases", nargs="*", default=VARIANTS, choices=VARIANTS, metavar="CASE", help=f"of {', '.join(VARIANTS)}"
    )
    parser.add_argument("--models", nargs="*", choices=MODELS, metavar="MODEL")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="searches of each method on each table")
    parser.add_argument("--first", type=int, default=0, help="the first seed, so that several processes share the work")
    parser.add_argument("--draws", type=int, default=DRAWS, help="predictions of each model on each table")
    parser.add_argument(
        "--paddleslim", type=Path, default=PYTHON, help="interpreter of the environment with paddleslim"
    )
    return parser.parse_args()


def summarise(
    tables: dict[str, Table], searches: Ledger, predictions: Ledger, timings: Path, version: str
) -> dict[str, Any]:
    """The committed result; a timing of other code than `version` says so."""
    timed = json.loads(timings.read_text()) if timings.is_file() else {"version": None, "rows": []}
    return {
        "command": "python -m benchmarks.nas.peers DATA --out runs/peers",
        "machine": "2 cores, AVX2; one thread",
        "python": platform.python_version(),
        "packages": {name: _installed(name) for name in PACKAGES},
        "ours": version,
        "searches": summarise_searches(searches.lines.values(), tables, version),
        "predictions": summarise_predictions(predictions.lines.values(), version),
        "speed": timed["rows"],
        "speed_ours": timed["version"],
    }


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
