"""`gpnas-sr archive show`: one spec of an archive."""

import argparse
import json
from pathlib import Path
from typing import Any

EXAMPLE = "gpnas-sr archive show runs/demo/search/archive drn-x4-5b0f3e0c1a2d"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive")
    parser.add_argument("id", help="id of the spec")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read and check the spec file."""
    from shared.records.archive import Archive

    return Archive(args.archive).read(args.id).to_json()


def render(value: dict[str, Any]) -> str:
    """The file as it stands."""
    return json.dumps(value, indent=2, ensure_ascii=False)
