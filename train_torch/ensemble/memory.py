"""How much memory a plan of passes needs, and the order of work that keeps to a budget.

At its peak the process holds what it held before, the sums of one row of patches, the arrays of one batch (images and the
network's activations), and the copies of the band that is given out. The size of the activations follows from the Graph: for each
node, the outputs that later nodes still read. The allowances for the allocator were measured (benchmarks/inference/memory.py).
"""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from shared.errors import UsageError
from shared.network.graph import Graph
from shared.network.primitives import INPUT, Crop
from train_torch.ensemble.modules import PreparedMember
from train_torch.ensemble.patches import KEPT
from train_torch.ensemble.plan import Grid, PassPlan
from train_torch.network import spent_inputs

MEGABYTE = 10**6
FLOAT = 4  # bytes
PIECE_BYTES = 8 * 2**20  # of one band that is given out
COPIES = 6  # of that band: the engine's, the fusion's (float64, two), and those of packing and writing
PATCH_BYTES = (
    28  # for each number of a patch's HR image: output, turned, sum (float64), mean, weights and their product
)
ALLOCATOR = 1.15  # freed memory that the allocator keeps, over what is alive
LIBRARIES = 60 * MEGABYTE  # what torch takes at its first run: code, thread stacks, kernels compiled for a shape
CPU_BATCH = 4  # images in one run: 8 % faster on small patches
CPU_BYTES = 32 * MEGABYTE  # of their activations: slower beyond
GPU_BATCH = 16  # images in one run; not tried out


@dataclass(frozen=True, kw_only=True, slots=True)
class Traversal:
    """The order in which a plan is computed.

    Attributes:
        batch: images in one run of a network.
        by_columns: bands are computed from left to right, and turned into rows through a temporary file.
    """

    batch: int
    by_columns: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Bytes at the peak.

    Attributes:
        held: by the process before.
        sums: of a row of patches, at HR size, of all members.
        work: of one batch, and of the band that is given out.
    """

    held: int
    sums: int
    work: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.held + self.sums + self.work

    def __str__(self) -> str:
        parts = {"held": self.held, "a row of patches": self.sums, "one run": self.work}
        listed = ", ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in parts.items())
        return f"{self.total / MEGABYTE:.0f} MB ({listed})"


def choose_traversal(networks: Sequence[PreparedMember], plan: PassPlan, height: int, width: int) -> Traversal:
    """The largest batch that fits the memory budget, by columns only where bands of rows do not fit.

    Args:
        networks: that run.
        plan: gives `memory`, the budget, and `batch`, the largest batch; each may be None.
        height: of the image, LR px.
        width: of the image, LR px.

    Raises:
        UsageError: the budget is too small; the message has the bytes.
    """
    most = plan.batch or min(_most(network, plan, height, width) for network in networks)
    if plan.memory is None:
        return Traversal(batch=most, by_columns=False)
    held = held_bytes()
    for by_columns in (False, True):
        for batch in range(most, 0, -1):
            traversal = Traversal(batch=batch, by_columns=by_columns)
            if need(networks, plan, height, width, traversal, held).total <= plan.memory:
                return traversal
    least = min(
        (need(networks, plan, height, width, Traversal(batch=1, by_columns=turned), held) for turned in (False, True)),
        key=lambda need: need.total,
    )
    raise UsageError(
        f"memory: got {plan.memory / MEGABYTE:.0f} MB, expected at least {least} for an image of {width}x{height} px; "
        "allow more, or take smaller patches"
    )


def need(
    networks: Sequence[PreparedMember],
    plan: PassPlan,
    height: int,
    width: int,
    traversal: Traversal,
    held: int | None = None,
) -> Need:
    """The memory that a traversal takes.

    Args:
        networks: that run.
        plan: what is computed.
        height: of the image, LR px.
        width: of the image, LR px.
        traversal: the order of work.
        held: bytes that the process holds before; None: those it holds now.
    """
    grid = plan.grid(height, width)
    across, deep = (height, grid.width) if traversal.by_columns else (width, grid.height)
    band = 3 * FLOAT * plan.scale**2 * across * deep
    patch = 3 * plan.scale**2 * grid.height * grid.width
    windows = min(KEPT, len(grid.tops) * len(grid.lefts)) * patch // 3 * FLOAT
    runs = [
        activation_bytes(network.graph, grid) * traversal.batch
        for network in networks
        if network.graph is not None and network.device.type == "cpu"
    ]
    work = PATCH_BYTES * patch * traversal.batch + max(runs, default=0) + windows + COPIES * PIECE_BYTES
    return Need(
        held=held_bytes() if held is None else held,
        sums=band * len(networks),
        work=round(ALLOCATOR * work) + LIBRARIES,
    )


def activation_bytes(graph: Graph, grid: Grid) -> int:
    """Largest sum of activations in memory at once, for one image of a patch's size; outputs written over inputs count once."""
    shapes, spent = graph.shapes(grid.height, grid.width), spent_inputs(graph)
    size = {name: channels * height * width for name, (channels, height, width) in shapes.items()}
    size |= {node.name: 0 for node in graph.nodes if isinstance(node, Crop)}
    last_use = graph.last_use()
    for node in reversed(graph.nodes):
        if isinstance(node, Crop):  # a view keeps what it shows
            last_use[node.inputs[0]] = max(last_use[node.inputs[0]], last_use[node.name])
    alive, peak = {INPUT: size[INPUT]}, 0
    for index, node in enumerate(graph.nodes):
        if node.name in spent:
            alive.pop(node.inputs[spent[node.name]])
        alive[node.name] = size[node.name]
        peak = max(peak, sum(alive.values()))
        alive = {name: value for name, value in alive.items() if last_use[name] > index}
    return FLOAT * peak


def held_bytes() -> int:
    """Resident bytes of this process, or its greatest resident size where the system has no /proc."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _most(network: PreparedMember, plan: PassPlan, height: int, width: int) -> int:
    """Images in one run: on a CPU as many as keep the activations small, on a GPU as many as fit."""
    if network.graph is None:
        return 1 if network.device.type == "cpu" else GPU_BATCH
    size = activation_bytes(network.graph, plan.grid(height, width))
    if network.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(network.device)
        return max(1, min(GPU_BATCH, free // (2 * size)))
    return max(1, min(CPU_BATCH, CPU_BYTES // size)) if network.device.type == "cpu" else GPU_BATCH
