"""A reader of pickles that has no way to run them.

A pickle is a program for a stack machine whose GLOBAL and REDUCE opcodes import and call whatever the file names. This machine
imports nothing: a name from the file is looked up in a table of our own builders, and the table's builders make plain values
and descriptions of arrays. Any other name ends the reading. `pickletools.genops` only splits the file into opcodes; it builds
no objects, and refuses lengths beyond the file.

What a file may cost is bounded by its size: `MAX_OPCODES`, no memo slots by number, arrays as views of the file's own bytes.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import WeightsError

MAX_OPCODES = 1_000_000  # RCAN of 1,634 arrays takes 70,000; each may cost some 100 bytes

MAX_PROTOCOL = 5
MAX_BITS = 128  # Torch's magic number has 80

Build = Callable[[tuple[Any, ...]], Any]
Persistent = Callable[[Any], Any]
Key = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a file may use: `make` takes the arguments of a call to it; None where it only stands as a value."""

    module: str
    name: str
    make: Build | None = None


class ForeignDict(dict[Key, Any]):
    """A dict of a file; an OrderedDict may carry attributes (Torch's `_metadata`)."""

    is_ordered: bool = False
    attributes: Any = None


class Buildable:
    """A value that a BUILD opcode completes, as NumPy's arrays and dtypes are written."""

    def build(self, state: Any) -> None:
        """Take the state of the file."""
        raise NotImplementedError


Symbols = Mapping[tuple[str, str], Symbol]


def symbols(*entries: Symbol) -> Symbols:
    """A table of symbols by module and name."""
    return {(entry.module, entry.name): entry for entry in entries}


def read_pickle(
    stream: io.BytesIO, allowed: Symbols, *, persistent: Persistent | None = None, max_opcodes: int = MAX_OPCODES
) -> Any:
    """The value of one pickle; the stream then stands behind it.

    Args:
        stream: at the pickle's first byte.
        allowed: the names that the file may use.
        persistent: turns the persistent ids of Torch's files into values; None: there are none.
        max_opcodes: more are refused, since each may cost memory.

    Returns:
        dict (`ForeignDict`), list, tuple, str, bytes, int, float, bool, None, and what the builders of `allowed` make.

    Raises:
        WeightsError: the bytes are no pickle, are cut, ask for another name, or use an opcode that no weights file needs.
    """
    machine = _Machine(allowed=allowed, persistent=persistent)
    size = len(stream.getbuffer())
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > max_opcodes:
                raise WeightsError(f"the pickle has more than {max_opcodes} opcodes; expected weights")
            if opcode.name == "STOP":
                return machine.pop()
            if opcode.name == "FRAME" and int(argument or 0) > size - stream.tell():
                raise WeightsError("a frame of the pickle reaches beyond the file; was it cut or damaged?")
            if opcode.name == "PROTO" and int(argument or 0) > MAX_PROTOCOL:
                raise WeightsError(
                    f"pickle protocol {argument}; expected {MAX_PROTOCOL} at most. Was the file damaged?"
                )
            machine.step(opcode.name, argument)
    except WeightsError:
        raise
    except (ValueError, OverflowError) as error:  # what genops raises on bytes that are no whole pickle
        raise WeightsError(f"no whole pickle: {_short(error)}; was the file cut or damaged?") from None
    raise WeightsError("the pickle has no end; was the file cut?")


@dataclass(slots=True)
class _Machine:
    """Stack, marks and memo of the pickle machine."""

    allowed: Symbols
    persistent: Persistent | None
    stack: list[Any] = field(default_factory=list)
    marked: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, opcode: str, argument: Any) -> None:
        """One opcode."""
        if opcode in _CONSTANTS:
            if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                raise WeightsError("the pickle has an integer of more than 128 bits; was the file damaged?")
            self.stack.append(argument)
        elif opcode in _OPCODES:
            _OPCODES[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME"):
            raise WeightsError(f"the pickle uses the opcode {opcode}; expected arrays only")

    def pop(self) -> Any:
        """The top of the stack."""
        if not self.stack:
            raise WeightsError("the pickle takes a value from an empty stack; was the file damaged?")
        return self.stack.pop()

    def top(self) -> Any:
        """The top of the stack, left there."""
        value = self.pop()
        self.stack.append(value)
        return value

    def mark(self, _: Any) -> None:
        """Begin a group of values."""
        self.marked.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """The values since the last mark, which is taken away."""
        if not self.marked:
            raise WeightsError("the pickle ends a group that it never began; was the file damaged?")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def last(self, count: int) -> tuple[Any, ...]:
        """The last values of the stack, taken away."""
        return tuple(reversed([self.pop() for _ in range(count)]))

    def push(self, value: Any) -> None:
        """One more value."""
        self.stack.append(value)

    def drop(self, _: Any) -> None:
        """One value less."""
        self.pop()

    def drop_group(self, _: Any) -> None:
        """Forget the values since the last mark."""
        self.group()

    def remember(self, _: Any) -> None:
        """Keep the top under the next number."""
        self.memo[len(self.memo)] = self.top()

    def put(self, index: int) -> None:
        """Keep the top under a number."""
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        """Push what was kept."""
        if index not in self.memo:
            raise WeightsError(f"the pickle refers to its value {index}, which it never made; was the file damaged?")
        self.stack.append(self.memo[index])

    def find(self, module: Any, name: Any) -> None:
        """Push our own symbol of that name."""
        if not (isinstance(module, str) and isinstance(name, str)) or (module, name) not in self.allowed:
            raise WeightsError(
                f"the file asks for {_short(module)}.{_short(name)}, which is not run; expected arrays only. "
                "Save the state dict alone, without objects, in the environment that the file comes from"
            )
        self.stack.append(self.allowed[module, name])

    def find_on_stack(self, _: Any) -> None:
        """The same, names from the stack."""
        self.find(*self.last(2))

    def find_in_line(self, argument: str) -> None:
        """The same, names in the opcode."""
        self.find(*argument.split(" ", 1))

    def call(self, _: Any) -> None:
        """One of our builders on arguments."""
        function, arguments = self.last(2)
        if not isinstance(function, Symbol) or function.make is None or not isinstance(arguments, tuple):
            raise WeightsError("the pickle calls a value that is no function; expected arrays only")
        self.stack.append(function.make(arguments))

    def build(self, _: Any) -> None:
        """Complete an array or dtype; keep the attributes of a dict."""
        state, value = self.pop(), self.top()
        if isinstance(value, Buildable):
            value.build(state)
        elif isinstance(value, ForeignDict) and value.is_ordered and isinstance(state, ForeignDict):
            value.attributes = state
        else:
            raise WeightsError(f"the pickle sets the state of a {type(value).__name__}; expected arrays only")

    def append(self, values: list[Any]) -> None:
        """Add to the list on the stack."""
        target = self.top()
        if not isinstance(target, list):
            raise WeightsError("the pickle appends to what is no list; was the file damaged?")
        target.extend(values)

    def insert(self, values: list[Any]) -> None:
        """Add to the dict on the stack: key, value, key, value …."""
        target = self.top()
        if not isinstance(target, ForeignDict):
            raise WeightsError("the pickle adds keys to what is no dict; was the file damaged?")
        fill(target, values)

    def make_dict(self, _: Any) -> None:
        """A dict of the values since the mark."""
        self.stack.append(fill(ForeignDict(), self.group()))

    def load_persistent(self, _: Any) -> None:
        """A value that stands outside the pickle."""
        if self.persistent is None:
            raise WeightsError("the pickle refers to values outside it; expected a whole file")
        self.stack.append(self.persistent(self.pop()))


def fill(target: ForeignDict, values: list[Any]) -> ForeignDict:
    """Put key, value, key, value … into a dict; a key that is no plain value, or comes twice, is refused."""
    if len(values) % 2:
        raise WeightsError("the pickle has a key without a value; was the file damaged?")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, Key):
            raise WeightsError(f"the pickle has a {type(key).__name__} as key; expected names")
        if key in target:
            raise WeightsError(f"the pickle has the key {_short(key)} twice; expected one value for each name")
        target[key] = value
    return target


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, str | int | float | Exception) else type(value).__name__
    return text if len(text) <= 80 else text[:77] + "…"


NUMBERS = frozenset(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"))
TEXTS = frozenset(
    ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
)
BYTES = frozenset(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_CONSTANTS = NUMBERS | TEXTS | BYTES
_OPCODES: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_group,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push(ForeignDict()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "LIST": lambda machine, _: machine.push(machine.group()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.group())),
    "DICT": _Machine.make_dict,
    "TUPLE1": lambda machine, _: machine.push(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.last(3)),
    "APPEND": lambda machine, _: machine.append(list(machine.last(1))),
    "APPENDS": lambda machine, _: machine.append(machine.group()),
    "SETITEM": lambda machine, _: machine.insert(list(machine.last(2))),
    "SETITEMS": lambda machine, _: machine.insert(machine.group()),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.remember,
    "GLOBAL": _Machine.find_in_line,
    "STACK_GLOBAL": _Machine.find_on_stack,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.load_persistent,
}
