"""PaddleGAN's RCAN and dual regression (its `DRN`): the originals' names inside {"generator": …, "dual_model_0": …}.

Source: PaddlePaddle/PaddleGAN (commit 094a2eb), ppgan/models/generators/rcan.py, drn.py, ppgan/models/drn_model.py. Files are
`.pdparams`, a dict net name -> state dict of NumPy arrays. Its mean shifts are frozen, and stand in the file.
"""

from shared.network.architecture import ArchSpec
from weights_convert.convert.upstream import dual_regression, rcan
from weights_convert.convert.upstream.upstream import Arrays, Parcel, Source, Upstream, dual_models, without_dual

GENERATOR = "generator"


def parcels(arrays: Arrays, spec: ArchSpec) -> dict[str, Parcel]:
    """One file of all nets."""
    inner = (
        dual_regression.parcels(arrays, spec)[""]
        if spec.family == "dual_regression"
        else rcan.UPSTREAM.parcels(arrays, spec)[""]
    )
    assert inner.form == "flat"
    nets = {GENERATOR: without_dual(arrays)}
    nets |= {f"dual_model_{index}": model for index, model in enumerate(dual_models(arrays))}
    return {"": Parcel(form="keyed", states=nets)}


def _wrapped(source: Source) -> bool:
    return source.key == GENERATOR and source.file_format == "paddle pickle"


RCAN = Upstream(
    name="PaddleGAN RCAN",
    source="PaddlePaddle/PaddleGAN 094a2eb, ppgan/models/generators/rcan.py",
    keys="paddlegan",
    families=("rcan",),
    recognises=lambda source: _wrapped(source) and rcan.recognises(source),
    infer=rcan.infer,
    parcels=parcels,
    convention="RGB, 0 to {range} in and out; mean shift by frozen 1x1 convolutions",
)
DUAL_REGRESSION = Upstream(
    name="PaddleGAN dual regression",
    source="PaddlePaddle/PaddleGAN 094a2eb, ppgan/models/generators/drn.py",
    keys="paddlegan",
    families=("dual_regression",),
    recognises=lambda source: _wrapped(source) and dual_regression.recognises(source),
    infer=dual_regression.infer,
    parcels=parcels,
    convention="RGB, 0 to {range} in and out; mean shift by frozen 1x1 convolutions",
)
