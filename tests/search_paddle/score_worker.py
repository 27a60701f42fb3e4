"""A real worker without Paddle that scores architectures by a formula, so that a whole search takes a second."""

import os
import signal
import time
from typing import Any

from search_paddle.worker import Handler, serve


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
    return {
        "status": "failed" if failed else "done",
        "reason": "step 1: loss is nan" if failed else None,
        "score": None if failed else score,
        "psnr_rgb": {} if failed else {"pair-1": score},
        "curve": [[0, 0.5], [1, 0.1]],
        "steps": 2,
        "seed": request["seed"],
        "seconds": 0.01,
    }


if __name__ == "__main__":
    serve(load)
