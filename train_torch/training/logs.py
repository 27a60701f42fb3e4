"""What a training tells: JSON lines for programs, TensorBoard scalars for people.

A training that goes on from step s drops the lines after s first, so that the log reads as if it had never stopped.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from shared.files import write_bytes


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

    def write(self, line: Mapping[str, Any], scalars: Mapping[str, float]) -> None:
        """Append a line (it has a `step`) and its scalars. Numbers are finite."""
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, line["step"])


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line cut by a crash is left out, and a missing file has none."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def _keep_until(path: Path, step: int) -> None:
    lines = [json.dumps(line) for line in read_log(path) if line["step"] <= step]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
