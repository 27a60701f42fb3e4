"""The table of trained super-resolution networks, sr_table.h5: written by sr_table.py, read by whoever searches on it.

attributes             schema, about (JSON: space, budgets, pairs, software, CPU seconds)
/rows                  one JSON text: [{"id", "point", "architecture", "cost", "runs": {"short": {…}, "long": {…}}}, …]
                       a run: steps, seed, score (mean validation PSNR-RGB, dB), validation [[steps, dB], …], psnr_rgb and
                       test_psnr_rgb {pair: dB}, curve [[step, loss], …], cpu_seconds
/bicubic               one JSON text: {"score", "psnr_rgb", "test_psnr_rgb"}
/residuals/<run>/<split>
                       int16 (architectures, pairs * windows, 16, 16, 3): SR - HR in units of 1/510, less /common/<split>; rows
                       as in /rows; windows pair by pair, pairs as in psnr_rgb. For short/validation, long/validation and
                       long/test; a second long run "again", which the first rows may have, has scores alone
/common/<split>        int16 (pairs * windows, 16, 16, 3): what the networks err alike, which halves the file
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.files import publish

TABLE = Path(__file__).with_name("sr_table.h5")
SCHEMA = "gpnas-sr/sr-table/1"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SrTable:
    """The table in memory.

    Attributes:
        about: how it was made.
        rows: one a architecture, as in the file.
        bicubic: as in the file.
        residuals: (run, "validation" or "test") -> int16 (rows, windows, 16, 16, 3).
    """

    about: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    bicubic: Mapping[str, Any]
    residuals: Mapping[tuple[str, str], NDArray[np.int16]]

    def scores(self, run: str) -> NDArray[np.float64]:
        """Mean validation PSNR-RGB of each row, dB; NaN where it has no such run."""
        return np.array([row["runs"][run]["score"] if run in row["runs"] else np.nan for row in self.rows])

    @classmethod
    def read(cls, path: Path = TABLE) -> Self:
        """Read all of it (some hundred MB in memory).

        Raises:
            UsageError: no such file, or another kind of file.
        """
        if not path.is_file():
            raise UsageError(f"{path}: no such file; expected the table: make it by benchmarks/nas/sr_table.py")
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema") != SCHEMA:
                raise UsageError(f"{path}: got schema {file.attrs.get('schema')!r}, expected {SCHEMA!r}")
            names = [(run, split) for run, part in file["residuals"].items() for split in part]
            return cls(
                about=json.loads(file.attrs["about"]),
                rows=tuple(json.loads(file["rows"][()])),
                bicubic=json.loads(file["bicubic"][()]),
                residuals={(run, split): read_residuals(file, run, split) for run, split in names},
            )


def read_residuals(file: h5py.File, run: str, split: str, rows: int | slice = slice(None)) -> NDArray[np.int16]:
    """Errors SR - HR of some rows, in units of 1/510."""
    errors: NDArray[np.int16] = file[f"residuals/{run}/{split}"][rows] + file[f"common/{split}"][()]
    return errors


def write_table(
    path: Path,
    *,
    about: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    bicubic: Mapping[str, Any],
    residuals: Mapping[tuple[str, str], Sequence[NDArray[np.int16]]],
) -> None:
    """Write the table, whole or not at all.

    Args:
        path: the file.
        about: JSON values.
        rows: of the file.
        bicubic: of the file.
        residuals: (run, split) -> one array a row.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["schema"] = SCHEMA
            file.attrs["about"] = json.dumps(about, allow_nan=False)
            file["rows"] = json.dumps(list(rows), allow_nan=False)
            file["bicubic"] = json.dumps(bicubic, allow_nan=False)
            common = {
                split: np.rint(np.mean(arrays, axis=0)).astype(np.int16) for (_, split), arrays in residuals.items()
            }
            for split, array in common.items():
                file[f"common/{split}"] = array
            for (run, split), arrays in residuals.items():
                _write_residuals(file, f"residuals/{run}/{split}", [array - common[split] for array in arrays])
        os.fsync(descriptor)
        publish(Path(temporary), path)
    finally:
        os.close(descriptor)
        Path(temporary).unlink(missing_ok=True)


def _write_residuals(file: h5py.File, name: str, arrays: Sequence[NDArray[np.int16]]) -> None:
    stored = file.create_dataset(
        name,
        (len(arrays), *arrays[0].shape),
        np.int16,
        chunks=(1, *arrays[0].shape),
        shuffle=True,
        compression="gzip",
        compression_opts=9,
    )
    for place, array in enumerate(arrays):
        stored[place] = array
