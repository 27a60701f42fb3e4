"""Damaged weights files: each must end in a clear error or in a right load, within bounds of time and memory.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.convert.fuzz --files 10000 --seed 0 --out benchmarks/convert/fuzz.md

Ten honest files (safetensors, ours and foreign; .pdparams of protocols 2 and 4, ours, PaddleGAN's, and in slices; .pth in both
forms, wrapped, and in bfloat16) are damaged: bits flipped, bytes set, stretches deleted, doubled, swapped, zeroed, filled or
taken from another file, numbers set to the ends of their ranges, tails cut. Half of the damage aims at text, where names, opcodes
and headers stand. A load is right if it gives the honest file's numbers or, where the damage lies in numbers, what an independent
reader gives of the same bytes, bit for bit: torch.load with weights_only, safetensors.numpy, or Python's own unpickler held to
NumPy's names. Anything else is a failure: another exception, a wrong load, or more than LIMIT_S seconds. A copy of this process
reads each file, under the limits of worker.py. `--reader` puts other readers to the test; ours then is the independent one.
"""

import argparse
import io
import os
import pickle
import resource
import signal
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from benchmarks.convert.forked import Decode, forked
from benchmarks.convert.torch_load import decode_bare, decode_checked
from shared.errors import GpnasError
from shared.network.families import build_graph, dual_graphs
from shared.network.initialization import random_weights
from shared.records.weights import WeightsFile, load_weights, save_weights
from shared.spec import parse
from weights_convert.convert.foreign.files import read_checkpoint
from weights_convert.convert.foreign.worker import decode
from weights_convert.convert.read import read_weights, weights_in
from weights_convert.convert.write import write_weights

GOOD = ("refused", "refused by a limit", "right load")
LIMIT_S = 10.0  # CPU seconds; an honest file takes 0.05
LIMIT_MIB = 256  # an honest file has at most 1
Reader = Callable[[Path], dict[str, np.ndarray]]
RCAN = parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1})
DUAL = parse({"family": "dual_regression", "scale": 2, "features": 16, "blocks": 1})


@dataclass(frozen=True, slots=True)
class Honest:
    """A file before it is damaged, and what it holds."""

    name: str
    data: bytes
    weights: dict[str, np.ndarray]


def corpus(folder: Path) -> list[Honest]:
    """The honest files, each read back once."""
    rcan = random_weights(build_graph(RCAN), 1)
    dual = random_weights(build_graph(DUAL), 2)
    both = dual | {f"dual.{i}.{n}": a for i, g in enumerate(dual_graphs(DUAL)) for n, a in random_weights(g, i).items()}
    save_weights(folder / "own.safetensors", rcan, RCAN, {"weights": "raw"})
    file = WeightsFile(spec=DUAL, weights=both, provenance={})
    write_weights(folder / "own.pdparams", file)
    write_weights(folder / "paddlegan.pdparams", file, keys="paddlegan")
    (folder / "paddle2.pdparams").write_bytes(pickle.dumps(rcan, protocol=2))
    (folder / "slices.pdparams").write_bytes(pickle.dumps(_sliced(rcan), protocol=2))
    (folder / "foreign.safetensors").write_bytes(save_safetensors(rcan))
    state = OrderedDict((name, torch.from_numpy(array)) for name, array in rcan.items())
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {f"module.{n}": t for n, t in state.items()}, "epoch": 7}, folder / "wrapped.pth")
    torch.save({name: tensor.bfloat16() for name, tensor in state.items()}, folder / "bfloat16.pth")
    paths = sorted(folder.iterdir())
    return [Honest(path.name, path.read_bytes(), read_weights(path).file.weights) for path in paths]


def _sliced(state: dict[str, np.ndarray]) -> dict[str, object]:
    """As Paddle cuts arrays over a gibibyte, here the first one."""
    name, array = next(iter(state.items()))
    flat = array.reshape(-1)
    info = {name: {"OriginShape": array.shape, "slices": [f"{name}@@.0", f"{name}@@.1"]}}
    rest = {key: value for key, value in state.items() if key != name}
    return {f"{name}@@.0": flat[:4], f"{name}@@.1": flat[4:], "UnpackBigParamInfor@@": info, **rest}


def mutated(generator: np.random.Generator, honest: Honest, other: Honest) -> bytes:
    """A damaged copy."""
    data = bytearray(honest.data)
    for _ in range(int(generator.choice([1, 1, 1, 2, 4]))):
        if data:
            _damage(generator, data, other.data)
    return bytes(data)


def _damage(generator: np.random.Generator, data: bytearray, other: bytes) -> None:
    at = _place(generator, data)
    size = int(min(generator.choice([1, 2, 4, 8, 40, 400, 4000]), len(data) - at))
    kind = generator.choice(["flip", "set", "ends", "zero", "fill", "delete", "double", "swap", "splice", "cut"])
    if kind == "flip":
        data[at] ^= 1 << int(generator.integers(8))
    elif kind == "set":
        data[at] = int(generator.integers(256))
    elif kind == "ends":  # numbers where readers trust them: all ones, none, the greatest signed
        width = min(int(generator.choice([1, 2, 4, 8])), len(data) - at)
        ends = [b"\xff" * width, b"\0" * width, b"\xff" * (width - 1) + b"\x7f"]
        data[at : at + width] = ends[int(generator.integers(3))]
    elif kind == "zero":
        data[at : at + size] = bytes(size)
    elif kind == "fill":
        data[at : at + size] = generator.bytes(size)
    elif kind == "delete":
        del data[at : at + size]
    elif kind == "double":
        data[at:at] = data[at : at + size]
    elif kind == "swap":
        to = _place(generator, data)
        size = min(size, len(data) - to)
        data[at : at + size], data[to : to + size] = data[to : to + size], data[at : at + size]
    elif kind == "splice":
        start = int(generator.integers(len(other)))
        data[at : at + size] = other[start : start + size]
    else:
        del data[at:]


def _place(generator: np.random.Generator, data: bytearray) -> int:
    """Anywhere, or (half of the time) near text: names, opcodes and headers stand there, numbers do not."""
    at = int(generator.integers(len(data)))
    if generator.random() < 0.5:
        for _ in range(200):
            window = data[at : at + 6]
            if len(window) == 6 and all(32 <= byte < 127 for byte in window):
                return min(len(data) - 1, max(0, at + int(generator.integers(-12, 12))))
            at = int(generator.integers(len(data)))
    return at


def reader(decode: Decode) -> Reader:
    """The path of every command, with a fork in place of a fresh process for each file."""

    def read(path: Path) -> dict[str, np.ndarray]:
        if path.name == "own.safetensors":  # our own files go through the reader that every command uses
            return load_weights(path).weights
        checkpoint = read_checkpoint(path, run=lambda file_format, data: forked(file_format, data, decode))
        return weights_in(checkpoint).file.weights

    return read


def naive(path: Path) -> dict[str, np.ndarray]:
    """The known-wrong control: a reader that checks nothing by itself, and puts 1 for the first number."""
    arrays = independent(path)
    return {name: np.concatenate([[1], array.ravel()[1:]]).astype(np.float32) for name, array in arrays.items()}


def outcome(path: Path, read: Reader, honest: dict[str, np.ndarray], expect: Reader) -> str:
    """How reading ends: one of GOOD, or what is wrong."""
    try:
        found = read(path)
    except GpnasError as error:
        if any(words in str(error) for words in ("more memory or time", "was stopped by")):
            return "refused by a limit"
        return "refused" if str(error) else "an error without a message"
    except TimeoutError:
        return f"more than {LIMIT_S} s"
    except Exception as error:  # noqa: BLE001  # that no other exception comes is what is tested
        return f"{type(error).__name__}: {error}"
    if _equal(found, honest):
        return "right load"
    try:
        expected = expect(path)
    except Exception as error:  # noqa: BLE001  # what this reader finds wrong ours should have found
        return f"accepted, but the independent reader says {type(error).__name__}: {error}"
    return "right load" if _equal(found, expected) else "wrong load"


def _equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].tobytes() == np.ascontiguousarray(array, dtype=np.float32).tobytes()
        for name, array in expected.items()
    )


def independent(path: Path) -> dict[str, np.ndarray]:
    """What a file that was accepted holds, by readers that share no code with ours."""
    data = path.read_bytes()
    if data[8:9] == b"{":
        return load_safetensors(data)
    if data.startswith(b"PK") or data[2:3] == b"\x8a":
        value = torch.load(io.BytesIO(data), weights_only=True)
        state = value.get("state_dict", value)
        return {name.removeprefix("module."): tensor.float().numpy() for name, tensor in state.items()}
    value = _OnlyNumpy(io.BytesIO(data)).load()
    slices = value.pop("UnpackBigParamInfor@@", {})
    joined = {
        n: np.concatenate([value.pop(p) for p in i["slices"]]).reshape(i["OriginShape"]) for n, i in slices.items()
    }
    duals = [name for name in value if name.startswith("dual_model_")]
    dual = {f"dual.{name[11:]}.{n}": a for name in duals for n, a in value[name].items()}
    state = value.get("generator", value) | joined | dual
    return {name: array for name, array in state.items() if isinstance(array, np.ndarray)}


class _OnlyNumpy(pickle.Unpickler):
    """Python's machine with the four names that these files need."""

    def find_class(self, module: str, name: str) -> object:
        allowed = {"_reconstruct", "ndarray", "dtype"} if module.startswith("numpy") else {"encode"}
        if name not in allowed or module.split(".")[0] not in ("numpy", "_codecs"):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


ours = reader(decode)
READERS: dict[str, tuple[Reader, Reader]] = {  # name -> the reader, and the one that judges it
    "ours": (ours, independent),
    "torch": (reader(decode_bare), ours),
    "torch checked": (reader(decode_checked), ours),
    "naive": (naive, independent),
}


def fuzz(count: int, seed: int, name: str = "ours") -> Iterator[tuple[str, str, float]]:
    """(file, outcome, CPU seconds) of every mutation; bounded address space, and an alarm for each file."""
    read, expect = READERS[name]
    signal.signal(signal.SIGPROF, _too_long)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "corpus").mkdir()
        files = corpus(Path(folder) / "corpus")
        _bound_memory()
        for index in range(count):
            generator = np.random.Generator(np.random.Philox(key=[seed, index]))
            honest, other = files[index % len(files)], files[int(generator.integers(len(files)))]
            path = Path(folder) / honest.name
            path.write_bytes(mutated(generator, honest, other))
            start = _spent()
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
            result = outcome(path, read, honest.weights, expect)
            signal.setitimer(signal.ITIMER_PROF, 0)
            yield honest.name, result if result in GOOD else f"index {index}: {result}", _spent() - start


def _spent() -> float:
    """CPU seconds of this process and of its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _too_long(signum: int, frame: object) -> None:
    raise TimeoutError


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LIMIT_MIB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def report(results: list[tuple[str, str, float]], arguments: str) -> str:
    """The result as Markdown."""
    table: dict[str, Counter[str]] = {}
    for name, result, _ in results:
        kind = result if result in GOOD else "failure"
        table.setdefault(name, Counter())[kind] += 1
    times = sorted(seconds for _, _, seconds in results)
    failures = [result for _, result, _ in results if result not in GOOD]
    text = io.StringIO()
    text.write("# Damaged weights files\n\n")
    text.write(f"`OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.convert.fuzz {arguments}`, 2 cores, AVX2, ")
    text.write(f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}.\n")
    text.write("What counts as right, and how files are damaged: benchmarks/convert/fuzz.py.\n\n")
    text.write("| file | refused | refused by a limit | right load | failures |\n|---|---|---|---|---|\n")
    for name, counts in [*sorted(table.items()), ("all", sum(table.values(), Counter()))]:
        text.write(f"| {name} | {' | '.join(str(counts[kind]) for kind in (*GOOD, 'failure'))} |\n")
    text.write(f"\nCPU time of a file: mean {sum(times) / len(times) * 1000:.1f} ms, worst {times[-1] * 1000:.0f} ms ")
    text.write(f"(limit {LIMIT_S:g} s). ")
    text.write(f"Address space was limited to {LIMIT_MIB} MiB above the start.\n")
    text.writelines(f"\n- {failure}" for failure in failures)
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=READERS, default="ours")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    arguments = f"--files {args.files} --seed {args.seed}" + (
        f" --reader '{args.reader}'" if args.reader != "ours" else ""
    )
    text = report(list(fuzz(args.files, args.seed, args.reader)), arguments)
    print(text)
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
