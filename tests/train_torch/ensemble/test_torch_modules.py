"""The promise "any such module will do, nothing passed in is changed", and the whole scheme against plain loops."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from shared.errors import NonFiniteError, OutOfMemoryError, UsageError
from shared.spec import parse
from train_torch.ensemble import upscale
from train_torch.network import build, get_weights

pytestmark = pytest.mark.torch

SWITCHES = [dict(zip(("self_ensemble", "patch_ensemble"), on, strict=True)) for on in product((True, False), repeat=2)]
SPECS = {
    "drn": {"family": "drn", "features": 8, "blocks": 1, "stages": 2, "reduction": 4, "image_skip": "bicubic"},
    "rcan": {"family": "rcan", "features": 8, "groups": 1, "blocks": 1, "reduction": 4},
    "dual_regression": {"family": "dual_regression", "features": 4, "blocks": 1, "reduction": 4},
}


class Nearest(nn.Module):
    """The identity network."""

    def __init__(self, scale=2):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


class Viewing(Nearest):
    """Asks for plain row-major memory."""

    def forward(self, x):
        return super().forward(x.view(len(x), -1).view(x.shape))


class Caching(Nearest):
    """Keeps a tensor that it made while it was called."""

    def __init__(self):
        super().__init__()
        self.gain, self.table = nn.Parameter(torch.ones(1)), None

    def forward(self, x):
        self.table = x.new_ones(3, 1, 1) if self.table is None else self.table
        return super().forward(x) * self.gain * self.table


class Vandal(Nearest):
    """Writes into its input, as a well-known RCAN does."""

    def forward(self, x):
        result = super().forward(x)
        x *= 255
        return result


class Trainable(Nearest):
    """Tells training from evaluation, and keeps statistics while it trains."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout(0.5)

    def forward(self, x):
        return super().forward(self.drop(self.norm(x)))


class Listing(Nearest):
    """Gives two images."""

    def forward(self, x):
        return x, super().forward(x)


class Greedy(Nearest):
    """Asks for more memory than there is."""

    def forward(self, x):
        return super().forward(x) + torch.empty(10**14)


def image(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def upscaled(lr):
    return lr.repeat(2, 0).repeat(2, 1)


def network(family, scale=2, seed=0):
    return build(parse({**SPECS[family], "scale": scale}), seed=seed)


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("module", [Viewing, Caching, Vandal], ids=lambda module: module.__name__)
def test_modules_with_habits_work(module, switches):
    lr = image(9, 13)
    sr = upscale([module()], lr, scale=2, patch=8, stride=4, **switches)
    assert np.abs(sr - upscaled(lr)).max() <= 3e-7


def test_a_module_that_kept_a_tensor_can_be_trained_afterwards():
    member = Caching()
    upscale([member], image(5, 5), scale=2)
    member(torch.rand(1, 3, 4, 4)).sum().backward()
    assert member.gain.grad is not None


def test_batch_statistics_modes_weights_and_gradients_stay():
    member, lr = Trainable().train(), image(9, 10)
    member.norm.eval()
    before, pixels = {name: tensor.clone() for name, tensor in member.state_dict().items()}, lr.copy()
    lr.flags.writeable = False
    sr = upscale([member], lr, scale=2, patch=8, stride=4)
    assert np.allclose(sr, upscaled(lr), atol=1e-5)  # neither dropout nor batch statistics were at work
    assert np.array_equal(lr, pixels)
    assert all(torch.equal(tensor, before[name]) for name, tensor in member.state_dict().items())
    assert (member.training, member.drop.training, member.norm.training) == (True, True, False)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in member.parameters())


def test_modes_come_back_after_an_error():
    member = Trainable().train()
    with pytest.raises(UsageError):
        upscale([member], image(5, 5), scale=4)
    assert member.training
    assert member.norm.training


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-6), (torch.bfloat16, 0.05)])
def test_modules_of_another_precision_are_called_in_it(dtype, bound):
    member, lr = network("rcan"), image(8, 8)
    exact = upscale([member], lr, scale=2)
    other = upscale([member.to(dtype)], lr, scale=2)
    assert other.dtype == np.float32
    assert 0 < np.abs(other - exact).max() <= bound
    assert {array.dtype for array in map(np.asarray, get_weights(member.float()).values())} == {np.dtype(np.float32)}


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_one_pass_is_the_module_itself(family, scale):
    member, lr = network(family, scale), image(9, 7)
    sr = upscale([member], lr, scale=scale, self_ensemble=False, patch_ensemble=False)
    with torch.no_grad():
        expected = member(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0).numpy()
    assert np.abs(sr - expected).max() <= 2e-6 * np.abs(expected).max()  # rewritten; up to 7e-7 is measured


@pytest.mark.parametrize("size", [(11, 14), (6, 14)])
def test_the_levels_together_equal_plain_loops(size):
    """The paper's scheme by loops over NumPy arrays: members, patches, rotations and mirrors; 3e-7 is measured."""
    members, lr, scale = [network("drn"), network("rcan", seed=1)], image(*size), 2
    total = np.zeros((scale * size[0], scale * size[1], 3))
    height, tops = min(size[0], 8), (0, 3) if size[0] == 11 else (0,)
    y, x = np.mgrid[: scale * height, :16] - np.array([scale * height - 1, 15]).reshape(2, 1, 1) / 2
    weight = (1 - np.hypot(x, y) / (np.hypot(x, y).max() + 1))[..., None]
    for member in members:
        blended, norm = np.zeros_like(total), np.zeros((*total.shape[:2], 1))
        for top, left in product(tops, (0, 4, 6)):
            crop, mean = lr[top : top + height, left : left + 8], 0
            for turns, mirror in product(range(4), (False, True)):
                turned = np.rot90(crop[:, ::-1] if mirror else crop, turns)
                with torch.no_grad():
                    out = member(torch.from_numpy(turned.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0).numpy()
                back = np.rot90(out, -turns)
                mean = mean + (back[:, ::-1] if mirror else back) / 8
            window = slice(scale * top, scale * (top + height)), slice(scale * left, scale * left + 16)
            blended[window] += weight * mean
            norm[window] += weight
        total += blended / norm / len(members)
    ours = upscale(members, lr, scale=scale, patch=8, stride=4)
    assert np.abs(ours - total).max() <= 1e-6
    halved = upscale(members, lr, scale=scale, patch=8, stride=2)  # known-wrong control: another grid
    assert np.abs(halved - total).max() > 1e-5


def test_a_module_of_another_scale_is_named():
    with pytest.raises(UsageError, match=r"member 2 of 2: made \(1, 3, 20, 20\) .* expected \(1, 3, 10, 10\)"):
        upscale([Nearest(2), Nearest(4)], image(5, 5), scale=2)


def test_a_module_of_several_outputs_is_refused():
    with pytest.raises(UsageError, match=r"made tuple .* expected"):
        upscale([Listing()], image(5, 5), scale=2)


@pytest.mark.parametrize("factor", [255, -1, 1.01])
def test_a_wrong_range_is_refused(factor):
    with pytest.raises(UsageError, match=r"expected finite numbers in \[0, 1\]; divide"):
        upscale([Nearest()], np.ones((4, 4, 3), np.float32) * np.float32(factor), scale=2)


def test_no_room_is_one_clear_error():
    with pytest.raises(OutOfMemoryError, match=r"member 1 of 1: no memory .* by patches"):
        upscale([Greedy()], image(5, 5), scale=2)


def test_a_member_that_diverges_is_named_at_its_first_patch():
    calls = []

    class Diverged(Nearest):
        def forward(self, x):
            calls.append(x.shape)
            return super().forward(x) * torch.nan

    with pytest.raises(NonFiniteError, match=r"member 2 of 2: its output holds 768 numbers that are not finite"):
        upscale([Nearest(), Diverged()], image(40, 40), scale=2, patch=8, stride=4)
    assert len(calls) == 8


def test_the_result_is_plain_memory_of_its_own():
    lr = image(9, 9)
    sr = upscale([nn.Upsample(scale_factor=2)], lr, scale=2)
    assert sr.flags.c_contiguous
    assert sr.flags.owndata
    assert sr.flags.writeable
