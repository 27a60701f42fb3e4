"""The options of the ensemble: `upscale` has all, `evaluate` and `ablate` the switches and the patches' geometry."""

import argparse
import re
from typing import Any

from shared.errors import UsageError

QUALITIES = ("fast", "balanced", "paper")  # as train_torch.ensemble.plan, which imports torch
FUSIONS = ("mean", "robust")  # as train_torch.ensemble.fusion
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the switches of the levels, and the patches' geometry."""
    parser.add_argument(
        "--self-ensemble",
        action=argparse.BooleanOptionalAction,
        help="average over the eight flips and transposes (default: on)",
    )
    parser.add_argument(
        "--patch-ensemble",
        action=argparse.BooleanOptionalAction,
        help="blend overlapping patches; off: the whole image at once (default: on)",
    )
    parser.add_argument("--patch", type=int, metavar="PX", help="side of a patch, LR px (paper and default: 120)")
    parser.add_argument("--stride", type=int, metavar="PX", help="step between patches, LR px (paper and default: 60)")


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as keyword arguments of `train_torch.evaluation.evaluate.Levels`."""
    given = {name: getattr(args, name) for name in ("self_ensemble", "patch_ensemble", "patch", "stride")}
    return {name: value for name, value in given.items() if value is not None}


def parse_memory(text: str) -> int:
    """Bytes of `2GB`, `1.5 GiB`, `800M` or a plain number.

    Raises:
        UsageError: another form.

    Example:
        >>> parse_memory("2GB"), parse_memory("1.5GiB")
        (2000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*", text.upper())
    if match is None or match[2] not in UNITS:
        raise UsageError(f"memory: got {text!r}, expected bytes such as 2GB, 1.5GiB or 800MB")
    return int(float(match[1]) * UNITS[match[2]])
