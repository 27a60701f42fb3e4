"""Files of ours in other libraries: RCAN in spandrel, EDSR in torchSR; their networks as members of an ensemble.

    pip install --no-deps --target /tmp/peers spandrel==0.4.2 einops==0.8.2 torchsr==1.0.4
    PYTHONPATH=/tmp/peers OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.convert.peers

Neither is a dependency: both ask for torchvision, whose builds do not load beside the pinned Torch. The two networks need
nothing of it, so an empty stand-in takes its place. spandrel 0.4.2 knows no EDSR; torchSR has the official code of it.
Known-wrong controls: for spandrel the same file without the four mean arrays, which it takes for a network of another
convention; for torchSR the network with another res_scale.
"""

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.weights import WeightsFile
from shared.spec import parse
from train_torch.ensemble import upscale
from train_torch.network import build
from weights_convert.convert.read import read_weights
from weights_convert.convert.write import write_weights

FIELDS = {
    "rcan": {"features": 32, "groups": 2, "blocks": 3},
    "edsr": {"features": 64, "blocks": 16},
    "edsr, res_scale 0.1": {"features": 256, "blocks": 32, "res_scale": 0.1},
}


def stand_in() -> None:
    """Names that the libraries import and the two networks do not use."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = ModuleType(name)
    for name in ("InterpolationMode", "rotate", "normalize", "to_tensor", "to_pil_image"):
        setattr(sys.modules["torchvision.transforms.functional"], name, None)


def by_spandrel(path: Path, spec: ArchSpec) -> tuple[nn.Module, nn.Module]:
    """The network in a file, and the known-wrong one."""
    loader = importlib.import_module("spandrel").ModelLoader
    loaded = loader().load_from_file(path)
    assert (loaded.architecture.name, loaded.scale, loaded.input_channels) == ("RCAN", spec.scale, 3)
    bare = path.with_name("bare.pth")
    torch.save({n: t for n, t in loaded.model.state_dict().items() if "_mean" not in n}, bare)
    return loaded.model, loader().load_from_file(bare).model


def by_torchsr(path: Path, spec: ArchSpec) -> tuple[nn.Module, nn.Module]:
    """The network in a file, and the known-wrong one."""
    fields = spec.architecture()
    make = importlib.import_module("torchsr.models.edsr").EDSR
    found = []
    for res_scale in (fields["res_scale"], fields["res_scale"] / 2):
        network = make(fields["blocks"], fields["features"], spec.scale, res_scale)
        network.load_state_dict(torch.load(path, weights_only=True))
        found.append(network)
    return found[0], found[1]


LOADERS: dict[str, Callable[[Path, ArchSpec], tuple[nn.Module, nn.Module]]] = {"rcan": by_spandrel, "edsr": by_torchsr}


def scaled(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def measure(spec: ArchSpec) -> str:
    """One line of the table."""
    lr = (
        np.random.default_rng(0).uniform(0.2, 0.8, (12, 15, 3)).astype(np.float32)
    )  # inside [0, 1] after the network, too
    weights = random_weights(build_graph(spec), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pth"
        write_weights(path, WeightsFile(spec=spec, weights=weights, provenance={}), keys="official")
        theirs, wrong = LOADERS[spec.family](path, spec)
        torch.save(theirs.state_dict(), path)
        back = read_weights(path, spec=spec).file.weights
    ours = upscale([build(spec, weights=weights)], lr, spec.scale)
    same = all(back[name].tobytes() == array.tobytes() for name, array in weights.items())
    errors = [scaled(upscale([each], lr, spec.scale), ours) for each in (theirs, wrong)]
    return f"{errors[0]:13.1e}  {errors[1]:11.1e}  {same}"


def main() -> None:
    stand_in()
    print("network              scale  theirs - ours  known wrong  weights back bit for bit")
    for name, fields in FIELDS.items():
        for scale in (2, 3, 4):
            spec = parse({"family": name.split(",")[0], "scale": scale, **fields})
            print(f"{name:20} {scale:5}  {measure(spec)}")


if __name__ == "__main__":
    main()
