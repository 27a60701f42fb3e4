"""`gpnas-sr report`: one HTML page of runs."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr report runs/demo --out runs/demo/report.html
gpnas-sr report runs/search runs/train runs/ablation --out report.html --examples 8
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folder of a search, a training or an ablation, or one whose sub-folders are such runs",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="page to write (default report.html)"
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=6,
        metavar="N",
        help="most pairs to show pictures of, of each ablation (default 6)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read the runs, write the page."""
    from shared.errors import UsageError
    from shared.files import write_bytes
    from shared.report.page import render as render_page
    from shared.report.read import read_runs

    if args.examples < 0:
        raise UsageError(f"--examples: got {args.examples}, expected 0 or more")
    if args.out.is_dir():
        raise UsageError(f"{args.out}: this is a folder; expected the name of a file: --out {args.out / 'report.html'}")
    runs = read_runs(args.runs)
    page = render_page(runs, most_examples=args.examples)
    data = page.html.encode()
    write_bytes(args.out, data)
    return {
        "report": str(args.out),
        "bytes": len(data),
        "sections": list(page.sections),
        "searches": [run.label for run in runs.searches],
        "trainings": [run.label for run in runs.trainings],
        "ablations": [run.label for run in runs.ablations],
        "missing": [{"section": each.section, "text": each.text, "command": each.command} for each in page.missing],
    }


def render(value: dict[str, Any]) -> str:
    """What was found, what is missing, and where the page is."""
    lines = [f"{kind:10} {', '.join(value[kind]) or '-'}" for kind in ("searches", "trainings", "ablations")]
    lacking: dict[str, list[str]] = {}  # command -> sections that it would fill
    for each in value["missing"]:
        lacking.setdefault(each["command"], []).append(each["section"])
    lines += [f"left out   {', '.join(dict.fromkeys(names))}: {command}" for command, names in lacking.items()]
    return "\n".join([*lines, f"page       {value['report']} ({value['bytes'] / 1e6:.1f} MB)"])
