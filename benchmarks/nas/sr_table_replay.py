"""A worker process that answers from sr_table.h5 instead of training, so that a whole search on real networks takes seconds.

    python -m benchmarks.nas.sr_table_replay TABLE RUN

RUN is "short" or "long". The protocol is that of search_paddle/proxy/worker.py; floors are kept, at the validations
that the table has.
"""

import json
import sys
from pathlib import Path
from typing import Any

import h5py

from benchmarks.nas.sr_table_file import read_residuals
from search_paddle.proxy.residuals import write_residuals
from search_paddle.proxy.worker import Handler, serve
from shared.spec import parse


def load() -> Handler:
    """Open the table."""
    file, run = h5py.File(sys.argv[1], "r"), sys.argv[2]
    rows = {row["id"]: (place, row["runs"]) for place, row in enumerate(json.loads(file["rows"][()]))}

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        spec = parse(request["architecture"])
        if spec.id not in rows:
            return _failed(f"{spec.id} is not in the table", request["seed"])
        place, runs = rows[spec.id]
        answer = replay(runs[run], dict(map(tuple, request["floors"])))
        if request["proxy"]["residual_windows"] and answer["status"] == "done":
            answer["residuals"] = write_residuals(
                Path(request["residuals"]), read_residuals(file, run, "validation", place)
            )
        return {**answer, "seed": request["seed"]}

    return handle


def replay(facts: dict[str, Any], floors: dict[int, float]) -> dict[str, Any]:
    """What a training of this run would have said, ended at the first validation below its floor."""
    validation, steps = facts["validation"], facts["steps"]
    low = next((place for place, (step, score) in enumerate(validation[:-1]) if score < floors.get(step, -1e9)), None)
    is_stopped = low is not None
    kept = validation if low is None else validation[: low + 1]
    return {
        "status": "stopped" if is_stopped else "done",
        "reason": f"stopped after {kept[-1][0]} of {steps} steps" if is_stopped else None,
        "score": None if is_stopped else facts["score"],
        "psnr_rgb": facts["psnr_rgb"],
        "validation": kept,
        "residuals": None,
        "curve": facts["curve"],
        "steps": kept[-1][0],
        "seconds": facts["cpu_seconds"] * kept[-1][0] / steps,
    }


def _failed(reason: str, seed: int) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "psnr_rgb": {},
        "validation": [],
        "residuals": None,
        "curve": [],
        "steps": 0,
        "seconds": 0.0,
    }
    return {"status": "failed", "reason": reason, "score": None, "seed": seed, **nothing}


if __name__ == "__main__":
    serve(load)
