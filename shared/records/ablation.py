"""The paper's Table 1 of a suite, `ablation.json`: scores of single members, pairs, all, and of all with levels switched off.

    {"schema": "gpnas-sr/ablation/1", "scale": 4, "crop": 4, "patch": 120, "stride": 60,
     "bicubic": {"psnr_rgb": …, "psnr_y": …, "ssim_rgb": …, "ssim_y": …, "images": [{"name": "pair_1", "psnr_rgb": …, …}]},
     "rows": [{"members": ["drn-x4-…"], "levels": ["self_ensemble", "patch_ensemble"], "psnr_rgb": …, …, "images": […]}],
     "software": {…},
     "comparisons": [{"a": {"members": […], "levels": […]}, "b": {…}, "metric": "psnr_rgb", "gain": 0.11, "low": 0.08,
                      "high": 0.14, "confidence": 0.95, "interval": "paired Student t over images"}],
     "examples": ["pair_1"]}

Beside it stand the pictures of the examples: `images/<pair>/<name>.png`, names `lr`, `bicubic`, member ids, `ensemble`, `hr`.
"""

from typing import Literal

from pydantic import Field

from shared.records.record import Record
from shared.records.scores import ImageScores, Scores

NAME = "ablation.json"


class Ensemble(Record):
    """Some members of the suite with some levels of the ensemble on. No members: bicubic."""

    members: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()


class BicubicScores(Scores):
    """Scores of bicubic upscaling."""

    images: tuple[ImageScores, ...] = ()


# In a class of two parents, the fields of the last parent stand first in the file
class TableRow(Scores, Ensemble):
    """One line of Table 1."""

    images: tuple[ImageScores, ...] = ()


class PairedGain(Record):
    """Mean of the paired differences a - b over images, with its confidence interval."""

    a: Ensemble
    b: Ensemble
    metric: str
    gain: float
    low: float | None = Field(default=None, description="None: fewer than two images")
    high: float | None = Field(default=None, description="None: fewer than two images")
    confidence: float | None = None
    interval: str | None = Field(default=None, description="how it was computed, in words")


class AblationTable(Record):
    """The whole file."""

    schema_: Literal["gpnas-sr/ablation/1"] = Field(default="gpnas-sr/ablation/1", alias="schema")
    scale: int
    crop: int = Field(description="HR px cut off each side before a metric")
    patch: int | None = Field(default=None, description="side of the patch level's patches, LR px")
    stride: int | None = Field(default=None, description="LR px between two patches")
    bicubic: BicubicScores
    rows: tuple[TableRow, ...] = Field(min_length=1)
    software: dict[str, str] = Field(default_factory=dict)
    comparisons: tuple[PairedGain, ...] = ()
    examples: tuple[str, ...] = Field(default=(), description="pairs with pictures under images/")
