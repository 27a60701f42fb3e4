"""A pack of tiny generated pairs."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from shared.data.pack import PackPair, write_pack

SCALE = 2


def tiny_pairs(seed: int) -> list[PackPair]:
    rng = np.random.default_rng(seed)
    pairs = []
    for index in range(4):
        hr = gaussian_filter(rng.random((48, 56, 3)), (1.5, 1.5, 0))
        hr = (hr - hr.min()) / (hr.max() - hr.min())
        lr = gaussian_filter(hr, (1, 1, 0)).reshape(24, SCALE, 28, SCALE, 3).mean((1, 3))
        lr, hr = (np.round(image * 255).astype(np.uint8) for image in (lr, hr))
        split = "validation" if index % 2 else "train"
        pairs.append(PackPair(name=f"pair-{index}", lr=lr, hr=hr, split=split, facts={}))
    return pairs


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs to train on, two to validate on; x2, LR 24 x 28 px."""
    path = tmp_path_factory.mktemp("pack") / "tiny.h5"
    write_pack(path, tiny_pairs(0), scale=SCALE, provenance={})
    return path


@pytest.fixture(scope="session")
def other_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with other pixels."""
    path = tmp_path_factory.mktemp("pack") / "other.h5"
    write_pack(path, tiny_pairs(1), scale=SCALE, provenance={})
    return path
