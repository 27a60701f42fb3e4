"""What a dump is: HDF5, one dataset for each array, the same keys from every framework.

    output/NODE            output of a node, `input` included                       } one pass through the whole network
    gradient/NODE          gradient of the loss with respect to it                  }
    weight/NAME            gradient of the loss with respect to a weight            }
    held/NAME              the weight that the network holds
    isolated               JSON: rows of the isolated pass, see weights_convert/compare/isolated.py
    training/…             see weights_convert/compare/recipe.py

A worker is `python -m weights_convert.compare.dump.FRAMEWORK_worker REQUEST.json`; the request is a `Request`.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import h5py
import numpy as np
from pydantic import BaseModel, ConfigDict

from shared.errors import UsageError
from shared.processes import WRONG_INPUT
from weights_convert.compare.recipe import Recipe


class DumpJob(BaseModel):
    """One case for one process.

    Attributes:
        case: file of the case.
        dump: file to write.
        values: float64 outputs of the reference, which the isolated pass feeds to each node; None: no isolated pass.
        chained: whether the whole network is run, forward and backward.
        network: `module:function` or `file.py:function`, (graph, weights) -> network; None: the project's own.
        training: likewise, (spec, weights, recipe) -> training; None: the project's own.
        recipe: of the training; None: no training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: Path
    dump: Path
    values: Path | None = None
    chained: bool = True
    network: str | None = None
    training: str | None = None
    recipe: Recipe | None = None


class Request(BaseModel):
    """What one process does: how it computes, and the jobs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int = 1
    onednn: bool = True
    jobs: tuple[DumpJob, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCheck:
    """One measurement of the isolated pass: what of which node, its error and the largest allowed."""

    node: str
    what: str
    error: float
    limit: float


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of one or several dumps, read when asked for. A context manager."""

    def __init__(self, *paths: Path) -> None:
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(h5py.File(path, "r")) for path in paths]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __getitem__(self, key: str) -> np.ndarray:
        for file in self._files:
            if key in file:
                return np.asarray(file[key][()])
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(key in file for file in self._files)

    def __iter__(self) -> Iterator[str]:
        for file in self._files:
            yield from _keys(file)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def group(self, prefix: str) -> list[str]:
        """Names of the datasets right under `prefix`."""
        return [name for file in self._files if prefix in file for name in file[prefix]]

    def rows(self) -> list[NodeCheck]:
        """The isolated pass; empty where there was none."""
        return [
            NodeCheck(**row) for file in self._files if "isolated" in file for row in json.loads(file["isolated"][()])
        ]


class Outputs(Mapping[str, np.ndarray]):
    """The outputs of nodes in a dump, by their names alone."""

    def __init__(self, dump: Arrays) -> None:
        self._dump = dump

    def __getitem__(self, name: str) -> np.ndarray:
        return self._dump[f"output/{name}"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dump.group("output"))

    def __len__(self) -> int:
        return len(self._dump.group("output"))


def serve(path: Path, start: Callable[[Request], None], dump: Callable[[DumpJob], None]) -> int:
    """Do every job of a request; returns the exit status.

    Args:
        path: of the request.
        start: called once, before the first job.
        dump: called for each job.
    """
    request = Request.model_validate_json(path.read_bytes())
    start(request)
    try:
        for job in request.jobs:
            dump(job)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_INPUT
    return 0


def write_rows(file: h5py.File, rows: Sequence[NodeCheck]) -> None:
    """Add the isolated pass to a dump."""
    file["isolated"] = json.dumps([asdict(row) for row in rows])


def load_function(path: str) -> Callable[..., Any]:
    """The function that `package.module:function` or `folder/file.py:function` names; the current folder is looked in too.

    Raises:
        UsageError: no such module, file or function.
    """
    source, _, name = path.rpartition(":")
    if not source or not name:
        raise UsageError(f"got {path!r}, expected package.module:function or file.py:function")
    module = _from_file(Path(source)) if source.endswith(".py") else _by_name(source)
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{source} has no function {name!r}; it has {_functions(module)}")
    return function


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a Python file")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None, "a .py file has a loader"
    assert specification.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module  # dataclasses and pickling look there
    sys.path.insert(0, str(path.resolve().parent))  # so that the file can import its neighbours
    specification.loader.exec_module(module)
    return module


def _by_name(name: str) -> ModuleType:
    sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"got module {name!r}, which cannot be imported: {error}; name a file (net.py:make) instead"
        ) from None


def _functions(module: ModuleType) -> str:
    return (
        ", ".join(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        or "none"
    )


def _keys(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and name != "isolated" else None
    )
    return names
