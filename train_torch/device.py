"""Where networks run."""

from collections.abc import Sequence

import torch
from torch import nn

from shared.errors import UsageError


def on_device(modules: Sequence[nn.Module], name: str) -> list[nn.Module]:
    """The modules, moved there.

    Args:
        modules: any.
        name: as torch names devices (`cpu`, `cuda`, `cuda:1`, `mps`), or `auto`: a GPU if there is one, else the CPU.

    Raises:
        UsageError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch was built without, or there are fewer
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device: got {name!r} ({reason}), expected one that is there, such as cpu") from None
    return [module.to(device) for module in modules]
