"""Official RCAN checkpoints (Zhang et al. 2018), ×2, ×3, ×4: names as ours, rebuilt from the published shapes.

Source: yulunzhang/RCAN (commit f722e5d), RCAN_TrainCode/code/model/rcan.py. Files are bare state dicts (`RCAN_BIX2.pt` …).
"""

from collections.abc import Mapping

from shared.network.architecture import ArchSpec
from shared.network.families.rcan import RcanSpec
from shared.spec import parse
from weights_convert.convert.upstream.upstream import (
    Arrays,
    Parcel,
    Source,
    Upstream,
    count,
    flat,
    mean_shift,
    reduction,
    refuse_unlike,
    scale_of,
    shape,
)


def recognises(source: Source) -> bool:
    """Whether names are the official ones."""
    return {"head.0.weight", "body.0.body.0.body.0.weight"} <= source.arrays.keys()


def infer(arrays: Arrays) -> RcanSpec:
    """The spec: every number stands in a shape or a name."""
    tag, value_range = mean_shift(arrays)
    return spec_of(
        arrays,
        groups=count(arrays, "body.{}.body."),
        blocks=count(arrays, "body.0.body.{}.body."),
        first="head.0",
        upsampler="tail.0",
        attention="body.0.body.0.body.3.conv_du.0",
        mean_shift=tag,
        value_range=value_range,
    )


def spec_of(arrays: Arrays, *, first: str, upsampler: str, attention: str, **fields: int | str) -> RcanSpec:
    """The spec of arrays under any names.

    Args:
        arrays: name -> array.
        first: name of the first convolution.
        upsampler: what the names of the upsampler's convolutions begin with.
        attention: name of the first convolution of an attention.
        fields: of the spec that are known.
    """
    features = shape(arrays, f"{first}.weight")[0]
    hidden = shape(arrays, f"{attention}.weight")[0]
    spec = parse(
        {
            "family": "rcan",
            "features": features,
            "scale": scale_of(arrays, features, upsampler),
            "reduction": reduction(features, hidden, f"{attention}.weight"),
            **fields,
        }
    )
    assert isinstance(spec, RcanSpec)
    return spec


def parcels(arrays: Arrays, spec: ArchSpec) -> Mapping[str, Parcel]:
    """A bare state dict; refused where the official network would compute something else with it."""
    refuse_unlike(spec, "official RCAN")
    return flat(arrays)


UPSTREAM = Upstream(
    name="RCAN",
    source="yulunzhang/RCAN f722e5d, RCAN_TrainCode/code/model/rcan.py",
    keys="official",
    families=("rcan",),
    recognises=recognises,
    infer=infer,
    parcels=parcels,
    convention="RGB, 0 to {range} in and out; mean shift by trained 1x1 convolutions",
)
