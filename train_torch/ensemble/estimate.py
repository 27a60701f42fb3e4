"""How long images will take, estimated from one measured patch."""

import time
from collections.abc import Iterable, Sequence

import torch

from train_torch.ensemble.modules import EnsembleMember, PreparedMember, evaluating, prepare
from train_torch.ensemble.plan import PassPlan


def estimate_seconds(members: Sequence[EnsembleMember], plan: PassPlan, sizes: Iterable[tuple[int, int]]) -> float:
    """Seconds that images will take: each member's time for one patch, measured now, times the number of patches.

    Reading, writing and blending are left out: they overlap with the rest, or cost a few per cent.

    Args:
        members: the networks that will run, modules or `prepare`d ones.
        plan: what is computed.
        sizes: (height, width) of the images, LR px.
    """
    sizes = list(sizes)
    pixels = sum(plan.pixels(*size) for size in sizes)
    if pixels == 0:
        return 0.0
    grid = plan.grid(*max(sizes, key=lambda size: plan.grid(*size).height * plan.grid(*size).width))
    networks = prepare(members, plan.scale, precision=plan.precision)
    x = torch.zeros(1, 3, grid.height, grid.width)
    with evaluating(networks):
        seconds = sum(_seconds(network, x) for network in networks)
    return seconds * pixels / (grid.height * grid.width)


def _seconds(network: PreparedMember, x: torch.Tensor) -> float:
    """Of the second run: the first one also compiles kernels."""
    network(x)
    started = time.perf_counter()
    network(x).sum().item()  # waits for a GPU
    return time.perf_counter() - started
