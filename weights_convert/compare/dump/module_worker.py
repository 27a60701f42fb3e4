"""Worker that runs a user's own torch module: `python -m weights_convert.compare.dump.module_worker REQUEST.json`.

DumpJob.network names a function () or (weights) that returns a torch.nn.Module: float (n, 3, h, w) in [0, 1] -> the image, or a
tuple of images that ends with it. Parts of the module with the name of a node of ours (`body.0.body.1.body.0` in any RCAN
with the official names) are dumped as that node.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor, nn

from shared.errors import UsageError
from shared.network.families import build_graph
from weights_convert.compare.case import read_case
from weights_convert.compare.dump.record import DumpJob, Request, load_function, serve


def dump(job: DumpJob) -> None:
    """Do one job."""
    case = read_case(job.case)
    graph = build_graph(case.spec)
    assert job.network is not None, "the caller names the module"
    dtype = getattr(torch, case.dtype)
    module = _make(job.network, case.weights).to(dtype).eval()
    parts = dict(module.named_modules())
    seen: dict[str, Tensor] = {}
    names = [node.name for node in graph.nodes]
    prefix = _prefix(module, names)
    for name in names:
        if prefix + name in parts:
            parts[prefix + name].register_forward_hook(_keep(seen, name))
    with torch.no_grad():
        result = module(torch.tensor(case.image, dtype=dtype))
    results = result if isinstance(result, tuple) else (result,)
    seen |= dict(zip(reversed(graph.outputs), reversed(results), strict=False))
    with h5py.File(job.dump, "w") as file:
        for name, value in seen.items():
            file[f"output/{name}"] = value.numpy()


def _make(path: str, weights: dict[str, Any]) -> nn.Module:
    function = load_function(path)
    module = function(weights) if inspect.signature(function).parameters else function()
    if not isinstance(module, nn.Module):
        raise UsageError(f"{path} returned a {type(module).__name__}, expected a torch.nn.Module")
    return module


def _prefix(module: nn.Module, names: list[str]) -> str:
    """Under which a wrapped network stands: the one that gives most parts the names of ours."""
    parts = dict(module.named_modules())
    prefixes = ["", *(f"{name}." for name, _ in module.named_children())]
    return max(prefixes, key=lambda prefix: sum(prefix + name in parts for name in names))


def _keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that keeps the first output of a part; what is no tensor is not ours."""

    def hook(part: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and name not in seen:
            seen[name] = output.clone()  # the next part may write over it

    return hook


def start(request: Request) -> None:
    """Set the process up."""
    torch.set_num_threads(request.threads)
    torch.backends.mkldnn.set_flags(_enabled=request.onednn)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), start, dump))
