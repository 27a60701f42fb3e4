"""`gpnas-sr archive diff`: fields in which two specs differ."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = "gpnas-sr archive diff archive/drn-x4-5b0f3e0c1a2d.json archive/rcan-x4-90fa6c7d8e1b.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("a", type=Path, help="a spec file")
    parser.add_argument("b", type=Path, help="another spec file")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the two architectures."""
    from shared.records.archive import diff
    from shared.spec import read_spec_file

    a, b = read_spec_file(args.a), read_spec_file(args.b)
    return {"a": a.id, "b": b.id, "fields": diff(a, b)}


def render(value: dict[str, Any]) -> str:
    """One line a field; a dash where a family has no such field."""
    lines = [f"{'field':20} {value['a']:>34} {value['b']:>34}"]
    for field, pair in value["fields"].items():
        shown = ["-" if pair[side] is None else str(pair[side]) for side in ("a", "b")]
        lines.append(f"{field:20} {shown[0]:>34} {shown[1]:>34}")
    return "\n".join(lines) if value["fields"] else f"{value['a']}: no difference"
