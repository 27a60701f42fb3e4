"""Paddle's `.pdparams`: a plain pickle of a dict name -> array, with two kinds of bookkeeping.

Protocols 2 and 3 cut arrays of 2³⁰ bytes and more into `name@@.0`, `name@@.1` … and say so under `UnpackBigParamInfor@@`;
`StructuredToParameterName@@` holds the names that Paddle gave its variables. A tensor that stands deeper is a tuple (name,
array). bfloat16 is written as uint16, unmarked: no network has weights of that dtype, so it is read as bfloat16.
"""

import io
from typing import Any

import numpy as np

from shared.errors import WeightsError
from weights_convert.convert.foreign.arrays import PLAIN, BufferArray, ForeignArray, checked_shape
from weights_convert.convert.foreign.pickle_reader import ForeignDict, read_pickle

NAMES = "StructuredToParameterName@@"
SLICES = "UnpackBigParamInfor@@"


def read_paddle(data: bytes) -> Any:
    """The value of a `.pdparams` file, slices joined, bookkeeping left out.

    Raises:
        WeightsError: it is damaged, or holds something else than arrays and plain values.
    """
    stream = io.BytesIO(data)
    value = read_pickle(stream, PLAIN)
    if stream.tell() != len(data):
        raise WeightsError(f"{len(data) - stream.tell()} bytes stand behind the pickle; was the file damaged?")
    return _tidy(value, len(data)) if isinstance(value, ForeignDict) else value


def _tidy(values: ForeignDict, limit: int) -> ForeignDict:
    joined = ForeignDict((key, value) for key, value in values.items() if key not in (NAMES, SLICES))
    slices = values.get(SLICES, ForeignDict())
    if not isinstance(slices, ForeignDict):
        raise WeightsError(f"{SLICES} is no dict; was the file damaged?")
    for name, entry in slices.items():
        match entry:
            case {"OriginShape": shape, "slices": list(parts)} if name not in joined:
                joined[name] = _join(joined, parts, checked_shape(shape), limit)
            case _:
                raise WeightsError(f"{SLICES} does not say shape and slices of each array; was the file damaged?")
    return joined


def _join(values: ForeignDict, names: list[Any], shape: tuple[int, ...], limit: int) -> BufferArray:
    parts = [values.pop(name, None) if isinstance(name, str) else None for name in names]
    arrays = [part.array().reshape(-1) for part in parts if isinstance(part, ForeignArray)]
    if not arrays or len(arrays) != len(names) or len({array.dtype for array in arrays}) != 1:
        raise WeightsError("the slices of a big array are missing or of several dtypes; was the file damaged?")
    if sum(array.nbytes for array in arrays) > limit:
        raise WeightsError("the slices of a big array hold more bytes than the file; was it made to fill the memory?")
    whole = np.concatenate(arrays)
    if whole.size != np.prod(shape, dtype=object):
        raise WeightsError("the slices of a big array do not fill its shape; was the file damaged?")
    return BufferArray(whole.reshape(shape))
