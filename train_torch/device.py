"""Where networks run, and what happens when there is no memory left."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from shared.errors import OutOfMemoryError, UsageError


def on_device(modules: Sequence[nn.Module], name: str) -> list[nn.Module]:
    """Move modules to a device.

    Args:
        modules: what is moved, in place.
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


@contextmanager
def memory_errors(work: str, remedy: str) -> Iterator[None]:
    """Turn the allocator's refusal within the block into an OutOfMemoryError. Other errors stay as they are.

    Args:
        work: what needed the memory.
        remedy: what the user can do.

    Raises:
        OutOfMemoryError: names the work, the allocator's reason and the remedy; after an inner block only the work is added.
    """
    try:
        yield
    except OutOfMemoryError as error:
        raise OutOfMemoryError(f"{work}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error):  # torch has no class for it on the CPU
            raise
        reason = str(error).partition("\n")[0].rpartition("] ")[2] or "no memory left"
        raise OutOfMemoryError(f"{work}: {reason}; {remedy}") from error
