"""`gpnas-sr data simulate`: LR/HR pairs from clean photographs by a camera model."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr data simulate builtin --scale 4 --out runs/simulated
gpnas-sr data simulate photos/ --scale 2 --out pairs/ --config camera.toml --seed 1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "photos",
        metavar="PHOTOS",
        help="folder of clean photographs, or `builtin`: those in scikit-image and scikit-learn",
    )
    parser.add_argument("--scale", type=int, required=True, help="HR side / LR side: 2, 3 or 4")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets LR/, HR/ and simulation.json")
    parser.add_argument(
        "--config", type=Path, metavar="C.toml", help="fields of the simulation, the camera's under [camera]"
    )
    parser.add_argument("--seed", type=int, help="of all that is drawn (default 0)")
    parser.add_argument("--count", type=int, help="pairs to make (default: all the photographs give)")
    parser.add_argument("--size", type=int, metavar="PX", help="side of an HR image (default 264)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make the pairs; options override the file."""
    from shared.simulation.photographs import find_photographs
    from shared.simulation.simulate import make_config, read_fields, simulate

    given = {name: value for name in ("seed", "count", "size") if (value := getattr(args, name)) is not None}
    fields = read_fields(args.config) if args.config else {}
    config = make_config({**fields, **given}, str(args.config or "options"))
    record = simulate(find_photographs(args.photos), args.out, scale=args.scale, config=config)
    return {"out": str(args.out), **record}


def render(value: dict[str, Any]) -> str:
    """A line a photograph, and the next command."""
    pairs, out = value["pairs"], value["out"]
    lines = [
        f"{len(pairs)} pairs of scale {value['scale']} {'stand already' if value['unchanged'] else 'written'} in {out}"
    ]
    for photograph in value["photographs"]:
        own = [pair["bicubic_psnr_rgb"] for pair in pairs if pair["photograph"] == photograph["name"]]
        numbers = f"{len(own):3} pairs, bicubic {sum(own) / len(own):5.2f} dB"
        lines.append(f"  {photograph['name']:20} {numbers}  {photograph['licence']}")
    lines += [f"  skipped {item['name']}: {item['reason']}" for item in value["skipped"]]
    mean = sum(pair["bicubic_psnr_rgb"] for pair in pairs) / len(pairs)
    lines.append(f"bicubic (a = -0.5), PSNR-RGB with {value['scale']} px cut off each side: {mean:.2f} dB on average")
    lines.append(f"next: gpnas-sr data prepare {out} --scale {value['scale']} --group '(.+)_' --out {out}.h5")
    return "\n".join(lines)
