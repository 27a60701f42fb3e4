"""Torch's files are read as Torch reads them; ours load into the published networks, strictly, which then compute the same."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from shared.cli.main import main
from shared.errors import WeightsError
from shared.network.families import build_graph
from shared.network.initialization import random_weights
from shared.records.weights import load_weights, save_weights
from shared.spec import parse
from train_torch.network import build
from weights_convert.convert.foreign.files import read_checkpoint, select
from weights_convert.convert.read import read_weights
from weights_convert.convert.write import write_weights

pytestmark = pytest.mark.torch

RCAN = parse({"family": "rcan", "scale": 4, "features": 16, "groups": 2, "blocks": 2})
DUAL = parse({"family": "dual_regression", "scale": 4, "features": 16, "blocks": 1})


# The published networks, written down from their description: names by nesting, 0 to 255
class Attention(nn.Module):
    def __init__(self, c, r=16):
        super().__init__()
        layers = nn.Conv2d(c, c // r, 1), nn.ReLU(), nn.Conv2d(c // r, c, 1), nn.Sigmoid()
        self.avg_pool, self.conv_du = nn.AdaptiveAvgPool2d(1), nn.Sequential(*layers)

    def forward(self, x):
        return x * self.conv_du(self.avg_pool(x))


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x) + x


def rcab(c):
    return Residual(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), Attention(c))


class OfficialRcan(nn.Module):
    def __init__(self, f, groups, blocks):
        super().__init__()
        conv = lambda o: nn.Conv2d(f, o, 3, padding=1)  # noqa: E731  # short
        self.sub_mean, self.add_mean = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.head = nn.Sequential(nn.Conv2d(3, f, 3, padding=1))
        body = [Residual(*(rcab(f) for _ in range(blocks)), conv(f)) for _ in range(groups)]
        self.body = nn.Sequential(*body, conv(f))
        self.tail = nn.Sequential(
            nn.Sequential(conv(4 * f), nn.PixelShuffle(2), conv(4 * f), nn.PixelShuffle(2)), conv(3)
        )

    def forward(self, x):
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(self.body(x) + x))


class Down(nn.Module):
    def __init__(self, i, m, o):
        super().__init__()
        first = nn.Sequential(nn.Conv2d(i, m, 3, 2, 1, bias=False), nn.LeakyReLU(0.2))
        self.dual_module = nn.Sequential(first, nn.Conv2d(m, o, 3, 1, 1, bias=False))

    def forward(self, x):
        return self.dual_module(x)


class OriginalDualRegression(nn.Module):
    """×4."""

    def __init__(self, f, blocks):
        super().__init__()
        self.sub_mean, self.add_mean = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.head = nn.Conv2d(3, f, 3, padding=1)
        self.down = nn.ModuleList([Down(f, f, 2 * f), Down(2 * f, 2 * f, 4 * f)])
        ups = []
        for target in (2 * f, f):
            up = nn.Sequential(nn.Conv2d(4 * f, 16 * f, 3, padding=1), nn.PixelShuffle(2))
            ups.append(nn.Sequential(*(rcab(4 * f) for _ in range(blocks)), up, nn.Conv2d(4 * f, target, 1)))
        self.up_blocks = nn.ModuleList(ups)
        self.tail = nn.ModuleList([nn.Conv2d(c * f, 3, 3, padding=1) for c in (4, 4, 2)])

    def forward(self, x):
        x = nn.functional.interpolate(x, scale_factor=4, mode="bicubic", align_corners=False)
        first = self.head(self.sub_mean(x))
        second = self.down[0](first)
        x = torch.cat((self.up_blocks[0](self.down[1](second)), second), 1)
        x = torch.cat((self.up_blocks[1](x), first), 1)
        return self.add_mean(self.tail[2](x))


def module_of(spec):
    if spec.family == "rcan":
        return OfficialRcan(spec.features, spec.groups, spec.blocks)
    return OriginalDualRegression(spec.features, spec.blocks)


def image():
    return torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(1))


def off(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.fixture
def own(tmp_path):
    def make(spec):
        path = tmp_path / f"{spec.family}.safetensors"
        save_weights(path, random_weights(build_graph(spec), 3), spec, {"weights": "raw"})
        return path

    return make


@pytest.fixture
def checkpoint(tmp_path):
    """torch.save in both forms."""

    def write(value, form):
        path = tmp_path / f"{form}.pth"
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
        return path

    return write


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_torch_files_are_read_as_torch_reads_them(checkpoint, form):
    base = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
    layer = nn.Conv2d(3, 4, 3)
    value = OrderedDict(
        plain=base.clone(),
        view=base[1:4, ::2].clone().t(),  # strides that are not row-major
        half=base.half(),
        bfloat16=base.bfloat16(),
        double=base.double(),
        long=torch.arange(5),
        bool=base > 0,
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 3),
        parameter=layer.weight,
        channels_last=torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    )
    path = checkpoint(value, form)
    expected = torch.load(path, weights_only=True)
    found = select(read_checkpoint(path)).arrays
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        wide = tensor.detach().float() if tensor.dtype in (torch.half, torch.bfloat16) else tensor.detach()
        assert np.array_equal(found[name], wide.numpy()), name
        assert found[name].shape == tuple(tensor.shape)


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("spec", [RCAN, DUAL], ids=lambda spec: spec.family)
def test_a_published_network_computes_the_same_here(checkpoint, tmp_path, spec, form):
    module = module_of(spec).eval()
    wrapped = nn.DataParallel(module) if form == "legacy" else module
    with torch.no_grad():  # mean shifts as published, a little trained
        for name, sign in (("sub_mean", -1), ("add_mean", 1)):
            layer = getattr(module, name)
            layer.weight.copy_(torch.eye(3)[:, :, None, None] + 0.001 * torch.randn(3, 3, 1, 1))
            layer.bias.copy_(sign * 255 * torch.tensor([0.4488, 0.4371, 0.4040]))
        path = checkpoint({"state_dict": wrapped.state_dict(), "epoch": 3}, form)
        file = read_weights(path).file
        assert file.spec == spec
        theirs = module(image() * 255) / 255
        ours = build(file.spec, weights=file.network)(image())
        assert off(ours, theirs) <= 2e-6
        swapped = dict(file.network) | {"add_mean.bias": file.network["sub_mean.bias"]}  # known-wrong control
        assert off(build(file.spec, weights=swapped)(image()), theirs) > 1e-2


@pytest.mark.parametrize("spec", [RCAN, DUAL], ids=lambda spec: spec.family)
def test_what_we_write_loads_strictly_and_computes_the_same(own, tmp_path, spec):
    path = own(spec)
    assert main(["convert", str(path), str(tmp_path / "x.pth")]) == 0
    state = torch.load(tmp_path / "x.pth", weights_only=True)
    module = module_of(spec).eval()
    module.load_state_dict(state, strict=True)
    assert list(state) == list(build_graph(spec).weight_shapes())
    assert json.loads(state._metadata["gpnas_sr"])["id"] == spec.id
    with torch.no_grad():
        ours = build(spec, weights=load_weights(path).network)(image())
        assert off(module(image() * 255) / 255, ours) <= 2e-6
    assert main(["convert", str(tmp_path / "x.pth"), str(tmp_path / "y.safetensors")]) == 0
    assert (tmp_path / "y.safetensors").read_bytes() == path.read_bytes()


def test_official_and_keyed_torch_files(tmp_path):
    from shared.network.families import dual_graphs

    duals = {f"dual.{i}.{n}": a for i, g in enumerate(dual_graphs(DUAL)) for n, a in random_weights(g, i).items()}
    save_weights(tmp_path / "d.safetensors", random_weights(build_graph(DUAL), 3) | duals, DUAL, {})
    net, dual = write_weights(tmp_path / "x.pth", load_weights(tmp_path / "d.safetensors"), keys="official")
    OriginalDualRegression(16, 1).load_state_dict(torch.load(net, weights_only=True), strict=True)
    models = torch.load(dual, weights_only=True)
    for model in models:
        Down(3, 16, 3).load_state_dict(model, strict=True)
    again = read_weights(net, dual=dual).file
    assert again.weights.keys() == load_weights(tmp_path / "d.safetensors").weights.keys()
    assert np.array_equal(again.weights["dual.1.dual_module.1.weight"], models[1]["dual_module.1.weight"].numpy())


def test_objects_beside_the_weights_are_named(checkpoint, capsys, tmp_path):
    import argparse

    path = checkpoint({"state_dict": OrderedDict(w=torch.zeros(2)), "args": argparse.Namespace(lr=1)}, "zip")
    with pytest.raises(
        WeightsError, match=r"asks for argparse\.Namespace, which is not run; .* Save the state dict alone"
    ):
        read_checkpoint(path)
    assert main(["convert", str(path), str(tmp_path / "x.safetensors"), "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_whole_modules_are_refused(checkpoint):
    with pytest.raises(WeightsError, match=r"asks for torch\.nn.modules.conv\.Conv2d"):
        read_checkpoint(checkpoint(nn.Conv2d(1, 1, 1), "zip"))
