"""BasicSR's form of a network: other names, and the mean shift as a constant of the code instead of arrays.

Source: XPixelGroup/BasicSR (commit 8d56e3a), basicsr/archs/rcan_arch.py. Files hold {"params": …} and perhaps {"params_ema": …}.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shared.errors import WeightsError
from shared.network.architecture import ArchSpec
from shared.network.families.rcan import RcanSpec
from weights_convert.convert.upstream.rcan import spec_of
from weights_convert.convert.upstream.upstream import Arrays, Parcel, Upstream, constant_mean, count

Names = Callable[[Any], Mapping[str, str]]  # spec -> BasicSR's name of a convolution -> ours


def ends(spec: ArchSpec, after_body: str) -> dict[str, str]:
    """First, middle and last convolutions of every network; `after_body` is our name of the one behind the body."""
    steps = {f"upsample.{2 * step}": f"tail.0.{2 * step}" for step in range(2 if spec.scale == 4 else 1)}
    return {"conv_first": "head.0", "conv_after_body": after_body, "conv_last": "tail.1", **steps}


def make_upstream(
    family: str, title: str, file: str, names: Names, mark: str, infer: Callable[[Arrays], ArchSpec]
) -> Upstream:
    """The upstream of a network of BasicSR.

    Args:
        family: of ours.
        title: of the network, for people.
        file: of BasicSR that the names come from.
        names: spec -> BasicSR's name of a convolution -> ours.
        mark: an array that tells a file of this network, beside `conv_first.weight`.
        infer: the spec of a state dict.
    """

    def table(spec: ArchSpec) -> dict[str, str]:
        if spec.family != family:
            raise WeightsError(f"BasicSR's {title} names; got a spec of family {spec.family}, expected {family}")
        return {
            f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in names(spec).items() for part in ("weight", "bias")
        }

    def to_own(arrays: Arrays, spec: ArchSpec) -> dict[str, np.ndarray]:
        own = table(spec)
        strangers = [name for name in arrays if name not in own]
        if strangers:
            raise WeightsError(f"unexpected {', '.join(strangers[:8])} among BasicSR's names, so nothing is loaded")
        return constant_mean(spec) | {own[name]: array for name, array in arrays.items()}

    def parcels(arrays: Arrays, spec: ArchSpec) -> dict[str, Parcel]:
        _refuse_other_constants(arrays, spec, title)
        state = {theirs: arrays[ours] for theirs, ours in table(spec).items()}
        return {"": Parcel(form="keyed", states={"params": state})}

    return Upstream(
        name=f"BasicSR {title}",
        source=f"XPixelGroup/BasicSR 8d56e3a, {file}",
        keys="basicsr",
        families=(family,),
        recognises=lambda source: {"conv_first.weight", mark} <= source.arrays.keys(),
        infer=infer,
        to_own=to_own,
        parcels=parcels,
        convention="RGB, 0 to 1 in and out; (x - mean) * 255 inside, mean and range constants of the code",
    )


def _refuse_other_constants(arrays: Arrays, spec: ArchSpec, title: str) -> None:
    """A mean shift that is not the constant of BasicSR's code has no place in its file."""
    as_theirs = spec.mean_shift == "div2k" and spec.value_range == 255 and spec.image_skip == "none"
    constant = constant_mean(spec) if as_theirs else {}
    moved = [name for name, array in constant.items() if not np.array_equal(arrays[name], array)]
    if not as_theirs or moved:
        what = f"{', '.join(moved)} were trained" if moved else "the spec has another mean, range or an image skip"
        raise WeightsError(
            f"{spec.id}: {what}; BasicSR's {title} has DIV2K's mean and range 255 in its code. Write --keys official"
        )


def _rcan_names(spec: RcanSpec) -> dict[str, str]:
    convs = ends(spec, f"body.{spec.groups}")
    for group in range(spec.groups):
        convs[f"body.{group}.conv"] = f"body.{group}.body.{spec.blocks}"
        for block in range(spec.blocks):
            theirs, ours = f"body.{group}.residual_group.{block}.rcab", f"body.{group}.body.{block}.body"
            convs |= {f"{theirs}.0": f"{ours}.0", f"{theirs}.2": f"{ours}.2"}
            convs |= {f"{theirs}.3.attention.{2 * part + 1}": f"{ours}.3.conv_du.{2 * part}" for part in range(2)}
    return convs


def _infer_rcan(arrays: Arrays) -> RcanSpec:
    """Range 255 and DIV2K's mean are BasicSR's defaults, and stand in no file."""
    return spec_of(
        arrays,
        groups=count(arrays, "body.{}.residual_group."),
        blocks=count(arrays, "body.0.residual_group.{}."),
        first="conv_first",
        upsampler="upsample",
        attention="body.0.residual_group.0.rcab.3.attention.1",
        mean_shift="div2k",
        value_range=255,
    )


RCAN = make_upstream(
    "rcan",
    "RCAN",
    "basicsr/archs/rcan_arch.py",
    _rcan_names,
    "body.0.residual_group.0.rcab.0.weight",
    _infer_rcan,
)
