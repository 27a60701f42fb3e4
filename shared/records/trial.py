"""A trial of a search: one architecture that was proposed and trained briefly (a proxy). It is one line of `journal.jsonl`.

{"trial": 0, "round": 0, "id": "drn-x4-…", "point": {…}, "architecture": {…}, "status": "done", "reason": null,
"score": 29.83, "bicubic": 28.5, "psnr_rgb": {"pair_1": 29.83}, "predicted": {"mean": 29.6, "std": 0.2},
"validation": [[250, 29.1], [500, 29.83]], "residuals": "9f86d081…", "curve": [[0, 0.21], …], "steps": 500, "seed": 0,
"seconds": 41.7, "elapsed": 180.2, "cost": {"parameters": 29575, …}}
"""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.records.record import Record

Status = Literal["done", "stopped", "failed"]

# The order in a journal's line
ORDER = (
    "trial", "round", "id", "point", "architecture", "status", "reason", "score", "bicubic", "psnr_rgb", "predicted",
    "validation", "residuals", "curve", "steps", "seed", "seconds", "elapsed", "cost",
)  # fmt: skip


class ProxyResult(Record):
    """What became of a proxy: the part of a trial that its worker process tells, as a JSON object on one line."""

    model_config = ConfigDict(extra="forbid")

    status: Status = Field(
        description="stopped: a validation score was below its floor; failed: the numbers stopped being finite, or the "
        "output is worse than a grey image, or the worker died"
    )
    reason: str | None = Field(description="why it stopped or failed, and when; None: done")
    score: float | None = Field(description="mean validation PSNR-RGB at the end, dB; None: not done")
    psnr_rgb: dict[str, float] = Field(description="validation pair -> dB, of the last validation; empty: failed")
    validation: tuple[tuple[int, float], ...] = Field(
        default=(),
        description="(steps done, mean PSNR-RGB in dB) at each validation; empty in journals of earlier versions",
    )
    residuals: str | None = Field(default=None, description="SHA-256 of residuals/<trial>.npy; None: none were kept")
    curve: tuple[tuple[int, float], ...] = Field(
        description="(step, loss) at about twenty steps, the first and the last among them; finite losses only"
    )
    steps: int = Field(ge=0, description="steps done")
    seed: int = Field(ge=0, description="of the initial weights and of the order of crops")
    seconds: float = Field(ge=0, description="wall time of the training and scoring, s")

    @model_validator(mode="after")
    def _score_fits_status(self) -> Self:
        is_done = self.status == "done"
        if is_done != (self.score is not None) or is_done != (self.reason is None):
            raise ValueError(
                f"status {self.status} with score {self.score} and reason {self.reason!r}; expected a score and no reason "
                "for done, a reason and no score for stopped and failed"
            )
        return self


class Trial(ProxyResult):
    """A proposal and what became of its proxy."""

    trial: int = Field(ge=0, description="number of the proposal, from 0")
    round: int = Field(ge=0, description="round in which it was proposed, from 0")
    id: str = Field(description="spec id")
    point: dict[str, Any] = Field(description="what the sampler proposed; the search space's constants complete it")
    architecture: dict[str, Any] = Field(description="all fields of the spec")
    bicubic: float = Field(description="bicubic upscaling on the same pairs, dB")
    predicted: dict[str, float] | None = Field(
        description="mean and std before the training, dB; None: nothing was known yet"
    )
    elapsed: float = Field(
        ge=0, description="wall time of the whole search when this trial ended, earlier runs included, s"
    )
    cost: dict[str, int | float] = Field(description="as in a spec file")

    def to_json(self) -> dict[str, Any]:
        """The JSON value of the journal's line."""
        values = super().to_json()
        return {name: values[name] for name in ORDER}
