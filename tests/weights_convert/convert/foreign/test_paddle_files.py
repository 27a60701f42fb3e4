"""Paddle's files are read bit for bit; ours load into Paddle's networks and PaddleGAN's, which then compute the same."""

import numpy as np
import paddle
import pytest
from paddle import nn

from search_paddle.network import build
from shared.cli.main import main
from shared.network.families import build_graph, dual_graphs
from shared.network.initialization import random_weights
from shared.records.weights import load_weights, save_weights
from shared.spec import parse
from weights_convert.convert.foreign.files import read_checkpoint, select
from weights_convert.convert.read import read_weights
from weights_convert.convert.write import write_weights

pytestmark = pytest.mark.paddle

RCAN = parse({"family": "rcan", "scale": 3, "features": 16, "groups": 1, "blocks": 2})
DRN = parse({"family": "drn", "scale": 2, "features": 16, "blocks": 2, "stages": 2, "image_skip": "bicubic"})
DUAL = parse({"family": "dual_regression", "scale": 4, "features": 16, "blocks": 1})


class Residual(nn.Layer):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x) + x


class Attention(nn.Layer):
    def __init__(self, c):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.conv_du = nn.Sequential(nn.Conv2D(c, c // 16, 1), nn.ReLU(), nn.Conv2D(c // 16, c, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.conv_du(self.avg_pool(x))


class PaddleGanRcan(nn.Layer):
    """Its RCAN ×3, from its description: the official names, 0 to 255."""

    def __init__(self, f, groups, blocks):
        super().__init__()

        def conv(o):
            return nn.Conv2D(f, o, 3, padding=1)

        def rcab():
            return Residual(conv(f), nn.ReLU(), conv(f), Attention(f))

        self.sub_mean, self.add_mean = nn.Conv2D(3, 3, 1), nn.Conv2D(3, 3, 1)
        self.head = nn.Sequential(nn.Conv2D(3, f, 3, padding=1))
        body = [Residual(*(rcab() for _ in range(blocks)), conv(f)) for _ in range(groups)]
        self.body = nn.Sequential(*body, conv(f))
        self.tail = nn.Sequential(nn.Sequential(conv(9 * f), nn.PixelShuffle(3)), conv(3))

    def forward(self, x):
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(self.body(x) + x))


@pytest.fixture
def own(tmp_path):
    def make(spec):
        dual = {f"dual.{i}.{n}": a for i, g in enumerate(dual_graphs(spec)) for n, a in random_weights(g, i).items()}
        path = tmp_path / f"{spec.family}.safetensors"
        save_weights(path, random_weights(build_graph(spec), 3) | dual, spec, {"weights": "raw"})
        return path

    return make


def image():
    return paddle.to_tensor(np.random.default_rng(1).uniform(0, 1, (1, 3, 9, 7)).astype(np.float32))


def off(a, b):
    return float((a - b).abs().max().item() / b.abs().max().item())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_paddle_files_are_read_bit_for_bit(tmp_path, protocol):
    network = build(RCAN, 5)
    paddle.save(network.state_dict(), str(tmp_path / "x.pdparams"), protocol=protocol)
    found = select(read_checkpoint(tmp_path / "x.pdparams")).arrays
    assert found.keys() == network.state_dict().keys()
    assert all(found[name].tobytes() == tensor.numpy().tobytes() for name, tensor in network.state_dict().items())
    assert read_weights(tmp_path / "x.pdparams").file.spec == RCAN


def test_nested_and_bfloat16_tensors_are_read(tmp_path):
    values = paddle.to_tensor([1.0, -2.5, 3.25])
    paddle.save({"generator": {"w": values}}, str(tmp_path / "a"))
    assert select(read_checkpoint(tmp_path / "a")).arrays["w"].tolist() == [1, -2.5, 3.25]
    paddle.save({"w": values.astype("bfloat16")}, str(tmp_path / "b"))
    found = select(read_checkpoint(tmp_path / "b"))
    assert (found.arrays["w"].tolist(), found.dtypes) == ([1, -2.5, 3.25], ("bfloat16",))


@pytest.mark.parametrize("spec", [RCAN, DRN], ids=lambda spec: spec.family)
def test_what_we_write_loads_and_computes_the_same(own, tmp_path, spec):
    path = own(spec)
    assert main(["convert", str(path), str(tmp_path / "x.pdparams")]) == 0
    network = build(spec, 9)
    before = network(image())
    state = paddle.load(str(tmp_path / "x.pdparams"))
    assert all(isinstance(state[name], paddle.Tensor) for name in network.state_dict())
    missing, unexpected = network.set_state_dict(state)
    assert (missing, unexpected) == ([], ["gpnas_sr"])
    expected = build(spec, weights=load_weights(path).network)(image())
    assert off(network(image()), expected) == 0
    assert off(before, expected) > 1e-2  # known-wrong control: the weights it had


def test_paddlegan_loads_its_names_and_computes_the_same(own, tmp_path):
    path = own(RCAN)
    write_weights(tmp_path / "x.pdparams", load_weights(path), keys="paddlegan")
    state = paddle.load(str(tmp_path / "x.pdparams"))["generator"]
    network = PaddleGanRcan(16, 1, 2)
    assert network.set_state_dict(state) == ([], [])
    expected = build(RCAN, weights=load_weights(path).network)(image())
    assert off(network(image() * 255) / 255, expected) <= 2e-6
    assert off(network(image()), expected) > 1e-2  # known-wrong control: the other range


def test_paddlegans_dual_models_are_nets_of_their_own(own, tmp_path):
    path = own(DUAL)
    write_weights(tmp_path / "x.pdparams", load_weights(path), keys="paddlegan")
    state = paddle.load(str(tmp_path / "x.pdparams"))
    assert list(state) == ["generator", "dual_model_0", "dual_model_1", "gpnas_sr"]
    network = build(DUAL, outputs="all")
    assert network.set_state_dict(state["generator"]) == ([], [])
    paddle.save(
        {name: state[name] for name in list(state)[:3]}, str(tmp_path / "y.pdparams")
    )  # without our description
    again = read_weights(tmp_path / "y.pdparams")
    assert again.upstream.name == "PaddleGAN dual regression"
    weights = load_weights(path).weights
    assert again.file.weights.keys() == weights.keys()
    assert all(again.file.weights[name].tobytes() == array.tobytes() for name, array in weights.items())
