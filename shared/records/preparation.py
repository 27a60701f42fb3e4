"""What became of the pairs that `data prepare` was given, PACK.report.json beside the pack.

{"schema": "gpnas-sr/prepare/1", "pack": "pack.h5", "sha256": …, "inputs_sha256": …, "scale": 4, "layout": "LR and HR folders",
"config": {"ncc": "ncc_rgb_lr", "ncc_threshold": 0.99, …}, "pairs": 29, "kept": 28, "rescued": 0, "train": 20, "validation": 8,
"ncc": {"min": 0.9907, "median": 0.9974}, "shift": {"median": 0.115, "max": 0.415},
"dropped": [{"name": "b", "reason": "got ncc_rgb_lr 0.9861, expected 0.99 or more: …"}],
"images": [{"name": "a", "split": "train", "lr_size": [66, 66], "hr_size": [264, 264], "ncc": 0.9971, "shift": [0.01, 0.15],
"shift_response": 0.9641}], "unchanged": false}
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.records.record import Record

SCHEMA: Literal["gpnas-sr/prepare/1"] = "gpnas-sr/prepare/1"

NccName = Literal["ncc_rgb_lr", "ncc_y_hr"]


class PrepareConfig(BaseModel):
    """Settings of `data prepare`: which pairs are kept, and which of them are for validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ncc: NccName = "ncc_rgb_lr"
    """Definition of the normalised cross-correlation; the paper does not say which (see `shared.data.alignment`)."""
    ncc_threshold: Annotated[float, Field(ge=-1, le=1)] = 0.99
    """Pairs of a lower NCC are dropped; the paper's value."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 600 / 19000
    """Part of the kept pairs that is for validation, at least one pair; the paper's proportion. Not used where `validation` is
    given."""
    validation: tuple[str, ...] | None = None
    """Shell patterns: all pairs of such names are for validation, and no others. None: chosen by hashed names."""
    group: str | None = None
    """Regular expression whose first bracket names what belongs together (`(.+)_`: pieces of one photograph). The pairs of a
    group are all for training or all for validation."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the hashed split."""
    include: tuple[str, ...] = ("*",)
    """Shell patterns of the names to use (`Canon_*`)."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of the names to leave out."""


class KeptPair(Record):
    """Facts of a pair in the pack. Sizes: width, height in px. Shift: x, y in LR px, None for very small images."""

    name: str
    split: Literal["train", "validation"] = "train"
    lr_size: tuple[int, int]
    hr_size: tuple[int, int]
    ncc: float
    shift: tuple[float, float] | None
    shift_response: float | None


class DroppedPair(Record):
    """A pair or file left out, and why."""

    name: str
    reason: str


class PreparationReport(Record):
    """The whole file."""

    schema_: Literal["gpnas-sr/prepare/1"] = Field(default=SCHEMA, alias="schema")
    pack: str
    sha256: str
    inputs_sha256: str
    scale: int
    layout: str
    config: PrepareConfig
    pairs: int
    kept: int
    rescued: int
    train: int
    validation: int
    ncc: dict[str, float]
    shift: dict[str, float] | None
    dropped: tuple[DroppedPair, ...]
    images: tuple[KeptPair, ...]
    unchanged: bool = False
