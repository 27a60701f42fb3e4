"""Suite file -> networks."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from shared.errors import UsageError
from shared.records.suite import Member, read_suite
from shared.records.weights import load_weights
from train_torch.network import build


def load_suite(path: str | Path) -> tuple[list[nn.Module], list[float], int]:
    """Load the members of a suite file, a folder with one, or a single weights file, with their ensemble weights and the scale.

    Raises:
        UsageError: a member is not trained yet.
        SpecError, WeightsError: a file is broken, or weights and spec do not belong together.
    """
    suite = read_suite(Path(path))
    return [_load(member) for member in suite.members], [member.weight for member in suite.members], suite.scale


def _load(member: Member) -> nn.Module:
    if member.weights_path is None:
        raise UsageError(
            f"{member.spec.id} has no weights yet; expected a trained suite: `gpnas-sr train RUN --data PACK.h5 --out …` first"
        )
    file = load_weights(member.weights_path)
    if file.spec != member.spec:
        raise UsageError(
            f"{member.weights_path}: holds weights of {file.spec.id}, the suite names {member.spec.id}; one was replaced"
        )
    network = build(file.spec, weights=file.network).eval()
    return convert_conv2d_weight_memory_format(
        network, torch.channels_last
    )  # activations follow: 1.2 x faster on a CPU
