"""Torch modules as pure functions of image batches: nothing passed in is changed.

Our own networks (they carry their Graph) run as a private copy, rewritten for speed; foreign modules run as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from shared.errors import NonFiniteError, OutOfMemoryError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A member, ready to run.

    Attributes:
        name: for messages.
        scale: HR side / LR side, which outputs are checked against.
        modules: every module that a run may use, for `evaluating`.
        choose: (height, width) of the input -> the module that runs.
        device: where the weights are.
        dtype: of the images it takes.
        memory_format: of the images it takes.
    """

    name: str
    scale: int
    modules: tuple[nn.Module, ...]
    choose: Callable[[int, int], nn.Module]
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    def __call__(self, x: Tensor) -> Tensor:
        """Run a batch; the module gets a copy, as some write into their input.

        Args:
            x: (n, 3, h, w), anywhere, of any floating-point type.

        Returns:
            (n, 3, scale·h, scale·w) on the network's device.

        Raises:
            UsageError: the output is no tensor, or has another shape.
            NonFiniteError: the output holds a NaN or an infinity.
            OutOfMemoryError: the device has no room.
        """
        copy = x.to(self.device, self.dtype, copy=True, memory_format=self.memory_format)
        output = _call(self.choose(x.shape[2], x.shape[3]), copy, self.name)
        expected = (x.shape[0], 3, x.shape[2] * self.scale, x.shape[3] * self.scale)
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or got != expected:
            raise UsageError(f"{self.name}: made {got} of {tuple(x.shape)}, expected {expected} at scale {self.scale}")
        _check_finite(output, self.name)
        return output


def prepare(members: Sequence[nn.Module | Network], scale: int) -> tuple[Network, ...]:
    """Members as networks; a Network stays what it is, so that a caller with many images prepares once.

    Args:
        members: (n, 3, h, w) -> (n, 3, scale·h, scale·w), on any device, in any floating-point precision.
        scale: HR side / LR side.
    """
    return tuple(
        member if isinstance(member, Network) else _foreign(member, scale, f"member {index} of {len(members)}")
        for index, member in enumerate(members, 1)
    )


@contextmanager
def evaluating(networks: Sequence[Network]) -> Iterator[None]:
    """Evaluation mode without gradients within the block; behind it every submodule is in the mode it was in."""
    modules = [module for network in networks for module in network.modules]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():  # inference_mode would poison tensors that a module keeps, for a later training
            yield
    finally:
        for part, training in modes:
            part.training = training


def _foreign(member: nn.Module, scale: int, name: str) -> Network:
    device, dtype = _placement(member)
    return Network(
        name=name,
        scale=scale,
        modules=(member,),
        choose=lambda height, width: member,
        device=device,
        dtype=dtype,
        memory_format=torch.contiguous_format,  # what a module may `view`
    )


def _placement(member: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and precision of its first floating-point weight or buffer; CPU and float32 if it has none."""
    for tensor in chain(member.parameters(), member.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _call(member: nn.Module, x: Tensor, name: str) -> object:
    try:
        return member(x)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"{name}: no memory for {x.shape[0]} x {x.shape[3]}x{x.shape[2]} px: {error}; "
            "upscale by patches, by smaller ones, or cut it into parts"
        ) from None


def _check_finite(sr: Tensor, name: str) -> None:
    if torch.isfinite(sr.sum()):  # one pass without a copy: a NaN or an infinity stays one in the sum
        return
    count = int((~torch.isfinite(sr)).sum())
    if count:
        raise NonFiniteError(
            f"{name}: its output holds {count} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
