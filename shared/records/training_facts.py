"""What a training says of itself, `train.json` in its folder.

{"schema": "gpnas-sr/train/1", "config": {…}, "data_sha256": …, "scale": 4, "members": ["drn-x4-…", …],
"bicubic_psnr_rgb": 28.5}
"""

from typing import Any, Literal

from pydantic import Field

from shared.records.record import Record

NAME = "train.json"


class TrainingFacts(Record):
    """The data, the settings and the members of a training."""

    schema_: Literal["gpnas-sr/train/1"] = Field(default="gpnas-sr/train/1", alias="schema")
    config: dict[str, Any]
    data_sha256: str
    scale: int
    members: tuple[str, ...] = Field(description="spec ids, in the order of the suite")
    bicubic_psnr_rgb: float = Field(description="mean PSNR-RGB of bicubic upscaling on the validation pairs, dB")
