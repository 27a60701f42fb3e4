"""Files of errors: read as written, and missed when they are not."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from search_paddle.proxy.residuals import read_residuals, residuals_path, write_residuals
from shared.errors import UsageError


def test_errors_are_read_as_they_were_written(tmp_path: Path) -> None:
    errors = np.random.default_rng(0).integers(-600, 600, (6, 16, 16, 3)).astype(np.int16)
    path = residuals_path(tmp_path, 7)
    sha256 = write_residuals(path, errors[::-1])  # a view: bytes do not depend on how it lies in memory
    assert path == tmp_path / "residuals" / "7.npy"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert np.array_equal(read_residuals(path, sha256), errors[::-1])
    assert write_residuals(tmp_path / "again.npy", errors[::-1].copy()) == sha256
    assert [entry.name for entry in path.parent.iterdir()] == ["7.npy"]  # nothing temporary is left


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.npy"
    sha256 = write_residuals(path, np.zeros((1, 2, 2, 3), np.int16))
    write_residuals(path, np.ones((1, 2, 2, 3), np.int16))
    with pytest.raises(UsageError, match=rf"got SHA-256 [0-9a-f]+, expected {sha256}"):
        read_residuals(path, sha256)
    path.unlink()
    with pytest.raises(UsageError, match="no such file; expected the errors of a trial"):
        read_residuals(path, sha256)
