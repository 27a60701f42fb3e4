"""The journal of a search, `journal.jsonl`: a header line, then one line a trial.

    {"schema": "gpnas-sr/journal/1", "config": {…}, "space_sha256": …, "data_sha256": …}
    {"trial": 0, "round": 0, "id": "drn-x4-…", "status": "done", "score": 29.83, …}

Lines stand in the order in which trainings ended; `trial` numbers the proposals (shared/records/trial.py). A process that was
killed while it wrote leaves half a line at the end: readers drop it. search_paddle/journal.py writes the file.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shared.errors import UsageError
from shared.files import read_bytes
from shared.records.record import Record, parse_record, whole_lines
from shared.records.trial import Trial

NAME = "journal.jsonl"
REMEDY = "the file was changed by hand or by the disk: restore it, or cut it before this line to do the rest again"


class JournalHeader(Record):
    """What must be equal for trials to belong to one search."""

    schema_: Literal["gpnas-sr/journal/1"] = Field(default="gpnas-sr/journal/1", alias="schema")
    config: dict[str, Any] = Field(description="settings that decide what a trial is")
    space_sha256: str
    data_sha256: str


def read_journal(path: Path) -> tuple[JournalHeader | None, tuple[Trial, ...]]:
    """The header and the trials, by number. The file is neither locked nor changed.

    Returns:
        No header and no trials where the search was killed before it had written its header.

    Raises:
        UsageError: no such file, another schema, or a line is broken.
    """
    lines, _ = whole_lines(read_bytes(path, expected="the journal of a search"))
    header, trials = parse_journal(lines, path)
    return header, tuple(trials[number] for number in sorted(trials))


def parse_journal(lines: list[bytes], path: Path) -> tuple[JournalHeader | None, dict[int, Trial]]:
    """Header and trials, by `trial`, in the order of the lines.

    Args:
        lines: whole ones.
        path: of the file, for messages.

    Raises:
        UsageError: another schema, a line is broken, or a trial stands there twice.
    """
    if not lines:
        return None, {}
    header = parse_record(JournalHeader, lines[0], f"{path}, line 1", remedy=REMEDY)
    trials: dict[int, Trial] = {}
    for number, line in enumerate(lines[1:], start=2):
        trial = parse_record(Trial, line, f"{path}, line {number}", remedy=REMEDY)
        if trial.trial in trials:
            raise UsageError(f"{path}, line {number}: got trial {trial.trial} a second time; {REMEDY}")
        trials[trial.trial] = trial
    return header, trials
