"""The settings of a training: one frozen value, read from TOML. Unknown keys are refused, and the nearest name is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.config import validated, with_overrides
from shared.ms_ssim import LEVELS, check_levels
from shared.schedule import check_rates

# Fields that change what is kept and shown, never the weights of a network: they may differ when a training is resumed.
# `distill_share` is one of them because the hash of the distilled pairs depends on it
BOOKKEEPING = frozenset(
    {
        "checkpoint_every",
        "checkpoint_seconds",
        "log_every",
        "tensorboard",
        "member_shares",
        "camera_spread",
        "distill_share",
    }
)


class TrainConfig(BaseModel):
    """How the members of a suite are trained.

    Crop, augmentation and the two losses are the paper's. "ours" marks what the paper leaves open.

    Example:
        >>> TrainConfig(steps=1000, patch=48, ms_ssim_levels=5).steps
        1000
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: int = Field(default=200_000, ge=1, description="optimiser steps (ours)")
    batch: int = Field(default=16, ge=1, description="crops in a step (ours)")
    patch: int = Field(default=120, ge=1, description="side of the LR crop, px (paper)")
    augment: bool = Field(default=True, description="flips and transposes (paper)")
    seed: int = Field(default=0, ge=0, description="of the initial weights and of the order of crops")
    init: Literal["seed", "source"] = Field(
        default="seed", description="initial weights: drawn from the seed, or those of the given suite or weights file"
    )

    learning_rate: float = Field(default=2e-4, gt=0, allow_inf_nan=False, description="highest rate of Adam (ours)")
    minimum_learning_rate: float = Field(
        default=1e-7, ge=0, allow_inf_nan=False, description="rate at the end of the cosine (ours)"
    )
    warmup: int = Field(default=0, ge=0, description="steps of linear rise to the highest rate (ours)")
    gradient_clip: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="largest norm of the whole gradient; None: no limit (ours)"
    )
    ema_decay: float = Field(
        default=0.999, ge=0, lt=1, description="weight of the old value in the EMA of the weights; 0: no EMA (ours)"
    )

    l1_weight: float = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="factor of the mean absolute error (ours)"
    )
    ms_ssim_weight: float = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="factor of 1 - MS-SSIM; 0: L1 alone (ours)"
    )
    ms_ssim_levels: int = Field(default=LEVELS, ge=1, le=LEVELS, description="scales of MS-SSIM; fewer for small crops")
    dual_weighting: Literal["guoyongcs", "paddlegan"] = Field(
        default="guoyongcs",
        description="published weights of the terms of the dual regression loss",
    )

    validate_every: int = Field(default=5000, ge=1, description="steps between two validations (BasicSR's default)")
    validation_pairs: int | None = Field(
        default=None, ge=1, description="validation pairs that are used, evenly spread; None: all"
    )
    checkpoint_every: int = Field(default=5000, ge=1, description="steps between two checkpoints (BasicSR's default)")
    checkpoint_seconds: float = Field(default=300.0, gt=0, description="most seconds between two checkpoints (ours)")
    log_every: int = Field(default=100, ge=1, description="steps between two log lines (BasicSR's default)")
    tensorboard: bool = Field(default=True, description="write TensorBoard scalars beside the JSON lines")

    distill_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="weight of the teacher's image in the targets of --distill; the rest is HR (ours)",
    )
    member_shares: Literal["equal", "validation"] = Field(
        default="equal",
        description="ensemble weights: equal (paper), or those with the least error on the validation pairs (ours)",
    )
    camera_spread: float = Field(
        default=0.01,
        ge=0,
        allow_inf_nan=False,
        description="how much a member's error, relative to the others', differs between cameras: members that differ less get "
        "equal weights; 0 where all photographs come from the camera of the pairs (ours)",
    )

    precision: Literal["32-true", "bf16-mixed"] = Field(
        default="32-true",
        description="of the forward pass (losses, weights and EMA are float32 in both); bf16-mixed is faster on GPUs and on CPUs "
        "with bf16 instructions, and ten times slower on others",
    )
    channels_last: bool = Field(default=True, description="memory order of images; 1.2 to 1.35 times faster on CPUs")
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="device of Lightning Fabric")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of one member; None: the cores divided by the jobs; the last bits of the weights depend on it",
    )

    @model_validator(mode="after")
    def _terms_and_rates_fit(self) -> Self:
        weights = {name: value for name, value in self if name.endswith("_weight")}
        if not any(weights.values()):
            raise ValueError(f"{', '.join(weights)} are all 0: nothing to learn from; give one a positive weight")
        check_rates(self)
        if self.warmup >= self.steps:
            raise ValueError(f"warmup: got {self.warmup} steps, expected fewer than steps {self.steps}")
        return self

    def check_scale(self, scale: int) -> None:
        """Refuse a crop too small for the levels of MS-SSIM (UsageError, see `check_levels`)."""
        check_levels(patch=self.patch, scale=scale, levels=self.ms_ssim_levels, weight=self.ms_ssim_weight)


# A field added later counts as its default in the records of earlier runs, so that they can be resumed
DEFAULTS = {f"config.{name}": value for name, value in TrainConfig().model_dump().items()}


def make_config(fields: Mapping[str, Any], *, name: str = "training configuration") -> TrainConfig:
    """Make a configuration from its fields.

    Raises:
        UsageError: unknown field (with the nearest name), wrong type, or out of range.
    """
    return validated(TrainConfig, fields, name=name)


def read_config(path: Path | None, **overrides: Any) -> TrainConfig:
    """The configuration of a TOML file (None: the defaults); overrides that are not None replace its fields.

    Raises:
        UsageError: no such file, no TOML, or not a configuration.
    """
    fields = with_overrides(path, overrides, expected="TOML: settings of a training (steps = 20000, …)")
    return make_config(fields, name="training configuration" if path is None else str(path))
