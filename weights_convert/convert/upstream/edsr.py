"""EDSR checkpoints (Lim et al. 2017), ×2, ×3, ×4: the official names, which are ours, and BasicSR's.

Sources: sanghyun-son/EDSR-PyTorch, src/model/edsr.py, whose files are bare state dicts; XPixelGroup/BasicSR (commit 8d56e3a),
basicsr/archs/edsr_arch.py. `res_scale` stands in neither file: the two published sizes have the published one.
"""

from collections.abc import Mapping

from shared.errors import WeightsError
from shared.network.architecture import ArchSpec
from shared.network.families.edsr import FAMILY, EdsrSpec
from shared.spec import parse
from weights_convert.convert.upstream.basicsr import ends, make_upstream
from weights_convert.convert.upstream.upstream import (
    Arrays,
    Parcel,
    Source,
    Upstream,
    count,
    flat,
    mean_shift,
    refuse_unlike,
    scale_of,
    shape,
)


def recognises(source: Source) -> bool:
    """Whether names are the official ones."""
    return {"head.0.weight", "body.0.body.0.weight"} <= source.arrays.keys()


def infer(arrays: Arrays) -> ArchSpec:
    """The spec of a file with the official names."""
    tag, value_range = mean_shift(arrays)
    return _spec(arrays, count(arrays, "body.{}.body."), "head.0", "tail.0", mean_shift=tag, value_range=value_range)


def infer_basicsr(arrays: Arrays) -> ArchSpec:
    """The spec of a file with BasicSR's names; its range and mean are the family's defaults."""
    return _spec(arrays, count(arrays, "body.{}.conv1."), "conv_first", "upsample")


def _spec(arrays: Arrays, blocks: int, first: str, upsampler: str, **fields: int | str) -> ArchSpec:
    features = shape(arrays, f"{first}.weight")[0]
    published = [p for p in FAMILY.presets.values() if (p["features"], p["blocks"]) == (features, blocks)]
    if not published:
        raise WeightsError(
            f"an EDSR of {features} features and {blocks} blocks is no published size, and its res_scale stands in no file; "
            "say it with --spec"
        )
    return parse({"family": "edsr", "scale": scale_of(arrays, features, upsampler), **published[0], **fields})


def parcels(arrays: Arrays, spec: ArchSpec) -> Mapping[str, Parcel]:
    """A bare state dict; refused where the official network would compute something else with it."""
    refuse_unlike(spec, "official EDSR")
    return flat(arrays)


def names(spec: EdsrSpec) -> dict[str, str]:
    """BasicSR's name of a convolution -> ours."""
    convs = ends(spec, f"body.{spec.blocks}")
    return convs | {f"body.{i}.conv{1 + j}": f"body.{i}.body.{2 * j}" for i in range(spec.blocks) for j in range(2)}


OFFICIAL = Upstream(
    name="EDSR",
    source="sanghyun-son/EDSR-PyTorch, src/model/edsr.py",
    keys="official",
    families=("edsr",),
    recognises=recognises,
    infer=infer,
    parcels=parcels,
    convention="RGB, 0 to {range} in and out; mean shift by 1x1 convolutions",
)
BASICSR = make_upstream("edsr", "EDSR", "basicsr/archs/edsr_arch.py", names, "body.0.conv1.weight", infer_basicsr)
