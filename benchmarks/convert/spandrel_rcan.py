"""RCAN files of ours in spandrel, and spandrel's networks as members of an ensemble.

    pip install --no-deps --target /tmp/spandrel spandrel==0.4.2 einops==0.8.2
    PYTHONPATH=/tmp/spandrel OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.convert.spandrel_rcan

spandrel is no dependency: it asks for torchvision, whose builds do not load beside the pinned Torch. RCAN needs nothing of
torchvision, so an empty stand-in takes its place. Known-wrong control: the same file without the four mean arrays, which spandrel
takes for a network of another convention.
"""

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.weights import WeightsFile
from shared.spec import parse
from train_torch.ensemble import upscale
from train_torch.network import build
from weights_convert.convert.read import read_weights
from weights_convert.convert.write import write_weights


def stand_in() -> None:
    """Names that spandrel imports and RCAN does not use."""
    functional = ModuleType("torchvision.transforms.functional")
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(functional, name, None)
    for name in ("torchvision", "torchvision.transforms"):
        sys.modules[name] = ModuleType(name)
    sys.modules["torchvision.transforms.functional"] = functional


def scaled(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def main() -> None:
    stand_in()
    from spandrel import ModelLoader

    lr = (
        np.random.default_rng(0).uniform(0.2, 0.8, (12, 15, 3)).astype(np.float32)
    )  # inside [0, 1] after the network, too
    print("scale  spandrel - ours  without means - ours  weights back bit for bit")
    for scale in (2, 3, 4):
        spec = parse({"family": "rcan", "scale": scale, "features": 32, "groups": 2, "blocks": 3})
        weights = random_weights(build_graph(spec), 1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.pth"
            write_weights(path, WeightsFile(spec=spec, weights=weights, provenance={}), keys="official")
            loaded = ModelLoader().load_from_file(path)
            torch.save(loaded.model.state_dict(), path)
            back = read_weights(path).file.weights
            torch.save({n: t for n, t in loaded.model.state_dict().items() if "_mean" not in n}, path)
            bare = ModelLoader().load_from_file(path)
        assert (loaded.architecture.name, loaded.scale, loaded.input_channels) == ("RCAN", scale, 3)
        ours = upscale([build(spec, weights=weights)], lr, scale)
        same = all(back[name].tobytes() == array.tobytes() for name, array in weights.items())
        errors = [scaled(upscale([each.model], lr, scale), ours) for each in (loaded, bare)]
        print(f"{scale:5}  {errors[0]:15.1e}  {errors[1]:20.1e}  {same}")


if __name__ == "__main__":
    main()
