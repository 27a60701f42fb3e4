"""Writes the log of a training: JSON lines for programs (shared/records/training_log.py), TensorBoard scalars for people.

A training that continues from step s first drops the lines after s, so that the log reads as if the training had never stopped.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from shared.files import write_bytes
from shared.records.record import whole_lines
from shared.records.training_log import LogLine, read_log


class MemberLog:
    """Open log of one member; a context manager."""

    def __init__(self, path: Path, tensorboard: Path | None, *, step: int) -> None:
        """Open the log.

        Args:
            path: file of JSON lines.
            tensorboard: folder of event files; None: none are written.
            step: steps done; later lines are dropped.
        """
        _keep_until(path, step)
        self._file = path.open("a", encoding="utf-8")
        self._writer = None if tensorboard is None else SummaryWriter(str(tensorboard), purge_step=step + 1)

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close both files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def write(self, line: LogLine) -> None:
        """Append a line and its scalars."""
        self._file.write(json.dumps(line.to_json(), allow_nan=False) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in _scalars(line).items():
                self._writer.add_scalar(name, value, line.step)


def _scalars(line: LogLine) -> dict[str, float]:
    """The names that TensorBoard shows."""
    scalars = {"losses/total": line.loss} | {f"losses/{name}": value for name, value in line.terms.items()}
    scalars |= {"learning_rate": line.learning_rate, "gradient_norm": line.gradient_norm}
    return scalars if line.psnr_rgb is None else scalars | {"metrics/validation/psnr_rgb": line.psnr_rgb}


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines after a step, and a line that a crash cut."""
    lines, _ = whole_lines(path.read_bytes()) if path.exists() else ([], 0)
    kept = [line for line, entry in zip(lines, read_log(path), strict=True) if entry.step <= step]
    write_bytes(path, b"".join(line + b"\n" for line in kept))
