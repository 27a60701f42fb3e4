"""Tiny pairs, and a finished run on them."""

from pathlib import Path

import numpy as np
import pytest

from shared.data.pack import PackPair, write_pack
from shared.resize import bicubic_upscale
from tests.train_torch.training.runs import CONFIG, DRN, DUAL, RCAN, SCALE, spec_file


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs to train, three to validate, LR 20 x 16."""
    rng = np.random.default_rng(0)
    coarse = rng.random((9, 10, 8, 3))
    pairs = []
    for index, image in enumerate(coarse):
        hr = np.clip(bicubic_upscale(image, 4) * 255, 0, 255).astype(np.uint8)
        lr = np.clip(bicubic_upscale(image, 2) * 255, 0, 255).astype(np.uint8)
        split = "train" if index < 6 else "validation"
        pairs.append(PackPair(name=f"pair_{index}", lr=lr, hr=hr, split=split, facts={}))
    path = tmp_path_factory.mktemp("data") / "pack.h5"
    write_pack(path, pairs, scale=SCALE, provenance={})
    return path


@pytest.fixture(scope="session")
def run(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three members."""
    from train_torch.training.run import train_suite  # loads torch, which other tests here do without

    folder = tmp_path_factory.mktemp("run")
    specs = [spec_file(folder / "specs", architecture) for architecture in (DRN, RCAN, DUAL)]
    train_suite(specs, pack=pack, out=folder / "out", config=CONFIG)
    return folder / "out"
