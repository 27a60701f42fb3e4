"""The folder of a training run: what stands where, and who may write there.

train.json                   configuration, data, bicubic baseline
archive/<id>.json            specs
checkpoints/<id>.safetensors state of an unfinished (or the end of a finished) training
members/<id>.safetensors     finished weights
logs/<id>.jsonl, tensorboard/<id>/
distilled.h5                 pairs whose targets are mixed with the results of a teacher suite, if there is one
suite.json                   written last, when every member is finished
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.errors import WorkError

LOCK_SECONDS = (
    120.0  # ours: a worker whose command was killed ends after at most one step, which can be long on a busy machine
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside a training run."""

    path: Path

    @property
    def record(self) -> Path:
        """Configuration and data of the run."""
        return self.path / "train.json"

    @property
    def suite(self) -> Path:
        """The finished suite."""
        return self.path / "suite.json"

    @property
    def distilled(self) -> Path:
        """Pack of distilled pairs."""
        return self.path / "distilled.h5"

    @property
    def archive(self) -> Path:
        """Folder of specs."""
        return self.path / "archive"

    def weights(self, spec_id: str) -> Path:
        """Finished weights of a member."""
        return self.path / "members" / f"{spec_id}.safetensors"

    def checkpoint(self, spec_id: str) -> Path:
        """State of a member's training."""
        return self.path / "checkpoints" / f"{spec_id}.safetensors"

    def log(self, spec_id: str) -> Path:
        """JSON lines of a member's training."""
        return self.path / "logs" / f"{spec_id}.jsonl"

    def tensorboard(self, spec_id: str) -> Path:
        """Event files of a member's training."""
        return self.path / "tensorboard" / spec_id

    @contextmanager
    def locked(self, spec_id: str, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Lock a member within the block. The lock is free again when the process ends, also when it is killed.

        Raises:
            WorkError: another process still trains this member after `seconds`.
        """
        path = self.path / "checkpoints" / f"{spec_id}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _acquire(descriptor, path, seconds)
            yield
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, path: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise WorkError(
                    f"{path}: another process is training this member; wait for it or stop it, then run the command again"
                ) from None
            time.sleep(0.1)
        else:
            return
