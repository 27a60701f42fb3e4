"""The answer of `gpnas-sr evaluate --json`: scores of a suite and of bicubic upscaling on pairs.

{"suite": "runs/train", "data": "pack.h5", "scale": 4, "crop": 4, "levels": ["self_ensemble", "patch_ensemble"],
"psnr_rgb": …, "psnr_y": …, "ssim_rgb": …, "ssim_y": …, "bicubic": {"psnr_rgb": …, …},
"images": [{"name": "pair_1", "psnr_rgb": …, …, "bicubic": {…}}], "skipped": [{"name": "notes", "reason": …}]}
"""

from pydantic import Field

from shared.records.preparation import DroppedPair
from shared.records.record import Record
from shared.records.scores import ImageScores, Scores


class EvaluatedImage(ImageScores):
    """Scores of one image, and of bicubic upscaling on the same pair."""

    bicubic: Scores


class EvaluationSetting(Record):
    """What was measured, and how."""

    suite: str
    data: str
    scale: int
    crop: int = Field(description="HR px cut off each side before a metric")
    levels: tuple[str, ...] = Field(description="levels of the ensemble that were on")


# In a class of two parents, the fields of the last parent stand first in the answer
class Evaluation(Scores, EvaluationSetting):
    """The whole answer; its own scores are means over the images."""

    bicubic: Scores
    images: tuple[EvaluatedImage, ...]
    skipped: tuple[DroppedPair, ...] = ()
