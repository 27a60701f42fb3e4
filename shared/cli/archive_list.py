"""`gpnas-sr archive list`: the specs of an archive."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = "gpnas-sr archive list runs/demo/search/archive"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read every spec file."""
    from shared.records.archive import Archive

    archive = Archive(args.archive)
    files = [archive.read(spec_id) for spec_id in archive.ids()]
    return {"specs": [{"id": f.id, "architecture": f.architecture, "cost": f.cost, "search": f.search} for f in files]}


def render(value: dict[str, Any]) -> str:
    """A table: id, parameters, operations, proxy score."""
    lines = [f"{'id':34} {'parameters':>12} {'MACs/px':>12} {'proxy PSNR':>11}"]
    for spec in value["specs"]:
        proxy = ((spec["search"] or {}).get("proxy") or {}).get("psnr_rgb")
        score = f"{proxy:8.3f} dB" if proxy is not None else "-"
        lines.append(
            f"{spec['id']:34} {spec['cost']['parameters']:12,} {spec['cost']['macs_per_pixel']:12,.0f} {score:>11}"
        )
    return "\n".join(lines)
