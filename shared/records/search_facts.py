"""What a search says of itself, `run.json` in its folder.

{"schema": "gpnas-sr/search-run/1", "pack": "pack.h5", "data_sha256": …, "space": {…}, "space_sha256": …, "config": {…},
"bicubic": 28.5, "software": {"python": "3.11.9", …}}
"""

from typing import Any, Literal

from pydantic import Field

from shared.records.record import Record

NAME = "run.json"


class SearchFacts(Record):
    """The data, the space and the settings of a search."""

    schema_: Literal["gpnas-sr/search-run/1"] = Field(default="gpnas-sr/search-run/1", alias="schema")
    pack: str = Field(description="path of the pack, as it was given")
    data_sha256: str
    space: dict[str, Any]
    space_sha256: str
    config: dict[str, Any]
    bicubic: float = Field(description="mean PSNR-RGB of bicubic upscaling on the validation pairs, dB")
    software: dict[str, str]
