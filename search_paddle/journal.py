"""Writes the journal of a search: each line is on the disk before the search continues. shared/records/journal.py describes it.

A process that is killed while it writes leaves half a line at the end; the next one that opens the journal cuts it off.
"""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from search_paddle.config import DEFAULTS
from shared.errors import UsageError
from shared.files import sync_folder
from shared.identity import differences
from shared.records.journal import JournalHeader, parse_journal
from shared.records.record import Record, whole_lines
from shared.records.trial import Trial


class Journal:
    """An open journal, locked against a second search in the same folder.

    Attributes:
        trials: what it holds, by `trial`.
    """

    def __init__(self, file: IO[bytes], trials: dict[int, Trial]) -> None:
        self._file = file
        self.trials = trials

    @classmethod
    def open(cls, path: Path, header: JournalHeader) -> Self:
        """Open a journal to continue it, or begin one.

        Args:
            path: the file; missing folders are made.
            header: of this search.

        Raises:
            UsageError: it is another search's (the differing fields are named), is broken, or another process writes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
        try:
            _lock(file, path)
            file.seek(0)
            lines, size = whole_lines(file.read())
            found, trials = parse_journal(lines, path)
            if found is not None:
                _check_header(found, header, path)
            file.truncate(size)
            if found is None:
                _write(file, header)
                sync_folder(path.parent)
        except BaseException:
            file.close()
            raise
        return cls(file, trials)

    def append(self, trial: Trial) -> None:
        """Add a trial; it is on the disk when this returns."""
        assert trial.trial not in self.trials, f"trial {trial.trial} is in the journal already"
        _write(self._file, trial)
        self.trials[trial.trial] = trial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()  # frees the lock, too


def _check_header(found: JournalHeader, expected: JournalHeader, path: Path) -> None:
    differing = differences(found.to_json(), expected.to_json(), DEFAULTS)
    if differing:
        raise UsageError(
            f"{path}: belongs to another search; got differences in {'; '.join(differing)}; "
            "repeat the settings it was begun with, or give another --out (trials, minutes and jobs may change)"
        )


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path}: another search writes it now; wait for that one, or give another --out") from None


def _write(file: IO[bytes], record: Record) -> None:
    left = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())
