"""The files that keep trials' errors on the validation windows: `RUN/residuals/<trial>.npy`, written before the journal's line.

int16 (windows, side, side, 3), units of 1/510 (`ProxyScores` in validation.py). The journal holds each file's SHA-256.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.files import read_bytes, write_bytes

FOLDER = "residuals"


def residuals_path(out: Path, trial: int) -> Path:
    """Where the errors of a trial stand."""
    return out / FOLDER / f"{trial}.npy"


def write_residuals(path: Path, residuals: NDArray[np.int16]) -> str:
    """Write errors, whole or not at all.

    Returns:
        SHA-256 of the file, 64 hex digits.
    """
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(residuals), allow_pickle=False)
    write_bytes(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_residuals(path: Path, sha256: str) -> NDArray[np.int16]:
    """Errors as they were written.

    Raises:
        UsageError: no such file, or not the one of this SHA-256.
    """
    remedy = "restore it, or begin again with another --out"
    data = read_bytes(path, expected=f"the errors of a trial in the journal; {remedy}")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UsageError(f"{path}: got SHA-256 {found}, expected {sha256} as in the journal; {remedy}")
    residuals: NDArray[np.int16] = np.load(io.BytesIO(data), allow_pickle=False)
    return residuals
