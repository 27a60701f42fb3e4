"""The network faults in Torch, shown to PaDiff 0.2.0 (PaddlePaddle's own tool) with the healthy network in Paddle.

    OMP_NUM_THREADS=1 PYTHONPATH=.:benchmarks/compare python benchmarks/compare/padiff_faults.py padiff.json [FAULT…]

Run it in an environment of its own, beside paddlepaddle and torch (both load into one process). PaDiff hooks layers, so it sees
convolutions and the output of our networks, in float64. Two settings: its defaults (means, relative 1e-7), with weights
copied first; and the strictest we found (every number, weights as they are).
"""

import contextlib
import copy
import io
import sys
from pathlib import Path

import faults
import faults_torch
import paddle
import torch
from padiff import auto_diff

from search_paddle.network import build_graph as build_paddle
from shared.files import write_json
from shared.network.families import build_graph
from train_torch.network import build_graph as build_torch
from weights_convert.compare.case import make_case

SETTINGS = {
    "defaults": {"auto_weights": True, "options": {}},
    "strict": {"auto_weights": False, "options": {"compare_mode": "strict", "atol": 1e-12, "rtol": 1e-9}},
}


class InOrder(torch.nn.Module):
    """The convolutions of a network in the order of the Graph: PaDiff pairs layers by the order in which they are defined."""

    def __init__(self, module: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.whole = [module]  # in a list, so that its own order is not seen
        for name in names:
            self.add_module(name.replace(".", "_"), module.get_submodule(name))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.whole[0](image)


def verdict(name: str, setting: str) -> dict[str, object]:
    fault = faults.NETWORK.get(name) or faults.FAMILIES.get(name) or faults.Fault(net="rcan")
    case = make_case(faults.SPECS[fault.net], seed=3)
    graph = build_graph(case.spec).inference()
    weights = {key: case.weights[key] for key in graph.weight_shapes()}
    layer = build_paddle(graph, weights).to(dtype="float64")
    module = (build_torch if name == "healthy" else getattr(faults_torch, name))(graph, weights).double()
    module = InOrder(module, list(dict.fromkeys(node.owner for node in graph.weighted())))
    for parameter in [*layer.parameters(), *module.parameters()]:
        if isinstance(parameter, torch.Tensor):
            parameter.requires_grad_(True)
        else:
            parameter.stop_gradient = False
    inputs = ({"image": paddle.to_tensor(case.image.astype("float64"))}, {"image": torch.tensor(case.image).double()})
    settings = copy.deepcopy(SETTINGS[setting])
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            result: object = bool(auto_diff(layer, module, inputs, **settings))
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
            result = f"{type(error).__name__}: {error}"[:200]
    return {"fault": name, "setting": setting, "passes": result}


def summary(rows: list[dict[str, object]], setting: str) -> dict[str, object]:
    mine = [row for row in rows if row["setting"] == setting]
    planted = [row for row in mine if row["fault"] != "healthy"]
    missed = [row["fault"] for row in planted if row["passes"] is True]
    healthy = [row["passes"] for row in mine if row["fault"] == "healthy"]
    return {"healthy_passes": healthy, "planted": len(planted), "found": len(planted) - len(missed), "missed": missed}


def main(target: Path, names: list[str]) -> None:
    rows: list[dict[str, object]] = []
    for name in names or ["healthy", *faults.NETWORK, *faults.FAMILIES]:
        for setting in SETTINGS:
            rows.append(verdict(name, setting))
            print(name, setting, rows[-1]["passes"], flush=True)
    write_json(target, {"summary": {setting: summary(rows, setting) for setting in SETTINGS}, "rows": rows})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
