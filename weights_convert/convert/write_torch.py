"""Write state dicts as torch.save does: `python -m weights_convert.convert.write_torch FOLDER`.

For each `0.safetensors` … in the folder (see write.py) comes a `0.pth` ….

The description of this project goes into the `_metadata` of the (first) state dict, where load_state_dict lets it pass.
"""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from shared.records.weights import KEY, read_arrays


def value_of(source: Path) -> Any:
    """The value to save: a state dict, a dict of them, or a list of them."""
    arrays, metadata = read_arrays(source)
    states = []
    for index, names in enumerate(metadata["names"]):
        state = OrderedDict((name, torch.from_numpy(arrays[f"{index}/{name}"].copy())) for name in names)
        states.append(state)
    states[0]._metadata = OrderedDict([(KEY, metadata["text"])])  # type: ignore[attr-defined]  # torch itself sets it
    match metadata["form"]:
        case "flat":
            return states[0]
        case "keyed":
            return dict(zip(metadata["keys"], states, strict=True))
        case _:
            return states


if __name__ == "__main__":
    for source in sorted(Path(sys.argv[1]).glob("*.safetensors")):
        torch.save(value_of(source), source.with_suffix(".pth"))
