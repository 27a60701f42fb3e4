"""Suite file -> networks."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from shared.records.resolve import load_member, resolve
from shared.records.suite import Member
from train_torch.network import build


def load_suite(path: str | Path) -> tuple[list[nn.Module], list[float], int]:
    """Load the members of a suite file, a folder with one, or a single weights file, with their ensemble weights and the scale.

    Raises:
        UsageError: a member is not trained yet.
        SpecError, WeightsError: a file is broken, or weights and spec do not belong together.
    """
    members = resolve(path, trained=True).members
    return [_load(member) for member in members], [member.weight for member in members], members[0].spec.scale


def _load(member: Member) -> nn.Module:
    file = load_member(member)
    network = build(file.spec, weights=file.network).eval()
    return convert_conv2d_weight_memory_format(
        network, torch.channels_last
    )  # activations follow: 1.2 x faster on a CPU
