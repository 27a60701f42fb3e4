"""BasicSR's RCAN: other names, and the mean shift as a constant of the code instead of arrays.

Source: XPixelGroup/BasicSR (commit 8d56e3a), basicsr/archs/rcan_arch.py. Files hold {"params": …} and perhaps {"params_ema": …}.
"""

import re

import numpy as np

from shared.errors import WeightsError
from shared.network.architecture import ArchSpec
from shared.network.families.rcan import RcanSpec
from weights_convert.convert.upstream import rcan
from weights_convert.convert.upstream.upstream import Arrays, Parcel, Source, Upstream, constant_mean

# BasicSR's names -> ours; the body's last convolution has a number that only the spec knows
RULES = (
    (re.compile(r"^conv_first\."), "head.0."),
    (re.compile(r"^body\.(\d+)\.residual_group\.(\d+)\.rcab\.3\.attention\.1\."), r"body.\1.body.\2.body.3.conv_du.0."),
    (re.compile(r"^body\.(\d+)\.residual_group\.(\d+)\.rcab\.3\.attention\.3\."), r"body.\1.body.\2.body.3.conv_du.2."),
    (re.compile(r"^body\.(\d+)\.residual_group\.(\d+)\.rcab\.([02])\."), r"body.\1.body.\2.body.\3."),
    (re.compile(r"^body\.(\d+)\.conv\."), r"body.\1.body.{blocks}."),
    (re.compile(r"^conv_after_body\."), "body.{groups}."),
    (re.compile(r"^upsample\."), "tail.0."),
    (re.compile(r"^conv_last\."), "tail.1."),
)


def own_name(name: str, groups: int, blocks: int) -> str:
    """Our name of one of BasicSR's; one that no rule knows is left, to be reported.

    Example:
        >>> own_name("body.3.conv.bias", groups=10, blocks=20)
        'body.3.body.20.bias'
    """
    for pattern, replacement in RULES:
        if pattern.match(name):
            return pattern.sub(replacement.format(groups=groups, blocks=blocks), name)
    return name


def names_of(spec: RcanSpec) -> dict[str, str]:
    """Our name -> BasicSR's, for every array that BasicSR has."""
    convs = {"conv_first": "head.0", "conv_after_body": f"body.{spec.groups}", "conv_last": "tail.1"}
    convs |= {f"upsample.{2 * step}": f"tail.0.{2 * step}" for step in range(2 if spec.scale == 4 else 1)}
    for group in range(spec.groups):
        convs[f"body.{group}.conv"] = f"body.{group}.body.{spec.blocks}"
        for block in range(spec.blocks):
            theirs, ours = f"body.{group}.residual_group.{block}.rcab", f"body.{group}.body.{block}.body"
            convs |= {f"{theirs}.0": f"{ours}.0", f"{theirs}.2": f"{ours}.2"}
            convs |= {f"{theirs}.3.attention.{2 * part + 1}": f"{ours}.3.conv_du.{2 * part}" for part in range(2)}
    return {f"{ours}.{part}": f"{theirs}.{part}" for theirs, ours in convs.items() for part in ("weight", "bias")}


def infer(arrays: Arrays) -> RcanSpec:
    """The spec; range 255 and DIV2K's mean are BasicSR's defaults, and stand in no file."""
    renamed = {own_name(name, groups=9999, blocks=9999): array for name, array in arrays.items()}
    inside = {name: array for name, array in renamed.items() if "9999" not in name}
    return rcan.spec_of(inside, "div2k", 255)


def to_own(arrays: Arrays, spec: ArchSpec) -> dict[str, np.ndarray]:
    """Our names, and the constant mean shift as arrays."""
    if not isinstance(spec, RcanSpec):
        raise WeightsError(f"BasicSR's RCAN names; got a spec of family {spec.family}, expected rcan")
    names = {name: own_name(name, spec.groups, spec.blocks) for name in arrays}
    strangers = [theirs for theirs, ours in names.items() if theirs == ours]
    if strangers:
        raise WeightsError(f"unexpected {', '.join(strangers[:8])} among BasicSR's names, so nothing is loaded")
    return constant_mean(spec) | {names[name]: array for name, array in arrays.items()}


def parcels(arrays: Arrays, spec: ArchSpec) -> dict[str, Parcel]:
    """A file {"params": …}; a mean shift that is not the constant has no place in it."""
    assert isinstance(spec, RcanSpec)
    as_theirs = spec.mean_shift == "div2k" and spec.value_range == 255 and spec.image_skip == "none"
    constant = constant_mean(spec) if as_theirs else {}
    moved = [name for name, array in constant.items() if not np.array_equal(arrays[name], array)]
    if not as_theirs or moved:
        what = f"{', '.join(moved)} were trained" if moved else "the spec has another mean, range or an image skip"
        raise WeightsError(
            f"{spec.id}: {what}; BasicSR's RCAN has DIV2K's mean and range 255 in its code. Write --keys official"
        )
    names = names_of(spec)
    return {
        "": Parcel(
            form="keyed", states={"params": {names[name]: array for name, array in arrays.items() if name in names}}
        )
    }


def recognises(source: Source) -> bool:
    """Whether names are BasicSR's."""
    return {"conv_first.weight", "body.0.residual_group.0.rcab.0.weight"} <= source.arrays.keys()


RCAN = Upstream(
    name="BasicSR RCAN",
    source="XPixelGroup/BasicSR 8d56e3a, basicsr/archs/rcan_arch.py",
    keys="basicsr",
    families=("rcan",),
    recognises=recognises,
    infer=infer,
    to_own=to_own,
    parcels=parcels,
    convention="RGB, 0 to 1 in and out; (x - mean) * 255 inside, mean and range constants of the code",
)
