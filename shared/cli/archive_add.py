"""`gpnas-sr archive add`: put spec files into an archive."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = "gpnas-sr archive add archive/ runs/demo/search/archive/*.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive; made if missing")
    parser.add_argument("specs", type=Path, nargs="+", metavar="SPEC", help="spec files")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Add every file; all are read before the first is written."""
    from shared.records.archive import Archive
    from shared.spec import read_spec_file

    files = [read_spec_file(path) for path in args.specs]
    archive = Archive(args.archive)
    return {"archive": str(args.archive), "added": [{"id": file.id, "path": str(archive.add(file))} for file in files]}


def render(value: dict[str, Any]) -> str:
    """One line a file."""
    return "\n".join(f"{entry['id']}  {entry['path']}" for entry in value["added"])
