"""The log of one member's training, `logs/<id>.jsonl`: one line every few steps.

    {"step": 100, "loss": 0.0414, "terms": {"l1": 0.0194, "ms_ssim": 0.2198}, "learning_rate": 0.0002, "gradient_norm": 0.033,
     "psnr_rgb": 27.92, "best": {"step": 100, "psnr_rgb": 27.92}, "seconds_per_step": 0.0108}

A process that was killed while it wrote leaves half a line at the end: readers drop it.
"""

from pathlib import Path

from pydantic import Field

from shared.records.record import Record, parse_record, whole_lines


class BestValidation(Record):
    """The highest validation score so far, and after how many steps."""

    step: int = Field(ge=0)
    psnr_rgb: float = Field(description="dB")


class LogLine(Record):
    """One line. Losses are those of one step, not a mean."""

    step: int = Field(ge=0, description="optimiser steps done")
    loss: float
    terms: dict[str, float] = Field(description="term of the loss -> its value, before its weight")
    learning_rate: float
    gradient_norm: float
    psnr_rgb: float | None = Field(description="validation of the averaged weights, dB; None: not at this step")
    best: BestValidation | None = Field(description="None: before the first validation")
    seconds_per_step: float


def read_log(path: Path) -> tuple[LogLine, ...]:
    """The lines of a log; none if there is no file.

    Raises:
        UsageError: a line is broken.
    """
    if not path.is_file():
        return ()
    lines, _ = whole_lines(path.read_bytes())
    return tuple(parse_record(LogLine, line, f"{path}, line {number}") for number, line in enumerate(lines, start=1))
