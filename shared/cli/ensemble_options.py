"""The options of the ensemble, the same for `upscale`, `evaluate` and `ablate`."""

import argparse
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the switches of the levels, and the patches' geometry."""
    parser.add_argument(
        "--self-ensemble",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="average over the eight flips and transposes (default: on)",
    )
    parser.add_argument(
        "--patch-ensemble",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="blend overlapping patches; off: the whole image at once (default: on)",
    )
    parser.add_argument("--patch", type=int, default=120, metavar="PX", help="side of a patch, LR px (default 120)")
    parser.add_argument("--stride", type=int, default=60, metavar="PX", help="step between patches, LR px (default 60)")


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The options as keyword arguments of `train_torch.ensemble.upscale`."""
    return {name: getattr(args, name) for name in ("self_ensemble", "patch_ensemble", "patch", "stride")}
