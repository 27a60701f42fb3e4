"""Python's own unpickler, for which a name in a file means a builder of this folder, or nothing.

A pickle is a program: its GLOBAL opcodes import what the file names, its REDUCE opcodes call it. `find_class` is where the C
unpickler asks what a name means. Here it answers with a `Builder` or a text from a table, and refuses any other name. No class
and no function of another module ever comes onto the stack. So NEWOBJ finds no class, and BUILD reaches only our `__setstate__`.

NumPy's own `_reconstruct` and `dtype.__setstate__` are not used: the first hands out memory that nobody has filled, the second
makes a dtype of pointers out of a dtype of numbers. The process that reads a file bounds what it may cost (worker.py).
"""

import io
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shared.errors import WeightsError

NUMBERS = frozenset(("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"))
MAX_AXES = 8
Names = Mapping[tuple[str, str], Any]


def damaged(what: str) -> WeightsError:
    """The error of a file whose parts do not fit each other."""
    return WeightsError(f"{what}; was the file damaged?")


class Builder:
    """What the name of a function means in a file: a function of ours, which the file may call and cannot change."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        """The value for the arguments in the file."""
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Refuse: without this method a BUILD opcode would set attributes."""
        raise damaged("the pickle sets the state of a function")


class Ordered(dict[Any, Any]):
    """An OrderedDict of a file; it may carry attributes (Torch's `_metadata`)."""

    __slots__ = ("attributes",)

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__(pairs)
        self.attributes: Any = None

    def __setstate__(self, state: Any) -> None:
        """Take the attributes."""
        self.attributes = state


class DType:
    """A dtype of numbers."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        if code not in NUMBERS:
            what = (
                "an object array" if str(code).startswith("O") else "an array of text, structures or an unknown dtype"
            )
            raise WeightsError(f"the file holds {what}; expected arrays of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order from (version, order, …)."""
        match state:
            case (0 | 1 | 2 | 3 | 4, "<" | ">" | "|" | "=" as order, None, None, None, int(), int(), int()):
                self.dtype = self.dtype.newbyteorder(order)
            case _:
                raise WeightsError("the file holds an array of structures or objects; expected numbers")


class Array:
    """An array as NumPy pickles it: made empty, and completed by a state; or given at once."""

    __slots__ = ("_array",)

    def __init__(self, array: np.ndarray | None = None) -> None:
        self._array = array

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, bytes); version is missing in the oldest."""
        match state:
            case (0 | 1, shape, dtype, int(is_fortran), data) | (shape, dtype, int(is_fortran), data):
                self._array = view(data, dtype, shape, "F" if is_fortran else "C")
            case _:
                raise damaged("the file holds an array without shape, dtype and bytes")

    def array(self) -> np.ndarray:
        """The array, a view of the file's bytes where that is possible; WeightsError where its description is no good."""
        if self._array is None:
            raise damaged("the file names an array and never gives its values")
        return self._array


def view(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Bytes as an array; nothing is copied.

    Args:
        data: the numbers as bytes; Python 2 wrote them as text.
        dtype: a `DType` of the file.
        shape: see `checked_shape`.
        order: "C" or "F".

    Raises:
        WeightsError: objects instead of bytes, no dtype of numbers, or a shape that does not fit the bytes.
    """
    data = data.encode("latin1") if isinstance(data, str) else data
    if isinstance(data, list):
        raise WeightsError("the file holds an object array; expected arrays of numbers")
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, DType) or order not in ("C", "F"):
        raise damaged("the file holds an array without bytes or dtype")
    sizes = checked_shape(shape)
    needed = math.prod(sizes) * dtype.dtype.itemsize
    if needed != len(data):
        raise damaged(f"the file holds {len(data)} bytes for an array {sizes} of {dtype.dtype}, expected {needed}")
    if not needed:
        return np.zeros(sizes, dtype.dtype)
    return np.frombuffer(data, dtype.dtype).reshape(sizes, order="F" if order == "F" else "C")


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape of a file: at most eight axes of 0 … 2³¹ - 1."""
    if not isinstance(shape, tuple | list) or len(shape) > MAX_AXES:
        raise damaged("the file holds an array whose shape is no shape")
    if not all(type(side) is int and 0 <= side < 2**31 for side in shape):
        raise damaged("the file holds an array with a side that is negative, huge or no number")
    return tuple(shape)


def _empty(*arguments: Any) -> Array:
    if arguments not in (("ndarray", (0,), b"b"), ("ndarray", (0,), "b")):
        raise WeightsError("the file rebuilds an array of another kind; expected NumPy's")
    return Array()


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise damaged(f"the file encodes text as {encoding!r:.40}, expected Latin-1")
    return text.encode("latin1")


PLAIN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): Builder(DType),
    ("_codecs", "encode"): Builder(_encoded),
    ("collections", "OrderedDict"): Builder(Ordered),
}
for _core in ("numpy.core", "numpy._core"):
    PLAIN |= {
        (f"{_core}.multiarray", "_reconstruct"): Builder(_empty),
        (f"{_core}.multiarray", "scalar"): Builder(lambda dtype, data: view(data, dtype, (), "C").item()),
        (f"{_core}.numeric", "_frombuffer"): Builder(lambda *parts: Array(view(*parts))),
    }
for _builtins in ("builtins", "__builtin__"):
    PLAIN |= {(_builtins, "tuple"): Builder(lambda items: tuple(items)), (_builtins, "bytes"): Builder(lambda: b"")}


class Unpickler(pickle.Unpickler):
    """Reads one pickle.

    Args:
        stream: at the pickle's first byte; then behind it.
        names: module and name -> what they mean; the file may use no others.
        persistent: turns the persistent ids of Torch's files into values; None: there are none.

    Raises:
        WeightsError: the file asks for another name. Bytes that are no pickle raise what Python's unpickler raises.
    """

    def __init__(self, stream: io.BytesIO, names: Names, persistent: Callable[[Any], Any] | None = None) -> None:
        super().__init__(stream, encoding="latin1")  # Python 2 wrote bytes as text
        self._names = names
        self._persistent = persistent

    def find_class(self, module: str, name: str) -> Any:
        """What a name means: a builder, or a plain text."""
        if (module, name) not in self._names:
            raise WeightsError(
                f"the file asks for {module:.80}.{name:.80}, which is not run; expected arrays only. "
                "Save the state dict alone, without objects, in the environment that the file comes from"
            )
        return self._names[module, name]

    def persistent_load(self, identity: Any) -> Any:
        """The value of a persistent id."""
        if self._persistent is None:
            raise damaged("the pickle refers to values outside it")
        return self._persistent(identity)
