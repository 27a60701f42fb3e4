"""Torch modules as pure functions of an image: nothing passed in is changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from shared.errors import NonFiniteError, OutOfMemoryError, UsageError
from train_torch.ensemble.self_ensemble import Upscaler


@contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode without gradients within the block; behind it every submodule is in the mode it was in."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():  # inference_mode would poison tensors that a module keeps, for a later training
            yield
    finally:
        for part, training in modes:
            part.training = training


def as_function(member: nn.Module, scale: int, name: str) -> Upscaler:
    """A module as a function from host to host: it gets a copy, as some write into their input; float64 comes out.

    Args:
        member: (n, 3, h, w) -> (n, 3, scale·h, scale·w), on any device, in any floating-point precision; in evaluation
            mode when the function is called.
        scale: HR side / LR side, which outputs are checked against.
        name: for messages.

    Raises (the function):
        UsageError: the output is no tensor, or has another shape.
        NonFiniteError: the output holds a NaN or an infinity.
        OutOfMemoryError: the device has no room.
    """
    device, dtype = _placement(member)

    def run(x: Tensor) -> Tensor:
        copy = x.to(device, dtype, copy=True, memory_format=torch.contiguous_format)  # what a module may `view`
        output = _call(member, copy, name)
        expected = (x.shape[0], 3, x.shape[2] * scale, x.shape[3] * scale)
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or got != expected:
            raise UsageError(f"{name}: made {got} of {tuple(x.shape)}, expected {expected} at scale {scale}")
        sr = output.to("cpu", torch.float64)
        _check_finite(sr, name)
        return sr

    return run


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
            f"{name}: no memory for an image of {x.shape[3]}x{x.shape[2]} px: {error}; "
            "upscale by patches, by smaller ones, or cut it into parts"
        ) from None


def _check_finite(sr: Tensor, name: str) -> None:
    finite = torch.isfinite(sr)
    if not finite.all():
        raise NonFiniteError(
            f"{name}: its output holds {int((~finite).sum())} numbers that are not finite; "
            "its training has diverged, or its weights file is damaged: leave it out, or train it again"
        )
