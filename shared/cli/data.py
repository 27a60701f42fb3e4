"""`gpnas-sr data simulate|prepare|check`: LR/HR pairs made, packed and measured.

A pair is a photograph in low and in high resolution (LR, HR). A pack is one HDF5 file of pairs, from which the search and the
training read. NCC is the normalised cross-correlation of the two images of a pair: 1 where they show the same.
"""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE_SIMULATE = """
gpnas-sr data simulate builtin --scale 4 --out runs/simulated
gpnas-sr data simulate photos/ --scale 2 --out pairs/ --config camera.toml --seed 1
"""
EXAMPLE_PREPARE = """
gpnas-sr data prepare RealSR/Canon/Train/4 --scale 4 --out canon.h5
gpnas-sr data prepare pairs/ --out pack.h5 --include 'Canon_*' --validation 'Canon_03*'
"""
EXAMPLE_CHECK = """
gpnas-sr data check pack.h5
gpnas-sr data check RealSR/Nikon/Test/4 --scale 4 --ncc ncc_y_hr
"""

NCC = ("ncc_rgb_lr", "ncc_y_hr")
NCC_HELP = "definition of the NCC, the correlation of LR and HR: ncc_rgb_lr (default: RGB, on the LR grid) or ncc_y_hr"
PREPARE_OPTIONS = ("ncc", "ncc_threshold", "validation_fraction", "validation", "group", "seed", "include", "exclude")


def configure_simulate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "photos",
        metavar="PHOTOS",
        help="folder of clean photographs, or the word builtin: the photographs in scikit-image and scikit-learn",
    )
    parser.add_argument("--scale", type=int, required=True, help="HR side / LR side: 2, 3 or 4")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder that gets LR/, HR/ and simulation.json"
    )
    parser.add_argument(
        "--config", type=Path, metavar="C.toml", help="settings of the simulation; those of the camera under [camera]"
    )
    parser.add_argument("--seed", type=int, help="seed of cameras and noise (default 0)")
    parser.add_argument("--count", type=int, help="number of pairs (default: as many as the photographs give)")
    parser.add_argument("--size", type=int, metavar="PX", help="side of an HR image, px (default 264)")


def run_simulate(args: argparse.Namespace) -> dict[str, Any]:
    """Make the pairs. Options take precedence over the configuration file."""
    from shared.simulation.photographs import find_photographs
    from shared.simulation.simulate import make_config, read_fields, simulate

    given = {name: value for name in ("seed", "count", "size") if (value := getattr(args, name)) is not None}
    fields = read_fields(args.config) if args.config else {}
    config = make_config({**fields, **given}, str(args.config or "options"))
    record = simulate(find_photographs(args.photos), args.out, scale=args.scale, config=config)
    return {"out": str(args.out), **record}


def render_simulate(value: dict[str, Any]) -> str:
    """A line for each photograph, and the next command."""
    pairs, out = value["pairs"], value["out"]
    done = "were there already, unchanged, in" if value["unchanged"] else "written to"
    lines = [f"{len(pairs)} pairs of scale {value['scale']} {done} {out}"]
    for photograph in value["photographs"]:
        own = [pair["bicubic_psnr_rgb"] for pair in pairs if pair["photograph"] == photograph["name"]]
        numbers = f"{len(own):3} pairs, bicubic {sum(own) / len(own):5.2f} dB"
        lines.append(f"  {photograph['name']:20} {numbers}  {photograph['licence']}")
    lines += [f"  skipped {item['name']}: {item['reason']}" for item in value["skipped"]]
    mean = sum(pair["bicubic_psnr_rgb"] for pair in pairs) / len(pairs)
    lines.append(f"bicubic (a = -0.5), PSNR-RGB with {value['scale']} px cut off each side: {mean:.2f} dB on average")
    lines.append(f"next: gpnas-sr data prepare {out} --scale {value['scale']} --group '(.+)_' --out {out}.h5")
    return "\n".join(lines)


def configure_prepare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="SRC", help="folder of pairs; its sub-folders are searched too"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PACK.h5",
        help="pack to write; PACK.h5.report.json is written beside it",
    )
    parser.add_argument("--scale", type=int, help="2, 3 or 4 (default: found from the sizes of the images)")
    parser.add_argument("--ncc", choices=NCC, help=NCC_HELP)
    parser.add_argument(
        "--ncc-threshold", type=float, metavar="T", help="drop the pairs whose NCC is below T (default 0.99)"
    )
    for name, help_text in (
        ("--include", "use only the pairs whose names match"),
        ("--exclude", "leave out the pairs whose names match"),
        ("--validation", "validate on the pairs whose names match"),
    ):
        parser.add_argument(
            name, action="append", metavar="PATTERN", help=f"{help_text} (shell pattern; the option may be repeated)"
        )
    parser.add_argument(
        "--validation-fraction",
        type=float,
        metavar="F",
        help="without --validation: fraction of the pairs to validate on (default 600/19000)",
    )
    parser.add_argument(
        "--group",
        metavar="REGEX",
        help="pairs for which the first group of REGEX matches the same text are never split between training and validation",
    )
    parser.add_argument("--seed", type=int, help="seed that chooses the fraction (default 0)")


def run_prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the pack. Dropped pairs are listed; the command fails only where no pair is kept."""
    from shared.data.prepare import make_config, prepare, report_path

    config = make_config({name: value for name in PREPARE_OPTIONS if (value := getattr(args, name)) is not None})
    report = prepare(args.sources, args.out, config=config, scale=args.scale)
    return {**report.to_json(), "pack": str(args.out), "report": str(report_path(args.out))}


def render_prepare(value: dict[str, Any]) -> str:
    """How many pairs were found, kept and dropped, and the files written."""
    lines = [f"layout: {value['layout']}; scale {value['scale']}"]
    lines.append(
        f"{value['pairs']} pairs: {value['kept']} kept ({value['train']} train, {value['validation']} validation), "
        f"{len(value['dropped'])} dropped"
    )
    lines.append(f"{value['config']['ncc']}: median {value['ncc']['median']:.4f}, lowest {value['ncc']['min']:.4f}")
    if value["shift"]:
        lines.append(f"shift: median {value['shift']['median']:.2f}, largest {value['shift']['max']:.2f} LR px")
    lines += [f"  dropped {item['name']}: {item['reason']}" for item in value["dropped"]]
    done = "was there already, unchanged" if value["unchanged"] else "written"
    lines.append(f"{value['pack']} {done} (content {value['sha256'][:12]}); report: {value['report']}")
    return "\n".join(lines)


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", type=Path, metavar="PACK.h5|DIR", help="a pack, or a folder of pairs")
    parser.add_argument("--scale", type=int, help="scale of a folder's pairs (default: found from their sizes)")
    parser.add_argument("--ncc", choices=NCC, default=NCC[0], help=NCC_HELP)
    parser.add_argument(
        "--ncc-threshold",
        type=float,
        default=0.99,
        metavar="T",
        help="a pair whose NCC is below T is a problem (default %(default)s)",
    )


def run_check(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every pair; status 2 if one has a problem."""
    from shared.data.check import check

    value = check(args.path, scale=args.scale, definition=args.ncc, threshold=args.ncc_threshold)
    return {**value, "exit_status": 2} if value["problems"] else value


def render_check(value: dict[str, Any]) -> str:
    """A line for each pair, then the problems."""
    width = max([4, *(len(pair["name"]) for pair in value["pairs"])])
    lines = [f"{value['path']}: {value['kind']}, pairs: {len(value['pairs'])}, scale {value['scale']}"]
    lines.append(f"{'name':{width}}  split       LR         HR         bits   ncc_rgb_lr  ncc_y_hr  shift (LR px)")
    for pair in value["pairs"]:
        lr, hr = ("x".join(map(str, pair[key])) for key in ("lr_size", "hr_size"))
        shift = "{:+.2f} {:+.2f}".format(*pair["shift"]) if pair["shift"] else "-"
        lines.append(
            f"{pair['name']:{width}}  {pair['split'] or '-':10}  {lr:9}  {hr:9}  {'/'.join(map(str, pair['bits'])):5}  "
            f"{pair['ncc_rgb_lr']:10.4f}  {pair['ncc_y_hr']:8.4f}  {shift}"
        )
    lines += [f"problem {item['name']}: {item['reason']}" for item in value["problems"]]
    lines.append(f"problems: {len(value['problems'])}")
    return "\n".join(lines)
