"""What an architecture spec is: a frozen, strict value with a content id. The families derive from it."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, model_validator

MeanShift = Literal["none", "div2k", "df2k"]
ImageSkip = Literal["none", "bicubic"]

# RGB means in [0, 1] that the official RCAN subtracts, by training set (reference: yulunzhang/RCAN, its test code)
MEANS: Mapping[MeanShift, tuple[float, float, float]] = {
    "div2k": (0.4488, 0.4371, 0.4040),
    "df2k": (0.4690, 0.4490, 0.4036),
}


class ArchSpec(BaseModel):
    """One architecture, of one family, for one scale.

    A default never changes: a field added later leaves every earlier id alone, since the id leaves out fields at their default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    scale: Literal[2, 3, 4] = Field(description="HR side / LR side")
    features: int = Field(ge=1, description="channels of the trunk (F)")
    mean_shift: MeanShift = Field(
        default="none", description="RGB mean subtracted before and added after, by training set"
    )
    value_range: Literal[1, 255] = Field(default=1, description="upper end of the range the network works in, inside")
    image_skip: ImageSkip = Field(
        default="none", description="what is added to the output: nothing, or the input upscaled by the a=-0.5 cubic"
    )

    family: str
    FIRST: ClassVar[tuple[str, ...]] = ("family", "scale")  # in files

    def architecture(self) -> dict[str, Any]:
        """All fields, family and scale first: what a spec file shows under `architecture`."""
        fields = self.model_dump()
        return {name: fields[name] for name in (*self.FIRST, *(f for f in fields if f not in self.FIRST))}

    @property
    def id(self) -> str:
        """`drn-x2-` and 12 hex digits of the SHA-256 of the RFC 8785 form of the fields that are not at their default."""
        fields = {**self.model_dump(exclude_defaults=True), "family": self.family, "scale": self.scale}
        return f"{self.family}-x{self.scale}-{hashlib.sha256(rfc8785.dumps(fields)).hexdigest()[:12]}"


class AttentionSpec(ArchSpec):
    """A spec of a family with channel attention that has a hidden layer."""

    reduction: int = Field(default=16, ge=1, description="channels / hidden channels of channel attention")
    FIRST: ClassVar[tuple[str, ...]] = ("family", "scale", "features", "reduction")

    @model_validator(mode="after")
    def _attention_has_hidden_channels(self) -> Self:
        if self.features < self.reduction:
            raise ValueError(
                f"features {self.features} < reduction {self.reduction}: the hidden layer of channel attention would be empty; "
                f"take features >= {self.reduction}, or a smaller reduction"
            )
        return self
