"""The four metrics, of one image or as means over images, as they stand in evaluations and ablations."""

from pydantic import Field

from shared.records.record import Record


class Scores(Record):
    """Means over images, or the values of one image. None: not finite (equal images); JSON has no infinity."""

    psnr_rgb: float | None = Field(default=None, description="dB")
    psnr_y: float | None = Field(default=None, description="dB")
    ssim_rgb: float | None = None
    ssim_y: float | None = None


class Named(Record):
    """Something of a pair."""

    name: str = Field(description="of the pair")


# In a class of two parents, the fields of the last parent stand first in the file
class ImageScores(Scores, Named):
    """The name of a pair, then the scores of its image."""
