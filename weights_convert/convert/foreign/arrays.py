"""NumPy arrays as pickles describe them: checked against the bytes that the file really holds, never allocated by a shape.

Pickles of protocols 2 to 5 and of NumPy 1 and 2: `_reconstruct(ndarray, (0,), b'b')` completed by a state (version, shape, dtype,
is_fortran, bytes), or `_frombuffer(bytes, dtype, shape, order)`. Object arrays, text and structures are refused.
"""

import math
from typing import Any

import numpy as np

from shared.errors import WeightsError
from weights_convert.convert.foreign.pickle_reader import Buildable, ForeignDict, Symbol, Symbols, fill, symbols

NUMBERS = frozenset(
    f"{kind}{size}" for kind, sizes in {"f": "248", "i": "1248", "u": "1248", "b": "1"}.items() for size in sizes
)
MAX_AXES = 8


class ForeignArray:
    """An array that a file describes."""

    def array(self) -> np.ndarray:
        """The array, a view of the file's bytes where that is possible; WeightsError where the description is no good."""
        raise NotImplementedError


class DType(Buildable):
    """A dtype of numbers."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        """Take the byte order from (version, order, …)."""
        match state:
            case (0 | 1 | 2 | 3 | 4, "<" | ">" | "|" | "=" as order, None, None, None, int(), int(), int()):
                self.dtype = self.dtype.newbyteorder(order)
            case _:
                raise WeightsError("the file holds an array of structures or objects; expected numbers")


class PickledArray(Buildable, ForeignArray):
    """An array whose state follows."""

    def __init__(self) -> None:
        self._array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, bytes); version is missing in the oldest."""
        match state:
            case (0 | 1, shape, dtype, int(is_fortran), data) | (shape, dtype, int(is_fortran), data):
                self._array = view(data, dtype, shape, "F" if is_fortran else "C")
            case _:
                raise WeightsError("the file holds an array without shape, dtype and bytes; was it damaged?")

    def array(self) -> np.ndarray:
        """The array."""
        if self._array is None:
            raise WeightsError("the file names an array and never gives its values; was it damaged?")
        return self._array


class BufferArray(ForeignArray):
    """An array given at once."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def array(self) -> np.ndarray:
        """The array."""
        return self._array


def view(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Bytes as an array; nothing is copied.

    Raises:
        WeightsError: objects instead of bytes, no dtype of numbers, or a shape that does not fit the bytes.
    """
    if isinstance(data, str):  # Python 2 wrote bytes as text
        data = data.encode("latin1")
    if isinstance(data, list) or not isinstance(dtype, DType):
        raise WeightsError("the file holds an object array; expected arrays of numbers")
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F"):
        raise WeightsError("the file holds an array without bytes; was it damaged?")
    sizes = checked_shape(shape)
    needed = math.prod(sizes) * dtype.dtype.itemsize
    if needed != len(data):
        raise WeightsError(
            f"the file holds {len(data)} bytes for an array {shape_text(sizes)} of {dtype.dtype}; expected {size_text(needed)}"
        )
    return (
        np.frombuffer(data, dtype.dtype).reshape(sizes, order="F" if order == "F" else "C")
        if needed
        else np.zeros(sizes, dtype.dtype)
    )


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape of a file: at most eight axes of 0 … 2³¹ - 1."""
    if not isinstance(shape, tuple | list) or len(shape) > MAX_AXES:
        raise WeightsError("the file holds an array whose shape is none; was it damaged?")
    if not all(type(side) is int and 0 <= side < 2**31 for side in shape):
        raise WeightsError("the file holds an array with a side that is negative, huge or no number; was it damaged?")
    return tuple(shape)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for messages."""
    return "×".join(map(str, shape)) or "()"


def size_text(size: int) -> str:
    """A number of bytes for messages; it may be beyond all bounds."""
    return str(size) if size < 2**63 else "more than 2⁶³"


def _array(arguments: tuple[Any, ...]) -> PickledArray:
    match arguments:
        case (Symbol(name="ndarray"), (0,), b"b" | "b"):
            return PickledArray()
    raise WeightsError("the file rebuilds an array of its own kind; expected NumPy's")


def _from_buffer(arguments: tuple[Any, ...]) -> BufferArray:
    match arguments:
        case (data, dtype, shape, order):
            return BufferArray(view(data, dtype, shape, order))
    raise WeightsError("the file holds an array without bytes, dtype, shape and order; was it damaged?")


def _dtype(arguments: tuple[Any, ...]) -> DType:
    match arguments:
        case (str(code), int(), int()) if code in NUMBERS:
            return DType(code)
        case ("O8" | "O4", *_):
            raise WeightsError("the file holds an object array; expected arrays of numbers")
    raise WeightsError("the file holds an array of text, structures or an unknown dtype; expected numbers")


def _scalar(arguments: tuple[Any, ...]) -> int | float | bool:
    match arguments:
        case (DType() as dtype, data):
            number: int | float | bool = view(data, dtype, (), "C").item()
            return number
    raise WeightsError("the file holds a scalar without dtype and bytes; was it damaged?")


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    match arguments:
        case (str(text), "latin1" | "latin-1"):
            return text.encode("latin1")
    raise WeightsError("the file encodes text in a way of its own; expected Latin-1")


def _ordered_dict(arguments: tuple[Any, ...]) -> ForeignDict:
    ordered = ForeignDict()
    ordered.is_ordered = True
    match arguments:
        case ():
            return ordered
        case (list(pairs),) if all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            return fill(ordered, [part for pair in pairs for part in pair])
    raise WeightsError("the file makes an OrderedDict of something else than pairs; was it damaged?")


def _sequence(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    match arguments:
        case (tuple() | list() as items,):
            return tuple(items)
    raise WeightsError("the file makes a tuple of something else than values; was it damaged?")


def _bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise WeightsError("the file makes bytes of something; expected them as they are")
    return b""


CORES = ("numpy.core", "numpy._core")
BUILTINS = ("builtins", "__builtin__")
PLAIN: Symbols = symbols(
    Symbol("numpy", "ndarray"),
    Symbol("numpy", "dtype", _dtype),
    *(Symbol(f"{core}.multiarray", "_reconstruct", _array) for core in CORES),
    *(Symbol(f"{core}.multiarray", "scalar", _scalar) for core in CORES),
    *(Symbol(f"{core}.numeric", "_frombuffer", _from_buffer) for core in CORES),
    Symbol("_codecs", "encode", _encoded),
    Symbol("collections", "OrderedDict", _ordered_dict),
    *(Symbol(module, "tuple", _sequence) for module in BUILTINS),
    *(Symbol(module, "bytes", _bytes) for module in BUILTINS),
)
