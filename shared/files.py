"""Crash-safe files: a reader sees the old content or the new one, never half of it."""

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from shared.errors import GpnasError, UsageError

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.tmp", re.DOTALL)  # as `replacing` names them


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: temporary file beside it, fsync, rename, fsync of the folder. Missing folders are made."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces `path` when the block ends, and is deleted if the block raises.

    Like `write_bytes`, for content that is written piece by piece; the file can also be read, and seek works. Until the
    block ends it is `.NAME.xxxxxxxx.tmp` beside `path`, locked as long as its process lives (see `remove_strays`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            publish(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def remove_strays(paths: Iterable[Path]) -> list[Path]:
    """Delete the temporary files that killed processes left of `paths`. Those of living processes are locked and stay.

    Returns:
        The deleted files.
    """
    names: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        names[path.parent].add(path.name)
    strays = [
        entry
        for folder in names
        if folder.is_dir()
        for entry in sorted(folder.iterdir())
        if (match := TEMPORARY.fullmatch(entry.name)) and match["name"] in names[folder]
    ]
    return [stray for stray in strays if _remove_unlocked(stray)]


def _remove_unlocked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:  # in use, gone by now, another user's, or no locks here
        return False
    return True


def publish(temporary: Path, path: Path) -> None:
    """Rename a finished and synced temporary file, on the same file system, to its final name."""
    temporary.chmod(0o666 & ~_umask())  # mkstemp gives 0600
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write the entries of a folder to disk: a rename is safe only after that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON. NaN and infinity are refused (ValueError): JSON has none."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_bytes(path: Path, *, expected: str, error: type[GpnasError] = UsageError) -> bytes:
    """The bytes of a file.

    Args:
        path: of the file.
        expected: what the file should be, for the message: `an image`.
        error: what is raised.

    Raises:
        UsageError: or `error`: no such file, a folder, or a file that cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "this is a folder"
    except OSError as problem:
        reason = str(problem.strerror)
    raise error(f"{path}: {reason}; expected {expected}")


def read_json(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        UsageError: the file cannot be read, is no text, or is no JSON.
    """
    data = read_bytes(path, expected="a JSON file")
    try:
        return json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected one JSON value") from None
    except RecursionError:
        raise UsageError(f"{path}: nested without end; expected one JSON value of some levels") from None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
