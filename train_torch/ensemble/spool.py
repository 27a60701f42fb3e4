"""Turns bands of columns into bands of rows through a temporary file, for images so wide that a row of patches does not fit."""

import os
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from shared.errors import WorkError

PIXEL = 3 * np.dtype(np.float32).itemsize


def rows_of(
    columns: Iterable[NDArray[np.float32]], *, members: int, height: int, width: int, rows: int
) -> Iterator[NDArray[np.float32]]:
    """The same images, in bands of rows.

    Args:
        columns: (members, columns, height, 3), left to right: bands of the transposed images.
        members: images.
        height: HR px.
        width: HR px.
        rows: in a band, >= 1.

    Yields:
        float32 (members, up to rows, width, 3), top to bottom.

    Raises:
        WorkError: the temporary folder has no room.
    """
    with tempfile.TemporaryFile() as file:  # it has no name: a killed run leaves nothing
        left = 0
        for band in columns:
            _store(file.fileno(), band, left, height, width)
            left += band.shape[1]
        assert left == width
        for top in range(0, height, rows):
            count = min(rows, height - top)
            images = [_load(file.fileno(), member * height + top, count, width) for member in range(members)]
            yield np.stack(images)


def _store(file: int, band: NDArray[np.float32], left: int, height: int, width: int) -> None:
    for index, image in enumerate(band):
        for row in range(height):
            data = image[:, row].tobytes()
            try:
                written = os.pwrite(file, data, ((index * height + row) * width + left) * PIXEL)
            except OSError as error:
                raise WorkError(_message(error.strerror, len(band), height, width)) from error
            if written != len(data):
                raise WorkError(_message("no room left", len(band), height, width))


def _load(file: int, first: int, rows: int, width: int) -> NDArray[np.float32]:
    data = os.pread(file, rows * width * PIXEL, first * width * PIXEL)
    return np.frombuffer(data, dtype=np.float32).reshape(rows, width, 3)


def _message(reason: str | None, members: int, height: int, width: int) -> str:
    size = members * height * width * PIXEL / 10**6
    return (
        f"{tempfile.gettempdir()}: {reason}; expected {size:.0f} MB for a wide image: free some, "
        "set TMPDIR to another folder, or allow more memory"
    )
