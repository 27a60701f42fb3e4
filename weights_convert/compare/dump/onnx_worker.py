"""Worker that runs an ONNX file: `python -m weights_convert.compare.dump.onnx_worker REQUEST.json`.

DumpJob.network is the file; its outputs alone are dumped.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared.errors import UsageError
from shared.network.families import build_graph
from weights_convert.compare.case import read_case
from weights_convert.compare.dump.record import DumpJob, Request, serve


def dump(job: DumpJob) -> None:
    """Do one job."""
    case = read_case(job.case)
    assert job.network is not None, "the caller names the file"
    if not Path(job.network).is_file():
        raise UsageError(f"{job.network}: no such file; expected an ONNX file")
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = runtime.InferenceSession(job.network, options, providers=["CPUExecutionProvider"])
        results = session.run(None, {_input_name(session, job.network): case.image.astype(np.float32)})
    except _refusals() as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{job.network}: {reason}; expected an ONNX network that takes (n, 3, h, w)") from None
    with h5py.File(job.dump, "w") as file:
        for name, value in zip(reversed(build_graph(case.spec).outputs), reversed(results), strict=False):
            file[f"output/{name}"] = value


def _input_name(session: Any, path: str) -> str:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UsageError(f"{path} has {len(inputs)} inputs, expected one: the image")
    return str(inputs[0].name)


def _refusals() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises where the file is none, or the image does not fit it."""
    states = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("InvalidProtobuf", "InvalidGraph", "InvalidArgument", "NotImplemented", "Fail")
    return tuple(getattr(states, name) for name in names)


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError:
        raise UsageError("comparing an ONNX file needs onnxruntime; install gpnas-sr[export]") from None


def start(request: Request) -> None:
    """Nothing to set up: threads are options of the session."""


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), start, dump))
