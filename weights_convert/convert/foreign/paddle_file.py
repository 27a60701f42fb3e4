"""Paddle's `.pdparams`: a plain pickle of a dict name -> array, with two kinds of bookkeeping.

Protocols 2 and 3 cut arrays of 2³⁰ bytes and more into `name@@.0`, `name@@.1` … and say so under `UnpackBigParamInfor@@`;
`StructuredToParameterName@@` holds the names that Paddle gave its variables. A tensor that stands deeper is a tuple (name,
array). bfloat16 is written as uint16, unmarked: no network has weights of that dtype, so it is read as bfloat16.
"""

import io
import math
from typing import Any

import numpy as np

from weights_convert.convert.foreign.unpickler import PLAIN, Array, Unpickler, checked_shape, damaged

NAMES = "StructuredToParameterName@@"
SLICES = "UnpackBigParamInfor@@"


def read_paddle(data: bytes) -> Any:
    """The value of a `.pdparams` file, slices joined, bookkeeping left out.

    Raises:
        WeightsError: it is damaged, or holds something else than arrays and plain values.
    """
    stream = io.BytesIO(data)
    value = Unpickler(stream, PLAIN).load()
    if stream.tell() != len(data):
        raise damaged(f"{len(data) - stream.tell()} bytes stand behind the pickle")
    if not isinstance(value, dict):
        return value
    slices = value.pop(SLICES, {})
    value.pop(NAMES, None)
    for name, entry in slices.items():
        match entry:
            case {"OriginShape": shape, "slices": list(parts)} if name not in value:
                value[name] = _join([value.pop(part, None) for part in parts], checked_shape(shape))
            case _:
                raise damaged(f"{SLICES} does not say shape and slices of each array")
    return value


def _join(parts: list[Any], shape: tuple[int, ...]) -> Array:
    arrays = [part.array().reshape(-1) for part in parts if isinstance(part, Array)]
    if not arrays or len(arrays) != len(parts) or len({array.dtype for array in arrays}) != 1:
        raise damaged("the slices of a big array are missing or of several dtypes")
    if sum(array.size for array in arrays) != math.prod(shape):
        raise damaged("the slices of a big array do not fill its shape")
    return Array(np.concatenate(arrays).reshape(shape))
