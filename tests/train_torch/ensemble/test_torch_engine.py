"""The engine: what may not change a result, sizes from 1x1 to panoramas, memory, and no room."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from shared.errors import OutOfMemoryError, UsageError
from shared.network.families import build_graph
from shared.network.graph import GraphBuilder
from shared.network.initialization import random_weights
from shared.network.primitives import INPUT
from shared.spec import parse
from train_torch.ensemble import engine, memory
from train_torch.ensemble.engine import member_bands
from train_torch.ensemble.estimate import estimate_seconds
from train_torch.ensemble.memory import Traversal, activation_bytes, choose_traversal, need
from train_torch.ensemble.modules import PreparedMember, prepare, trunk
from train_torch.ensemble.pipeline import upscale, upscale_bands
from train_torch.ensemble.plan import PRESETS, PassPlan, preset
from train_torch.ensemble.self_ensemble import transforms
from train_torch.network import build

pytestmark = pytest.mark.torch

ROUNDING = 1e-6  # on [0, 1]: the stated bound; 3e-7 is measured
SPECS = {
    "drn": {"family": "drn", "features": 8, "blocks": 1, "stages": 2, "reduction": 4, "image_skip": "bicubic"},
    "rcan": {"family": "rcan", "features": 8, "groups": 1, "blocks": 1, "reduction": 4},
    "dual_regression": {"family": "dual_regression", "features": 4, "blocks": 1, "reduction": 4},
}
SMALL = PassPlan(scale=2, patch=12, stride=7)


@cache
def network(family: str = "rcan", scale: int = 2, seed: int = 0) -> nn.Module:
    spec = parse({**SPECS[family], "scale": scale})
    return build(spec, weights=random_weights(build_graph(spec), seed)).eval()


@cache
def prepared(family: str = "rcan", scale: int = 2, seed: int = 0) -> PreparedMember:
    return prepare([network(family, scale, seed)], scale)[0]


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def run(lr: np.ndarray, plan: PassPlan, *members: nn.Module | PreparedMember) -> np.ndarray:
    return np.concatenate(list(member_bands(members or [prepared()], lr, plan)), axis=1)


@pytest.fixture
def by_columns(monkeypatch):
    monkeypatch.setattr(engine, "choose_traversal", lambda *arguments: Traversal(batch=1, by_columns=True))


@pytest.mark.parametrize("size", [(20, 27), (12, 20), (7, 20), (20, 7)])
@pytest.mark.parametrize("batch", [2, 3, 64])
def test_the_batch_changes_rounding_only(size, batch):
    lr = image(*size)
    assert np.abs(run(lr, replace(SMALL, batch=batch)) - run(lr, SMALL)).max() <= ROUNDING


def test_threads_and_a_sufficient_budget_change_rounding_only():
    lr, before, plan = image(20, 27), torch.get_num_threads(), replace(SMALL, transforms=transforms(1))
    expected, small = run(lr, plan), run(lr[:12, :12], plan)
    try:
        torch.set_num_threads(2)
        assert np.abs(run(lr[:12, :12], plan) - small).max() <= ROUNDING
    finally:
        torch.set_num_threads(before)
    assert np.abs(run(lr, replace(plan, memory=10**10)) - expected).max() <= ROUNDING
    other = run(lr, replace(plan, stride=6))  # known-wrong control: another grid
    assert np.abs(other - expected).max() > 10 * ROUNDING


@pytest.mark.parametrize("size", [(20, 27), (13, 40), (7, 20), (20, 7)])
@pytest.mark.parametrize("count", [1, 4, 8])
def test_bands_of_columns_give_the_same_image(by_columns, monkeypatch, size, count):
    lr, plan = image(*size), replace(SMALL, transforms=transforms(count))
    members = [prepared("drn"), prepared("rcan", seed=1)]
    turned = run(lr, plan, *members)
    monkeypatch.setattr(engine, "choose_traversal", lambda *arguments: Traversal(batch=1, by_columns=False))
    assert np.abs(turned - run(lr, plan, *members)).max() <= ROUNDING


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("family", SPECS)
def test_images_of_one_to_nine_pixels(family, scale):
    member, fast = network(family, scale), prepared(family, scale)
    for height, width in [(s, s) for s in range(1, 10)] + [(1, 9), (9, 1), (2, 5), (3, 8), (7, 2), (4, 3)]:
        lr = image(height, width)
        with torch.no_grad():
            expected = member(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0).numpy()
        got = upscale([fast], lr, scale, quality="fast")
        assert np.abs(got - expected).max() <= 2e-6 * np.abs(expected).max(), (height, width)
        assert np.isfinite(upscale([fast], lr, scale)).all()


@pytest.mark.parametrize("quality", PRESETS)
@pytest.mark.parametrize("size", [(321, 330), (61, 487)])
def test_presets_reproduce_what_every_patch_agrees_on(quality, size):
    lr = image(*size)
    sr = upscale([nn.Upsample(scale_factor=2)], lr, 2, quality=quality)
    assert np.abs(sr - lr.repeat(2, 0).repeat(2, 1)).max() <= 3e-7


def test_an_unknown_preset_is_refused_with_the_names():
    with pytest.raises(UsageError, match="expected one of paper, balanced, fast"):
        preset("best", 2)


def test_a_panorama_takes_columns_only_where_rows_do_not_fit():
    nets, plan = [prepared()], PassPlan(scale=2, patch=24, stride=12)
    wide, tall = need(nets, plan, 30, 20000, Traversal(batch=1, by_columns=False)), need(
        nets, plan, 30, 20000, Traversal(batch=1, by_columns=True)
    )  # fmt: skip
    assert tall.sums < wide.sums / 100
    between = (wide.total + tall.total) // 2
    assert choose_traversal(nets, replace(plan, memory=between), 30, 20000).by_columns
    assert not choose_traversal(nets, replace(plan, memory=2 * wide.total), 30, 20000).by_columns
    assert not choose_traversal(nets, plan, 30, 20000).by_columns


def test_a_budget_that_cannot_hold_is_refused_with_numbers():
    with pytest.raises(
        UsageError, match=r"memory: got 1 MB, expected at least \d+ MB \(held \d+, a row of patches \d+"
    ):
        run(image(20, 20), replace(SMALL, memory=10**6))


def test_a_budget_makes_the_batch_smaller():
    nets, plan = [prepared()], PassPlan(scale=2, patch=120, stride=60, batch=64)
    one = need(nets, plan, 500, 500, Traversal(batch=1, by_columns=False)).total
    two = need(nets, plan, 500, 500, Traversal(batch=2, by_columns=False)).total
    budget = one + 5 * (two - one) + memory.MEGABYTE
    assert 4 <= choose_traversal(nets, replace(plan, memory=budget), 500, 500).batch <= 7
    assert choose_traversal(nets, plan, 500, 500).batch == 64


class Small(nn.Module):
    """Has room for so many images; says how many it was given."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.seen = room, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"tried to allocate {len(x)} images")
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_no_room_halves_the_batch_once():
    lr, member = image(12, 12), Small(room=4)
    sr = run(lr, replace(SMALL, batch=8), member)
    assert np.abs(sr[0] - lr.repeat(2, 0).repeat(2, 1)).max() <= 3e-7
    assert member.seen == [8, 4, 4]


def test_no_room_for_the_half_or_for_one_surfaces():
    for batch, seen in ((8, [8, 4]), (1, [1])):
        member = Small(room=0)
        with pytest.raises(OutOfMemoryError, match=r"no memory for \d x 12x12 px: tried to allocate"):
            run(image(12, 12), replace(SMALL, batch=batch), member)
        assert member.seen == seen


def test_bands_come_while_later_patches_wait():
    """Streaming: the first band is there when the first row of patches is computed, and only that."""
    lr, told = image(40, 15), []
    bands = upscale_bands([prepared()], lr, SMALL, advance=told.append)
    first = next(bands)
    assert first.shape == (14, 30, 3)  # the stride, at HR size
    assert sum(told) == 2 * 12 * 12 * 8
    assert sum(len(band) for band in bands) == 80 - 14
    assert sum(told) == SMALL.pixels(40, 15)


def test_bands_are_arrays_of_their_own():
    bands = list(member_bands([prepared()], image(40, 15), SMALL))
    kept = [band.copy() for band in bands]
    bands[0][:] = 0
    assert all(np.array_equal(a, b) for a, b in zip(bands[1:], kept[1:], strict=True))
    assert not any(np.shares_memory(a, b) for a, b in pairwise(bands))


def test_integers_are_fractions_of_full_range():
    bytes_ = np.random.default_rng(1).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    expected = run(bytes_.astype(np.float32) / 255, SMALL)
    assert np.abs(run(bytes_, SMALL) - expected).max() <= ROUNDING
    assert np.abs(run(bytes_.astype(np.uint16) * 257, SMALL) - expected).max() <= ROUNDING


def test_networks_may_be_prepared_once_and_stay_unchanged():
    member = network()
    before = {name: tensor.clone() for name, tensor in member.state_dict().items()}
    nets = prepare([member], 2)
    assert prepare(nets, 2) == nets
    assert nets[0].module is not member
    assert np.array_equal(run(image(20, 20), SMALL, *nets), run(image(20, 20), SMALL, member))
    assert all(torch.equal(tensor, before[name]) for name, tensor in member.state_dict().items())


def test_one_of_ours_that_somebody_edited_runs_as_it_is():
    member = build(parse({**SPECS["rcan"], "scale": 2}), seed=1)
    output = next(node for node in member.graph.nodes if node.op == "output")
    with member.graph.inserting_before(output):
        output.args = (member.graph.call_function(torch.neg, output.args),)
    member.recompile()
    lr = image(9, 9)
    with torch.no_grad():
        expected = member(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))[0].permute(1, 2, 0).numpy()
    assert prepare([member], 2)[0].module is member
    assert np.array_equal(upscale([member], lr, 2, quality="fast"), expected)


def test_half_precision_keeps_the_last_convolutions_and_the_image_in_float32():
    member = network("drn", seed=3)
    nets = prepare([member], 2, precision="bfloat16")
    types = {name: tensor.dtype for name, tensor in nets[0].module.state_dict().items()}
    half = {name for name, dtype in types.items() if dtype == torch.bfloat16}
    assert {"head.weight", "body.0.fusion.weight"} <= half
    assert not {name for name in half if name.startswith(("tail", "image_skip", "sub_mean", "from_range"))}
    assert trunk(nets[0].graph)
    lr = image(20, 24)
    exact = upscale([member], lr, 2, quality="fast")
    half_made = np.concatenate(list(upscale_bands(nets, lr, preset("fast", 2))))
    error = np.sqrt(np.mean((half_made - exact) ** 2))
    signal = np.sqrt(np.mean((exact - exact.mean()) ** 2))
    assert 0 < error < signal / 50


def test_activations_are_counted_while_they_live():
    """By hand: 3 for the image; 8 and 16 channels side by side; 16 alone with the 16 it is added to, in place."""
    g = GraphBuilder()
    x = g.conv("a", INPUT, 8)
    y = g.relu("b", x)  # in place
    z = g.conv("c", y, 16)
    graph = g.graph(g.add("d", z, g.conv("e", y, 16)))
    plan = PassPlan(scale=1, patch=10, stride=10)
    assert activation_bytes(graph, plan.grid(50, 50)) == (8 + 16 + 16) * 100 * 4


def test_an_estimate_runs_each_member_twice_on_one_patch():
    first, second = Small(room=1), Small(room=1)
    assert estimate_seconds([first, second], SMALL, []) == 0
    assert estimate_seconds([first, second], SMALL, [(40, 15), (5, 5)]) > 0
    assert first.seen == second.seen == [1, 1]
