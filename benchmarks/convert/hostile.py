"""Files made to do harm, for each reader: what came of it, the memory and the time that it took.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.convert.hostile

They run code, fill the memory, run for ever, overflow the C stack, read memory that is not theirs, or claim what they do not
hold. Each is read in a copy of this process, under the limits of worker.py.
"""

import argparse
import io
import json
import os
import resource
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.convert.forked import Decode, forked
from shared.errors import WeightsError
from weights_convert.convert.foreign.files import read_checkpoint, select
from weights_convert.convert.foreign.worker import SECONDS, decode

LIMIT_FILE = 10**6  # bytes; larger pickles are not put into a zip as well


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    """LONG1."""
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def whole(body: bytes) -> bytes:
    """A pickle of protocol 4."""
    return b"\x80\x04" + body + b"."


def array(shape: tuple[int, ...], data: bytes, code: str = "f4") -> bytes:
    """The opcodes of a NumPy array of any shape and bytes."""
    head = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
    dtype = (
        b"cnumpy\ndtype\n("
        + text(code)
        + b"\x89\x88tR(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    sides = b"(" + b"".join(map(integer, shape)) + b"t"
    return head + sides + dtype + b"\x89B" + struct.pack("<I", len(data)) + data + b"tb"


def pickles(marker: Path) -> dict[str, bytes]:
    """Pickles for Paddle's reader and, in a zip, for Torch's; those of the first group would make the file `marker`."""
    command = f"open({str(marker)!r}, 'w').close()"
    call = text(command) + b"\x85R"
    doubled = b"".join(b"q" + bytes([at]) + b"h" + bytes([at]) + b"\x86" for at in range(100))
    state = b"}" + text("w")
    return {
        "code by GLOBAL": whole(b"cbuiltins\neval\n" + call),
        "code by STACK_GLOBAL": whole(text("builtins") + text("eval") + b"\x93" + call),
        "code by INST": whole(b"(" + text(command) + b"ibuiltins\neval\n"),
        "code by OBJ": whole(b"(cbuiltins\neval\n" + text(command) + b"o"),
        "code by a dotted name": whole(
            text("numpy") + text("f2py.os.system") + b"\x93" + text(f"touch {marker}") + b"\x85R"
        ),
        "code by getattr": whole(b"cbuiltins\ngetattr\ncnumpy\nndarray\n" + text("tofile") + b"\x86R"),
        "code by NumPy's own": whole(b"cnumpy.core.multiarray\nfromfile\n" + text("/etc/passwd") + b"\x85R"),
        "code as a state": whole(b"cnumpy\ndtype\n}" + text("_make") + b"cbuiltins\neval\nsb"),
        "a state for a function": whole(b"cnumpy\ndtype\nN}" + text("_make") + b"Ns\x86b"),
        "NEWOBJ of an array": whole(b"cnumpy\nndarray\n" + integer(1000) + b"\x85\x85\x81"),
        "an array of unfilled memory": whole(state + b"cnumpy\nndarray\n" + integer(1000) + b"\x85\x85Rs"),
        "rebuilt with a shape": whole(
            state + b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(1000) + b"\x85C\x01f\x87Rs"
        ),
        "a dtype of pointers": whole(
            state
            + b"cnumpy\ndtype\n"
            + text("f8")
            + b"\x89\x88\x87R(K\x03"
            + text("|")
            + b"N"
            + text("a")
            + b"\x85}"
            + text("a")
            + b"cnumpy\ndtype\n"
            + text("O8")
            + b"\x89\x88\x87RK\x00\x86sK\x08K\x08K\x3ftbs"
        ),
        "an array of 4 TiB": whole(state + array((2**30, 2**10), b"\0" * 8) + b"s"),
        "an array of negative side": whole(state + array((-1,), b"\0" * 8) + b"s"),
        "bytes of 1 TiB": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        "memo slot 2^32 - 1": whole(b"}r\xff\xff\xff\xff"),
        "three million lists": whole(b"]" * 3_000_000),
        "one text encoded 20,000 times": whole(
            text("x" * 10**6)
            + b"q\x00"
            + b"c_codecs\nencode\nq\x01"
            + b"]("
            + (b"h\x01h\x00" + text("latin1") + b"\x86R") * 20_000
            + b"e"
        ),
        "one list copied 20,000 times": whole(
            b"](" + b"N" * 100_000 + b"eq\x00cbuiltins\ntuple\nq\x01](" + b"h\x01h\x00\x85R" * 20_000 + b"e"
        ),
        "keys of one hash": whole(b"}(" + b"".join(integer(k * (2**61 - 1)) + b"N" for k in range(100_000)) + b"u"),
        "tuples, 2^100 by doubling": whole(b")" + doubled),
        "tuples, 2^100 by doubling, as a key": whole(b"})" + doubled + b"Ns"),
        "a million tuples deep": whole(b")" + b"\x85" * 1_000_000),
        "a million tuples deep, as a key": whole(b"})" + b"\x85" * 1_000_000 + b"Ns"),
        "one array under 1,000 names": whole(
            b"}"
            + array((250_000,), bytes(10**6))
            + b"q\x000("
            + b"".join(text(f"w{k}") + b"h\x00" for k in range(1000))
            + b"u"
        ),
        "one array in 1,000 state dicts": whole(
            b"}"
            + array((250_000,), bytes(10**6))
            + b"q\x000("
            + b"".join(text(f"s{k}") + b"}" + text("w") + b"h\x00s" for k in range(1000))
            + b"u"
        ),
    }


def storage(key: str = "0", count: int = 6, kind: str = "FloatStorage") -> bytes:
    """The persistent id of a storage."""
    return (
        b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + integer(count) + b"tQ"
    )


def ints(*values: int) -> bytes:
    """A tuple of integers."""
    return b"(" + b"".join(map(integer, values)) + b"t"


def call(name: str, *arguments: bytes) -> bytes:
    """REDUCE of a name of Torch's."""
    module, _, function = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + function.encode() + b"\n(" + b"".join(arguments) + b"tR"


def tensor(
    shape: tuple[int, ...] = (6,), stride: tuple[int, ...] = (1,), count: int = 6, offset: int = 0, extra: bytes = b""
) -> bytes:
    """A tensor of any strides."""
    parts = storage(count=count), integer(offset), ints(*shape), ints(*stride), b"\x89N", extra
    return call("torch._utils._rebuild_tensor_v2", *parts)


def archive(value: bytes, data: bytes = b"\0" * 24, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file with one storage and a state dict {"w": value}."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as records:
        records.writestr("archive/data.pkl", b"\x80\x02}" + text("w") + value + b"s.")
        records.writestr("archive/byteorder", "little")
        records.writestr("archive/data/0", data)
        records.writestr("archive/version", "3\n")
    return stream.getvalue()


def torch_files() -> dict[str, bytes]:
    """Zip files for Torch's reader."""
    honest = archive(tensor(), np.arange(6, dtype=np.float32).tobytes())
    at = honest.index(struct.pack("<f", 3))
    sparse = call(
        "torch._utils._rebuild_sparse_tensor", call("torch.serialization._get_layout", text("torch.sparse_coo")), b"("
    )
    sparse = sparse[:-3] + tensor() + tensor() + ints(10**9, 10**9) + b"t" + b"tR"
    nested = call(
        "torch._utils._rebuild_nested_tensor", tensor(), *(tensor((1, 1), (1, 1), offset=k) for k in (0, 1)), tensor()
    )
    return {
        "a deflated zip of 40 MB": archive(tensor(count=10**7), bytes(4 * 10**7), zipfile.ZIP_DEFLATED),
        "a record that claims 2 GiB": honest.replace(struct.pack("<LL", 24, 24), struct.pack("<LL", 2**31, 2**31)),
        "a number changed, checksum wrong": honest[:at] + struct.pack("<f", 7) + honest[at + 4 :],
        "strides beyond the storage": archive(tensor((3, 2), (2, 2))),
        "an offset beyond the storage": archive(tensor(offset=1)),
        "a storage of 4 TiB": archive(tensor(count=2**40)),
        "a view of 4 TiB": archive(tensor((2**20, 2**20), (0, 0))),
        "a negated tensor": archive(tensor(extra=b"}" + text("neg") + b"\x88s")),
        "unfilled memory by FloatTensor": archive(call("torch.FloatTensor", integer(6))),
        "unfilled memory by Tensor": archive(call("torch.Tensor", integer(2), integer(3))),
        "unfilled memory by NEWOBJ": archive(b"ctorch\nFloatTensor\n" + ints(6) + b"\x81"),
        "bytearray of 1 TiB": archive(call("builtins.bytearray", integer(2**40))),
        "Tensor of 4 TiB": archive(call("torch.Tensor", integer(2**40))),
        "a sparse tensor": archive(sparse),
        "a nested tensor": archive(nested),
        "a tensor of no device": archive(
            call("torch._utils._rebuild_meta_tensor_no_storage", b"ctorch\nfloat32\n", ints(6), ints(1), b"\x89")
        ),
        "a tensor with methods of the file's": archive(
            call(
                "torch._tensor._rebuild_from_type_v2",
                b"ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n("
                + tensor()[39:-2]
                + b"t}"
                + text("numel")
                + b"Ns",
            )
        ),
    }


def hostile_files(marker: Path) -> dict[str, bytes]:
    """Name -> a file's bytes. None of them is weights."""
    found = pickles(marker)
    zipped = {f"{name}, in a zip": archive(data[2:-1]) for name, data in found.items() if len(data) < LIMIT_FILE}
    return found | zipped | torch_files()


def measured(path: Path, decode: Decode, seconds: int = SECONDS) -> tuple[str, int, float]:
    """How reading a file ends: the message, or "READ"; MiB of memory beyond the start; CPU seconds.

    Args:
        path: the file.
        decode: the reader.
        seconds: limit of CPU time.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # a copy of its own for each file, whose only child is the reader: so the peak is that reader's
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            select(read_checkpoint(path, run=lambda file_format, data: forked(file_format, data, decode, seconds)))
            outcome = "READ"
        except WeightsError as error:
            outcome = str(error)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = [outcome, (used.ru_maxrss - base) // 1024, used.ru_utime + used.ru_stime]
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        outcome, memory, spent = json.load(stream)
    os.waitpid(child, 0)
    return outcome, memory, spent


class Row(NamedTuple):
    """One hostile file: its size in bytes, what reading it took (MiB, CPU seconds), how it ended, whether code ran."""

    name: str
    size: int
    memory: int
    seconds: float
    outcome: str
    ran: bool


def rows(folder: Path, decode: Decode, seconds: int = SECONDS) -> Iterator[Row]:
    """Read every hostile file. To be called in a small, fresh process.

    The memory that a large process has mapped but never used can be filled below the limit, and would be counted.
    """
    marker, path = folder / "marker", folder / "file"
    for name, data in hostile_files(marker).items():
        path.write_bytes(data)
        outcome, memory, spent = measured(path, decode, seconds)
        yield Row(name, len(data), memory, spent, outcome.removeprefix(str(path)), marker.exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", choices=("ours", "torch", "torch checked"), default="ours")
    reader = parser.parse_args().reader
    decoders = {"ours": decode}
    if reader != "ours":
        from benchmarks.convert.torch_load import decode_bare, decode_checked

        decoders |= {"torch": decode_bare, "torch checked": decode_checked}
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), decoders[reader]):
            ran = "CODE RAN " if row.ran else ""
            print(
                f"{row.name:48} {row.size:9} B  {row.memory:5} MiB  {row.seconds:5.1f} s  {ran}{row.outcome[:90]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
