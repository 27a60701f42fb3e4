"""Named plans: how much of the paper's scheme is computed. docs/inference.md has what each costs, in dB and in time."""

from dataclasses import replace
from typing import Literal

from shared.errors import UsageError
from train_torch.ensemble.plan import Plan
from train_torch.ensemble.self_ensemble import transforms

Quality = Literal["paper", "balanced", "fast"]

PRESETS: dict[str, Plan] = {
    "paper": Plan(scale=1),
    "balanced": Plan(scale=1, patch=320, stride=288, transforms=transforms(4), window="ramp"),
    "fast": Plan(scale=1, patch=320, stride=288, transforms=transforms(1), window="ramp"),
}


def preset(name: str, scale: int, *, memory: int | None = None) -> Plan:
    """The plan of a name.

    Args:
        name: "paper" (patches of 120 at stride 60, eight transforms), "balanced" (patches of up to 320 that overlap by 32, four)
            or "fast" (the same patches, one).
        scale: HR side / LR side.
        memory: bytes that the process may hold at its peak; None: no limit.

    Raises:
        UsageError: no such name.
    """
    if name not in PRESETS:
        raise UsageError(f"quality: got {name!r}, expected one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], scale=scale, memory=memory)
