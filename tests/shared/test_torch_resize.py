"""The a = -0.75 kernel with repeated edges is torch's own bicubic."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from shared.resize import Edge, Kernel, resize

pytestmark = pytest.mark.torch

FAULTS: dict[str, tuple[Kernel, Edge]] = {
    "a = -0.5": ("cubic", "repeat"),
    "mirrored edges": ("cubic_torch", "symmetric"),
    "area": ("area", "repeat"),
}


def torch_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    x = torch.tensor(image).permute(2, 0, 1)[None]
    y = functional.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    return y[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_cubic_torch_equals_interpolate(scale: int):
    image = np.random.default_rng(scale).random((7, 5, 3))
    expected = torch_bicubic(image, scale)
    got = resize(image, scale, kernel="cubic_torch", antialias=False, edge="repeat")
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-14)
    for kernel, edge in FAULTS.values():
        wrong = resize(image, scale, kernel=kernel, antialias=False, edge=edge)
        assert np.abs(wrong - expected).max() > 1e-3
