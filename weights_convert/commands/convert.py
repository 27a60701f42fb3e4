"""`gpnas-sr convert`: weights between safetensors, Paddle and Torch files, published checkpoints included."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr convert RCAN_BIX4.pt rcan_x4.safetensors
gpnas-sr convert drns4x.pt s.safetensors --dual dual_model_latest.pt
gpnas-sr convert runs/train/members/m.safetensors m.pdparams
gpnas-sr convert checkpoint.pth m.safetensors --spec archive/drn-x4-0123456789ab.json --key params_ema
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "input",
        type=Path,
        metavar="IN",
        help="weights: .safetensors, .pdparams, .pth; known by its content, not its name",
    )
    parser.add_argument(
        "output", type=Path, metavar="OUT", help="ends in .safetensors, .pdparams, .pth or .pt: that is what is written"
    )
    parser.add_argument(
        "--spec",
        type=Path,
        metavar="SPEC",
        help="what the network is (default: the file says so, or its names and shapes)",
    )
    parser.add_argument(
        "--key", metavar="KEY", help="which state dict, where the file holds several, such as params_ema"
    )
    parser.add_argument("--dual", type=Path, metavar="FILE", help="dual models in a file of their own (guoyongcs/DRN)")
    parser.add_argument(
        "--keys",
        choices=("own", "official", "basicsr", "paddlegan"),
        default="own",
        help="whose names OUT gets (default: our own, which for published networks are the official ones)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read, check, write."""
    from shared.records.resolve import resolve
    from weights_convert.convert.read import read_weights
    from weights_convert.convert.write import framework_of, write_weights

    framework_of(args.output)  # refuses before anything is read
    spec = None if args.spec is None else resolve(args.spec).one().spec
    incoming = read_weights(args.input, spec=spec, key=args.key, dual=args.dual)
    written = write_weights(args.output, incoming.file, keys=args.keys)
    return {
        "input": str(args.input),
        "format": incoming.file_format,
        "names": incoming.upstream.name,
        "spec": {"id": incoming.file.spec.id, "architecture": incoming.file.spec.architecture()},
        "spec_from": "--spec" if args.spec is not None else "names and shapes" if incoming.inferred else "file",
        "arrays": len(incoming.file.weights),
        "dual_models": len({name.split(".")[1] for name in incoming.file.weights if name.startswith("dual.")}),
        "provenance": incoming.file.provenance,
        "keys": args.keys,
        "written": [str(path) for path in written],
    }


def render(value: dict[str, Any]) -> str:
    """What it was, what it is now."""
    lines = [f"{value['input']}: {value['format']}, {value['names']} names, {value['arrays']} arrays"]
    if value["dual_models"]:
        lines[0] += f", {value['dual_models']} dual models among them"
    fields = ", ".join(f"{name} {field}" for name, field in value["spec"]["architecture"].items())
    lines.append(f"spec (from {value['spec_from']}): {value['spec']['id']}: {fields}")
    conventions = value["provenance"].get("conventions")
    if conventions is not None:
        lines.append(f"published as {conventions['published']}; here [0, 1] in and out")
    return "\n".join([*lines, *(f"written: {path}" for path in value["written"])])
