"""Original dual regression checkpoints (Guo et al. 2020), ×2 and ×4: names as ours; dual models in a second file.

Source: guoyongcs/DRN (commit 39917f4), model/drn.py and model/common.py. The network's file is a bare state dict
(`DRNS4x.pt` …), the dual models' a list of state dicts (`dual_model_latest.pt`), dual model i for output i + 1. The project calls
the network DRN; ours of that name is another.
"""

from shared.errors import WeightsError
from shared.network.architecture import ArchSpec
from shared.spec import parse
from weights_convert.convert.upstream.upstream import (
    Arrays,
    Parcel,
    Source,
    Upstream,
    count,
    dual_models,
    mean_shift,
    reduction,
    refuse_unlike,
    shape,
    without_dual,
)


def recognises(source: Source) -> bool:
    """Whether names are the original ones."""
    return {"head.weight", "down.0.dual_module.0.0.weight"} <= source.arrays.keys()


def infer(arrays: Arrays) -> ArchSpec:
    """The spec: every number stands in a shape or a name."""
    tag, value_range = mean_shift(arrays)
    features = shape(arrays, "head.weight")[0]
    attention = "up_blocks.0.0.body.3.conv_du.0.weight"
    hidden, channels = shape(arrays, attention)[:2]
    blocks = count({name: array for name, array in arrays.items() if ".body." in name}, "up_blocks.0.{}.")
    fields = {
        "family": "dual_regression",
        "features": features,
        "blocks": blocks,
        "scale": _scale(arrays, blocks),
        "reduction": reduction(channels, hidden, attention),
        "mean_shift": tag,
        "value_range": value_range,
    }
    return parse(fields)


def _scale(arrays: Arrays, blocks: int) -> int:
    octaves = count(arrays, "down.{}.")
    outputs, inputs = shape(arrays, f"up_blocks.0.{blocks}.0.weight")[:2]
    if octaves not in (1, 2) or outputs != 4 * inputs:
        raise WeightsError(
            f"{octaves} octaves, the first by {(outputs / inputs) ** 0.5:g}; expected 1 or 2 octaves by 2 (the original's ×8 has "
            "no family here). A ×3 network is ours: say so with --spec"
        )
    return 2**octaves


def parcels(arrays: Arrays, spec: ArchSpec) -> dict[str, Parcel]:
    """The network's file, and one of the dual models if there are any."""
    if spec.scale == 3:
        raise WeightsError(
            f"{spec.id}: the original dual regression network has no ×3; expected ×2 or ×4. Write --keys own"
        )
    refuse_unlike(spec, "original dual regression network")
    files = {"": Parcel(form="flat", states={"": without_dual(arrays)})}
    models = dual_models(arrays)
    if models:
        files[".dual"] = Parcel(form="list", states={str(index): model for index, model in enumerate(models)})
    return files


UPSTREAM = Upstream(
    name="dual regression",
    source="guoyongcs/DRN 39917f4, model/drn.py",
    keys="official",
    families=("dual_regression",),
    recognises=recognises,
    infer=infer,
    parcels=parcels,
    convention="RGB, 0 to {range} in and out; mean shift by trained 1x1 convolutions",
)
