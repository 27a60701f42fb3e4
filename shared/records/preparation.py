"""What `shared.data.prepare` is told and what it reports, as strict values."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.data.alignment import NccName

SCHEMA: Literal["gpnas-sr/prepare/1"] = "gpnas-sr/prepare/1"


class PrepareConfig(BaseModel):
    """Which pairs are kept, and which of them validate."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ncc: NccName = "ncc_rgb_lr"
    """Definition of the normalised cross-correlation; the paper does not say which (see `shared.data.alignment`)."""
    ncc_threshold: Annotated[float, Field(ge=-1, le=1)] = 0.99
    """Pairs below are dropped; the paper's value."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 600 / 19000
    """Share of the kept pairs that validate, at least one; the paper's proportion. Of no effect beside
    `validation`."""
    validation: tuple[str, ...] | None = None
    """Shell patterns of the names that validate, all of them and no others; None: by hashed names."""
    group: str | None = None
    """Regular expression whose first bracket names what belongs together (`(.+)_`: pieces of one photograph): the
    hashed split never parts a group."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the hashed split."""
    include: tuple[str, ...] = ("*",)
    """Shell patterns of the names to use (`Canon_*`)."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of the names to leave out."""


class KeptPair(BaseModel):
    """Facts of a pair in the pack. Sizes: width, height in px. Shift: x, y in LR px, None for very small images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    split: Literal["train", "validation"] = "train"
    lr_size: tuple[int, int]
    hr_size: tuple[int, int]
    ncc: float
    shift: tuple[float, float] | None
    shift_response: float | None


class DroppedPair(BaseModel):
    """A pair or file left out, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reason: str


class Report(BaseModel):
    """What became of the pairs; stands beside the pack as PACK.report.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["gpnas-sr/prepare/1"] = Field(alias="schema")
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

    def to_json(self) -> dict[str, Any]:
        """The JSON value of the file."""
        return self.model_dump(mode="json", by_alias=True)
