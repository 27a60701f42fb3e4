"""What the report takes from the files of other commands: frozen values, checked on reading.

Fields that the report does not show are ignored here; their writers own them and check them.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class Trial(_Record):
    """One line of a search's journal."""

    trial: int = Field(ge=0, description="number of the proposal, from 0")
    id: str = Field(description="spec id")
    architecture: dict[str, Any]
    status: Literal["done", "stopped", "failed"] = Field(description="stopped: ended early, without a final score")
    reason: str | None = Field(default=None, description="why it stopped or failed")
    score: float | None = Field(description="mean validation PSNR-RGB, dB; None: not done")
    bicubic: float | None = Field(default=None, description="bicubic enlargement on the same pairs, dB")
    predicted: dict[str, float] | None = Field(default=None, description="mean and std before the training, dB")
    steps: int = 0
    seconds: float = Field(default=0.0, description="wall time, s")
    cost: dict[str, int | float] = Field(default_factory=dict)


class LogLine(_Record):
    """One line of a member's training log."""

    step: int = Field(ge=0, description="optimiser steps done")
    loss: float = Field(description="of this one step")
    psnr_rgb: float | None = Field(default=None, description="validation, dB; None: not validated at this step")


class RunFacts(_Record):
    """What a run says about itself: run.json of a search, train.json of a training."""

    schema_: str = Field(alias="schema")
    pack: str | None = None
    data_sha256: str | None = None
    space_sha256: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    members: tuple[str, ...] = ()
    bicubic: float | None = Field(default=None, description="of a search, dB")
    bicubic_psnr_rgb: float | None = Field(default=None, description="of a training, dB")
    software: dict[str, str] = Field(default_factory=dict)
    command: str | list[str] | None = None


class Scores(_Record):
    """Means over images, or one image's. None: not finite (equal images), which JSON has no number for."""

    psnr_rgb: float | None = Field(default=None, description="dB")
    psnr_y: float | None = Field(default=None, description="dB")
    ssim_rgb: float | None = None
    ssim_y: float | None = None


class ImageScores(Scores):
    """Scores of one image."""

    name: str


class Row(Scores):
    """One line of Table 1: an ensemble of `members` with `levels` on."""

    members: tuple[str, ...]
    levels: tuple[str, ...]
    images: tuple[ImageScores, ...] = ()


class Side(_Record):
    """What a comparison compares; no members: bicubic."""

    members: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()


class Comparison(_Record):
    """Mean paired difference a - b over images, with its interval."""

    a: Side
    b: Side
    metric: str
    gain: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    interval: str | None = Field(default=None, description="how it was computed, in words")


class Bicubic(Scores):
    """Scores of the bicubic enlargement."""

    images: tuple[ImageScores, ...] = ()


class AblationFile(_Record):
    """`ablation.json`."""

    schema_: Literal["gpnas-sr/ablation/1"] = Field(alias="schema")
    scale: int
    crop: int = Field(description="HR px cut off each side before a metric")
    patch: int | None = Field(default=None, description="side of the patch level's patches, LR px")
    stride: int | None = Field(default=None, description="LR px between two patches")
    bicubic: Bicubic
    rows: tuple[Row, ...] = Field(min_length=1)
    comparisons: tuple[Comparison, ...] = ()
    examples: tuple[str, ...] = Field(default=(), description="pairs with pictures under images/")
    software: dict[str, str] = Field(default_factory=dict)
    data_sha256: str | None = None
    command: str | list[str] | None = None
