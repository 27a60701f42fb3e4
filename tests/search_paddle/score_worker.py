"""A real worker without Paddle that scores architectures by a formula, so that a whole search takes a second."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from search_paddle.proxy.residuals import write_residuals
from search_paddle.proxy.worker import Handler, serve


def load() -> Handler:
    return handle


def handle(request: dict[str, Any]) -> dict[str, Any]:
    fields = request["architecture"]
    features, blocks = fields["features"], fields["blocks"]
    if os.environ.get("STUB_KILLED_BY") == str(features):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("STUB_SECONDS", "0.01")) * (1 + features % 3))
    failed = os.environ.get("STUB_FAILS") in ("all", str(features))
    family = 0.3 + fields["stages"] / 50 if fields["family"] == "drn" else fields["groups"] / 70
    score = 28 + blocks / 3 - abs(features - 41) / 16 + family
    halfway = score - 1 + 0.02 * (features % 5)
    floor = dict(map(tuple, request["floors"])).get(1, 0.0)
    stopped = not failed and halfway < floor
    status = "failed" if failed else "stopped" if stopped else "done"
    return {
        "status": status,
        "reason": "step 1: loss is nan" if failed else f"{halfway} below {floor}" if stopped else None,
        "score": score if status == "done" else None,
        "psnr_rgb": {} if failed else {"pair-1": score, "pair-3": score},
        "validation": [] if failed else [[1, halfway]] if stopped else [[1, halfway], [2, score]],
        "residuals": None if failed or not request["proxy"]["residual_windows"] else residuals(request),
        "curve": [[0, 0.5], [1, 0.1]],
        "steps": 1 if stopped else 2,
        "seed": request["seed"],
        "seconds": 0.01,
    }


def residuals(request: dict[str, Any]) -> str:
    """Errors that all have in common, those of a family and a network's own; on two pairs."""
    fields = request["architecture"]
    own = sum(map(ord, str(sorted(fields.items()))))
    parts = [np.random.default_rng(seed).normal(size=(4, 4, 4, 3)) for seed in (0, len(fields["family"]), own)]
    errors = 40 * parts[0] + 10 * parts[1] + 10 * parts[2]
    return write_residuals(Path(request["residuals"]), np.round(errors).astype(np.int16))


if __name__ == "__main__":
    serve(load)
