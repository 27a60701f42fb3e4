"""EDSR files as its official code and as BasicSR's write them, from definitions of the two that know nothing of ours."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.errors import WeightsError
from shared.network.families import build_graph
from shared.network.reference import run
from shared.records.weights import WeightsFile
from shared.spec import parse
from weights_convert.convert.read import read_weights
from weights_convert.convert.write import write_weights

pytestmark = pytest.mark.torch

MEAN = (0.4488, 0.4371, 0.4040)
FEATURES, BLOCKS = 6, 2


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def upsampler(scale: int, features: int) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for factor in {2: [2], 3: [3], 4: [2, 2]}[scale]:
        parts += [conv(features, features * factor**2), nn.PixelShuffle(factor)]
    return parts


class OfficialBlock(nn.Module):
    def __init__(self, features: int, res_scale: float):
        super().__init__()
        self.body = nn.Sequential(conv(features, features), nn.ReLU(True), conv(features, features))
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mul(self.res_scale) + x


class Official(nn.Module):
    """After sanghyun-son/EDSR-PyTorch, src/model/edsr.py and common.py (rgb_range 255)."""

    def __init__(self, scale: int, features: int, blocks: int, res_scale: float):
        super().__init__()
        self.sub_mean, self.add_mean = (self.mean_shift(sign) for sign in (-1, 1))
        self.head = nn.Sequential(conv(3, features))
        self.body = nn.Sequential(
            *(OfficialBlock(features, res_scale) for _ in range(blocks)), conv(features, features)
        )
        self.tail = nn.Sequential(nn.Sequential(*upsampler(scale, features)), conv(features, 3))

    @staticmethod
    def mean_shift(sign: int) -> nn.Conv2d:
        shift = nn.Conv2d(3, 3, 1).requires_grad_(False)
        shift.weight.data = torch.eye(3).view(3, 3, 1, 1)
        shift.bias.data = sign * 255 * torch.Tensor(MEAN)
        return shift

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.sub_mean(255 * x))
        return self.add_mean(self.tail(self.body(x) + x)) / 255


class BasicsrBlock(nn.Module):
    def __init__(self, features: int, res_scale: float):
        super().__init__()
        self.conv1, self.conv2, self.relu = conv(features, features), conv(features, features), nn.ReLU(inplace=True)
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.relu(self.conv1(x))) * self.res_scale


class Basicsr(nn.Module):
    """After XPixelGroup/BasicSR, basicsr/archs/edsr_arch.py and arch_util.py (img_range 255)."""

    def __init__(self, scale: int, features: int, blocks: int, res_scale: float):
        super().__init__()
        self.mean = torch.Tensor(MEAN).view(1, 3, 1, 1)
        self.conv_first = conv(3, features)
        self.body = nn.Sequential(*(BasicsrBlock(features, res_scale) for _ in range(blocks)))
        self.conv_after_body = conv(features, features)
        self.upsample = nn.Sequential(*upsampler(scale, features))
        self.conv_last = conv(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean.type_as(x)
        x = self.conv_first((x - mean) * 255)
        x = self.conv_after_body(self.body(x)) + x
        return self.conv_last(self.upsample(x)) / 255 + mean


FORMS = {"official": Official, "basicsr": Basicsr}


def saved(path, form: str, module: nn.Module):
    torch.save(module.state_dict() if form == "official" else {"params": module.state_dict()}, path)
    return path


def edsr(scale: int, res_scale: float = 1.0):
    return parse({"family": "edsr", "scale": scale, "features": FEATURES, "blocks": BLOCKS, "res_scale": res_scale})


def difference(module: nn.Module, file: WeightsFile) -> float:
    """Scaled, in float64; the means of the two are float32 numbers times 255, and exact ones."""
    image = np.random.default_rng(0).uniform(0, 1, (2, 3, 7, 8))
    graph = build_graph(file.spec)
    ours = run(graph, file.weights, image)[graph.outputs[-1]]
    with torch.no_grad():
        theirs = module.double()(torch.from_numpy(image)).numpy()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_files_of_other_projects_give_their_numbers(tmp_path, form, scale):
    torch.manual_seed(scale)
    module = FORMS[form](scale, FEATURES, BLOCKS, res_scale=0.1)
    path = saved(tmp_path / "x.pth", form, module)
    incoming = read_weights(path, spec=edsr(scale, 0.1))
    assert incoming.upstream.keys == form
    assert difference(module, incoming.file) <= 1e-6
    wrong = WeightsFile(spec=edsr(scale), weights=incoming.file.weights, provenance={})  # known wrong: res_scale 1
    assert difference(module, wrong) > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_our_files_are_theirs(tmp_path, form, scale):
    """Written with their keys, a strict load takes them; read again, every byte is there."""
    torch.manual_seed(scale)
    file = read_weights(
        saved(tmp_path / "x.pth", form, FORMS[form](scale, FEATURES, BLOCKS, 1.0)), spec=edsr(scale)
    ).file
    (path,) = write_weights(tmp_path / "y.pth", file, keys=form)
    state = torch.load(path, weights_only=True)
    module = FORMS[form](scale, FEATURES, BLOCKS, 1.0)
    module.load_state_dict(state if form == "official" else state["params"])
    assert difference(module, file) <= 1e-6
    again = read_weights(path, spec=edsr(scale)).file.weights
    assert all(again[name].tobytes() == array.tobytes() for name, array in file.weights.items())


@pytest.mark.parametrize("form", FORMS)
def test_published_sizes_are_told_from_the_file(tmp_path, form):
    module = FORMS[form](2, 64, 16, 1.0)
    assert read_weights(saved(tmp_path / "x.pth", form, module)).file.spec == parse("edsr-baseline", scale=2)
    other = FORMS[form](2, FEATURES, BLOCKS, 1.0)
    with pytest.raises(WeightsError, match="res_scale stands in no file"):
        read_weights(saved(tmp_path / "y.pth", form, other))
