"""`gpnas-sr archive verify`: check ids, costs and schemas of an archive."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = "gpnas-sr archive verify runs/demo/search/archive"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read every file and check it against itself; status 1 if one has a problem."""
    from shared.records.archive import Archive

    archive = Archive(args.archive)
    problems = archive.verify()
    return {"specs": len(archive.ids()), "problems": problems, "exit_status": 1 if problems else 0}


def render(value: dict[str, Any]) -> str:
    """The problems, or that there is none."""
    return "\n".join([*value["problems"], f"{value['specs']} specs, {len(value['problems'])} problems"])
