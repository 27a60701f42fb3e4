"""An RCAN as somebody else would write it in Torch, with the official names; users pass `make` to --module."""

import numpy as np
import torch
from torch import Tensor, nn

FEATURES, REDUCTION, GROUPS, BLOCKS, SCALE = 8, 4, 2, 1, 2


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = FEATURES // REDUCTION
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_du = nn.Sequential(
            nn.Conv2d(FEATURES, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, FEATURES, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv_du(self.avg_pool(x))


class Residual(nn.Module):
    def __init__(self, *body: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def conv3(channels: int, to: int) -> nn.Conv2d:
    return nn.Conv2d(channels, to, 3, padding=1)


def block(activation: nn.Module) -> nn.Module:
    return Residual(conv3(FEATURES, FEATURES), activation, conv3(FEATURES, FEATURES), Attention())


def group(activation: nn.Module) -> nn.Module:
    return Residual(*(block(activation) for _ in range(BLOCKS)), conv3(FEATURES, FEATURES))


class Rcan(nn.Module):
    def __init__(self, activation: nn.Module):
        super().__init__()
        self.sub_mean, self.add_mean = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.head = nn.Sequential(conv3(3, FEATURES))
        self.body = nn.Sequential(group(nn.ReLU()), group(activation), conv3(FEATURES, FEATURES))
        self.tail = nn.Sequential(
            nn.Sequential(conv3(FEATURES, FEATURES * SCALE**2), nn.PixelShuffle(SCALE)), conv3(FEATURES, 3)
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(self.sub_mean(image * 255))
        return self.add_mean(self.tail(self.body(x) + x)) / 255


def load(network: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


def make(weights: dict[str, np.ndarray]) -> nn.Module:
    return load(Rcan(nn.ReLU()), weights)


def make_wrong(weights: dict[str, np.ndarray]) -> nn.Module:
    """Leaky in the second group, where the paper has a plain ReLU."""
    return load(Rcan(nn.LeakyReLU(0.1)), weights)


def make_nothing() -> str:
    return "no module"
