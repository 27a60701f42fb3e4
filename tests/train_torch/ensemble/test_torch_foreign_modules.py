"""A network that another library has loaded, as a member beside ours: the recipe of docs/convert.md."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from shared.spec import parse
from train_torch.ensemble import upscale
from train_torch.network import build

pytestmark = pytest.mark.torch


class Upscaler(nn.Module):
    """As some published networks: it scales its input in place, works in 0 to 255, clamps, and is in training mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.drop = nn.Dropout(0.9)

    def forward(self, x):
        x *= 255
        return (nn.functional.pixel_shuffle(self.drop(self.conv(x)), 2) / 255).clamp(0, 1)


@dataclass
class Descriptor:
    """What loaders such as spandrel return: the module, and what it is."""

    model: nn.Module
    scale: int
    input_channels: int = 3
    output_channels: int = 3


@pytest.fixture
def loaded():
    torch.manual_seed(0)
    return Descriptor(model=Upscaler(), scale=2)


def test_a_loaded_module_is_a_member(loaded):
    assert (loaded.scale, loaded.input_channels, loaded.output_channels) == (2, 3, 3)
    own = build(parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1}))
    lr = np.random.default_rng(1).uniform(0, 1, (15, 12, 3)).astype(np.float32)
    before = lr.copy()
    image = upscale([own, loaded.model], lr, scale=loaded.scale, weights=[1, 3], patch=8, stride=4)
    assert image.shape == (30, 24, 3)
    assert np.array_equal(lr, before)
    assert loaded.model.training
    parts = [upscale([module], lr, scale=2, patch=8, stride=4) for module in (own, loaded.model)]
    assert np.abs(image - (0.25 * parts[0] + 0.75 * parts[1])).max() <= 1e-6


def test_it_computes_what_it_computes_alone(loaded):
    lr = np.random.default_rng(2).uniform(0, 1, (7, 5, 3)).astype(np.float32)
    x = torch.from_numpy(lr.transpose(2, 0, 1)[None].copy())
    plain = upscale([loaded.model], lr, scale=2, self_ensemble=False, patch_ensemble=False)
    with torch.no_grad():
        expected = loaded.model.eval()(x.clone())[0].permute(1, 2, 0).numpy()
        dropped = loaded.model.train()(x.clone())[0].permute(1, 2, 0).numpy()  # known wrong: training mode
    assert np.abs(plain - expected).max() <= 1e-6
    assert np.abs(plain - dropped).max() > 1e-3
