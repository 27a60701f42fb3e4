"""`gpnas-sr archive add|list|show|diff|verify`: a folder of spec files."""

import argparse
import json
from pathlib import Path
from typing import Any

EXAMPLE_ADD = "gpnas-sr archive add archive/ runs/demo/search/archive/*.json"
EXAMPLE_LIST = "gpnas-sr archive list runs/demo/search/archive"
EXAMPLE_SHOW = "gpnas-sr archive show runs/demo/search/archive drn-x4-5b0f3e0c1a2d"
EXAMPLE_DIFF = "gpnas-sr archive diff archive/drn-x4-5b0f3e0c1a2d.json archive/rcan-x4-90fa6c7d8e1b.json"
EXAMPLE_VERIFY = "gpnas-sr archive verify runs/demo/search/archive"


def configure_add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive; it is made if it does not exist")
    parser.add_argument(
        "specs",
        nargs="+",
        metavar="SPEC",
        help="what to add: spec files, or suites and weights files, whose specs are added",
    )


def run_add(args: argparse.Namespace) -> dict[str, Any]:
    """Add every spec. All are read before the first is written."""
    from shared.records.archive import Archive
    from shared.records.resolve import resolve, spec_file

    files = [spec_file(member) for word in args.specs for member in resolve(word).members]
    archive = Archive(args.archive)
    return {"archive": str(args.archive), "added": [{"id": file.id, "path": str(archive.add(file))} for file in files]}


def render_add(value: dict[str, Any]) -> str:
    """One line for each spec."""
    return "\n".join(f"{entry['id']}  {entry['path']}" for entry in value["added"])


def configure_list(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive")


def run_list(args: argparse.Namespace) -> dict[str, Any]:
    """Read every spec file."""
    from shared.records.archive import Archive

    archive = Archive(args.archive)
    files = [archive.read(spec_id) for spec_id in archive.ids()]
    return {"specs": [{"id": f.id, "architecture": f.architecture, "cost": f.cost, "search": f.search} for f in files]}


def render_list(value: dict[str, Any]) -> str:
    """A table: id, parameters, operations, score of the proxy (the short training of the search)."""
    lines = [f"{'id':34} {'parameters':>12} {'MACs/px':>12} {'proxy PSNR':>11}"]
    for spec in value["specs"]:
        proxy = ((spec["search"] or {}).get("proxy") or {}).get("psnr_rgb")
        score = f"{proxy:8.3f} dB" if proxy is not None else "-"
        lines.append(
            f"{spec['id']:34} {spec['cost']['parameters']:12,} {spec['cost']['macs_per_pixel']:12,.0f} {score:>11}"
        )
    return "\n".join(lines)


def configure_show(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("archive", type=Path, help="folder of the archive")
    parser.add_argument("id", help="id of the spec")


def run_show(args: argparse.Namespace) -> dict[str, Any]:
    """Read and check the spec file."""
    from shared.records.archive import Archive

    return Archive(args.archive).read(args.id).to_json()


def render_show(value: dict[str, Any]) -> str:
    """The content of the file."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def configure_diff(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("a", help="a spec file or weights file")
    parser.add_argument("b", help="another spec file or weights file")


def run_diff(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the two architectures."""
    from shared.records.archive import diff
    from shared.records.resolve import resolve, spec_file

    a, b = (spec_file(resolve(word).one()) for word in (args.a, args.b))
    return {"a": a.id, "b": b.id, "fields": diff(a, b)}


def render_diff(value: dict[str, Any]) -> str:
    """One line for each field that differs; a dash where a family has no such field."""
    lines = [f"{'field':20} {value['a']:>34} {value['b']:>34}"]
    for field, pair in value["fields"].items():
        shown = ["-" if pair[side] is None else str(pair[side]) for side in ("a", "b")]
        lines.append(f"{field:20} {shown[0]:>34} {shown[1]:>34}")
    return "\n".join(lines) if value["fields"] else f"{value['a']}: no difference"


configure_verify = configure_list


def run_verify(args: argparse.Namespace) -> dict[str, Any]:
    """Read every file and check that id, cost and architecture agree; status 1 if one has a problem."""
    from shared.records.archive import Archive

    archive = Archive(args.archive)
    problems = archive.verify()
    return {"specs": len(archive.ids()), "problems": problems, "exit_status": 1 if problems else 0}


def render_verify(value: dict[str, Any]) -> str:
    """The problems, then both counts."""
    return "\n".join([*value["problems"], f"specs: {value['specs']}, problems: {len(value['problems'])}"])
