"""NAFNet against a definition of its own in Torch, after megvii-research/NAFNet (NAFNet_arch.py, NAFSSR_arch.py)."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.network.reference import run
from shared.spec import parse

pytestmark = pytest.mark.torch


class LayerNorm2d(nn.Module):
    """By Torch's own layer norm, channels moved to the end."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.zeros(channels)) for _ in range(2))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class NAFBlock(nn.Module):
    def __init__(self, c: int, eps: float, gate: bool):
        super().__init__()
        self.conv1, self.conv4 = nn.Conv2d(c, 2 * c, 1), nn.Conv2d(c, 2 * c, 1)
        self.conv2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.conv3, self.conv5 = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1))
        self.norm1, self.norm2 = LayerNorm2d(c, eps), LayerNorm2d(c, eps)
        self.beta, self.gamma = (nn.Parameter(torch.zeros(1, c, 1, 1)) for _ in range(2))
        self.gate = gate

    def sg(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        return a * b if self.gate else a * torch.sigmoid(b)

    def forward(self, inp: Tensor) -> Tensor:
        x = self.sg(self.conv2(self.conv1(self.norm1(inp))))
        y = inp + self.conv3(x * self.sca(x)) * self.beta
        return y + self.conv5(self.sg(self.conv4(self.norm2(y)))) * self.gamma


class NAFNetSR(nn.Module):
    """Without the image skip, whose kernel is another there."""

    def __init__(self, scale: int, width: int, blocks: int, eps: float = 1e-6, gate: bool = True):
        super().__init__()
        self.intro = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(NAFBlock(width, eps, gate) for _ in range(blocks)))
        self.up = nn.Sequential(nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.body(self.intro(x)))


def difference(scale: int, **changes: object) -> float:
    spec = parse({"family": "nafnet", "scale": scale, "features": 6, "blocks": 2, "image_skip": "none"})
    graph = build_graph(spec)
    weights = random_weights(graph, 1)
    module = NAFNetSR(scale, 6, 2, **changes)
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    theirs = {name.replace("beta.weight", "beta").replace("gamma.weight", "gamma"): a for name, a in weights.items()}
    module.load_state_dict({name: torch.from_numpy(array).reshape(shapes[name]) for name, array in theirs.items()})
    image = np.random.default_rng(0).uniform(0, 1, (2, 3, 7, 8))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(image)).numpy()
    return float(np.abs(run(graph, weights, image)[graph.outputs[-1]] - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_published_network(scale):
    assert difference(scale) <= 1e-12


@pytest.mark.parametrize("changes", [{"eps": 1e-5}, {"gate": False}], ids=["eps", "gate"])
def test_known_wrong_control(changes):
    assert difference(2, **changes) > 1e-7
