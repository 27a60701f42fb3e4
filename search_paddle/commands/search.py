"""`gpnas-sr search`: search architectures on a pack."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from shared.errors import UsageError

EXAMPLE = """
gpnas-sr search pack.h5 --out runs/search --trials 32 --jobs 2
gpnas-sr search pack.h5 --out runs/small --space space.toml --minutes 120 --max-parameters 2000000
"""

SHOWN = 10  # trials in the table
ANSWERED = ("id", "architecture", "score", "status", "reason")  # fields of a trial in the answer

STOPS = {
    "trials": "all trials have ended; for more, run again with a higher --trials",
    "minutes": "the time is over; for more, run again with higher --minutes",
    "space": "no feasible architecture is left in the space",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK.h5", help="pairs, from `gpnas-sr data prepare`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; run again to continue"
    )
    parser.add_argument(
        "--space",
        type=Path,
        metavar="S.toml",
        help="what to search: [families.NAME] tables of choices; a space over drn and rcan by default",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="short trainings in all (default 32)")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="begin no new round of trials after so long (default: no limit)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="J", help="worker processes of one thread each (default: one a core)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="K", help="of proposals, initial weights and order of crops (default 0)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="C.toml",
        help="settings (round_size = 4, …) and a table [proxy] (steps = 500, patch = 32, …)",
    )
    parser.add_argument(
        "--max-parameters", type=int, metavar="P", help="most weights of a proposal (default: no limit)"
    )
    parser.add_argument(
        "--max-macs",
        type=float,
        metavar="M",
        help="most multiply-accumulates per LR pixel of a proposal (default: no limit)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Search; the answer has the score of each trial and the suite."""
    if importlib.util.find_spec("paddle") is None:  # else only the workers' logs would name the cause
        raise UsageError(
            "got an environment without PaddlePaddle, expected it for the search; pip install 'gpnas-sr[search]'"
        )
    from search_paddle.config import read_config
    from search_paddle.search import run_search
    from search_paddle.space import read_space

    config = read_config(
        args.config,
        trials=args.trials,
        minutes=args.minutes,
        jobs=args.jobs,
        seed=args.seed,
        max_parameters=args.max_parameters,
        max_macs_per_pixel=args.max_macs,
    )
    result = run_search(args.pack, args.out, space=read_space(args.space, args.pack), config=config)
    return {
        "trials": [
            {name: getattr(trial, name) for name in ANSWERED} | {"parameters": trial.cost["parameters"]}
            for trial in result.trials
        ],
        "bicubic": result.bicubic,
        "stopped": result.stopped,
        "suite": str(result.suite),
        "members": [trial.id for trial in result.members],
        "run": str(args.out),
        "data": str(args.pack),
    }


def render(value: dict[str, Any]) -> str:
    """The best trials beside bicubic, the stopped and failed ones with their reasons, the suite, and what to do next."""
    done = sorted((trial for trial in value["trials"] if trial["score"] is not None), key=lambda trial: -trial["score"])
    others = [trial for trial in value["trials"] if trial["status"] != "done"]
    width = max(len("bicubic"), *(len(trial["id"]) for trial in value["trials"]))
    lines = [f"{'trial':{width}}  parameters  PSNR-RGB  over bicubic", f"{'bicubic':{width}}{value['bicubic']:22.2f}"]
    lines += [
        f"{trial['id']:{width}}  {trial['parameters']:10,}  {trial['score']:8.2f}  {trial['score'] - value['bicubic']:+12.2f}"
        for trial in done[:SHOWN]
    ]
    if len(done) > SHOWN:
        lines.append(f"and {len(done) - SHOWN} more")
    lines += [f"{trial['status']}: {trial['id']}: {trial['reason']}" for trial in others]
    run, data = value["run"], value["data"]
    return "\n".join(
        [
            *lines,
            "",
            "validation pairs after a short training, dB",
            f"{len(value['trials'])} trials; {STOPS[value['stopped']]}",
            f"suite: {value['suite']} ({', '.join(value['members'])})",
            "next:",
            f"  gpnas-sr train {run} --data {data} --out {run}-trained",
        ]
    )
