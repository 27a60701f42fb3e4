"""A file of JSON lines, one a finished piece of work: appended and synced, so that a run that is cut off goes on where it was."""

import hashlib
import json
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

Key = tuple[Any, ...]


class Ledger:
    """Lines by their key.

    Args:
        path: the file; made when it is missing. A last line without its end was cut off: it is dropped.
        fields: names whose values make a line's key.
    """

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        self.path, self.fields = path, fields
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        _drop_cut_line(path)
        self.lines = {self.key(line): line for line in _lines(path)}

    def key(self, line: Mapping[str, Any]) -> Key:
        return tuple(line[name] for name in self.fields)

    def has(self, **values: Any) -> bool:
        return self.key(values) in self.lines

    def add(self, line: Mapping[str, Any]) -> None:
        """Append one line; it is on the disk when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines[self.key(line)] = dict(line)


def source_id(folder: Path, without: Container[str] = ()) -> str:
    """12 hex digits of the SHA-256 of the Python files of a folder, but for some names: results of one version of the code."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*.py") if path.name not in without):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(text)


def _drop_cut_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
