"""Official RCAN checkpoints (Zhang et al. 2018), ×2, ×3, ×4: names as ours, rebuilt from the published shapes.

Source: yulunzhang/RCAN (commit f722e5d), RCAN_TrainCode/code/model/rcan.py. Files are bare state dicts (`RCAN_BIX2.pt` …).
"""

from collections.abc import Mapping

from shared.errors import WeightsError
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
    shape,
)


def recognises(source: Source) -> bool:
    """Whether names are the official ones."""
    return {"head.0.weight", "body.0.body.0.body.0.weight"} <= source.arrays.keys()


def infer(arrays: Arrays) -> RcanSpec:
    """The spec: every number stands in a shape or a name."""
    tag, value_range = mean_shift(arrays)
    return spec_of(arrays, tag, value_range)


def spec_of(arrays: Arrays, tag: str, value_range: int) -> RcanSpec:
    """The spec, its mean and range given."""
    features = shape(arrays, "head.0.weight")[0]
    attention = "body.0.body.0.body.3.conv_du.0.weight"
    fields = {
        "family": "rcan",
        "features": features,
        "groups": count(arrays, "body.{}.body."),
        "blocks": count(arrays, "body.0.body.{}.body."),
        "scale": scale_of(arrays, features),
        "reduction": reduction(features, shape(arrays, attention)[0], attention),
        "mean_shift": tag,
        "value_range": value_range,
    }
    spec = parse(fields)
    assert isinstance(spec, RcanSpec)
    return spec


def scale_of(arrays: Arrays, features: int, name: str = "tail.0.{}.weight") -> int:
    """×2, ×3 or ×4 from the upsampler's convolutions."""
    steps = [index for index in range(0, 10, 2) if name.format(index) in arrays]
    factor = shape(arrays, name.format(0))[0] / features
    known = {((0,), 4): 2, ((0,), 9): 3, ((0, 2), 4): 4}
    scale = known.get((tuple(steps), int(factor) if factor == int(factor) else -1))
    if scale is None:
        raise WeightsError(
            f"an upsampler of {len(steps)} convolutions, the first of which multiplies channels by {factor:g}; expected ×2 "
            "(one, by 4), ×3 (one, by 9) or ×4 (two, by 4): other scales have no family here"
        )
    return scale


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
