"""`gpnas-sr export`: a network or a suite as ONNX or as a torch.export program, any height and width."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr export runs/demo/suite.json suite.onnx
gpnas-sr export runs/train/members/drn-x4-0123456789ab.safetensors drn.onnx --opset 18
gpnas-sr export archive/drn-x4-0123456789ab.json drn.pt2
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="SPEC|SUITE|WEIGHTS",
        help="suite file or folder with one (becomes the weighted mean of its members), weights file, or spec file (untrained)",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="ends in .onnx or .pt2 (torch.export)")
    parser.add_argument(
        "--opset", type=int, default=17, metavar="N", help="opset of an ONNX file, 15 to 20 (default 17)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Export the networks, check them and write the file."""
    from shared.errors import UsageError

    lacking = [name for name in ("torch", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        raise UsageError(f"got no {', '.join(lacking)}, which exports need; pip install 'gpnas-sr[train,export]'")

    from train_torch.export.export import export, read_members

    return export(read_members(args.source), args.output, opset=args.opset)


def render(value: dict[str, Any]) -> str:
    """What was written, and its errors."""
    lines = [f"{len(value['members'])} networks, {value['parameters']} parameters, x{value['scale']}: {value['id']}"]
    if "opset" in value:
        lines.append(f"ONNX opset {value['opset']}, IR {value['ir_version']}, {value['nodes']} nodes")
    for entry in value["checks"]:
        size = f"{entry['images']} x {entry['width']}x{entry['height']} px"
        lines.append(
            f"error against the float64 reference on {size}: {entry['error']:.1e} (Torch itself {entry['torch_error']:.1e})"
        )
    return "\n".join([*lines, f"written: {value['out']}"])
