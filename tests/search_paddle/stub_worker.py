"""A real worker without Paddle: speaks the protocol of search_paddle/proxy/worker.py; what it does stands in the request."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from search_paddle.proxy.worker import Handler, serve


def load() -> Handler:
    print("a stray line on stdout")  # noqa: T201 - what the test is about
    os.system("echo a stray line of a child")
    if os.environ.get("STUB_REFUSES_TO_START"):
        sys.exit("no framework here")
    return handle


def handle(request: dict[str, Any]) -> dict[str, Any]:
    print("another one")  # noqa: T201 - the same
    if "pid_file" in request:
        Path(request["pid_file"]).write_text(str(os.getpid()))
    if "die_once" in request and not Path(request["die_once"]).exists():
        Path(request["die_once"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "die" in request:
        os.kill(os.getpid(), getattr(signal, request["die"]))
    if "raise" in request:
        raise ValueError(request["raise"])
    time.sleep(request.get("sleep", 0))
    names = ("OMP_NUM_THREADS", "KMP_AFFINITY", "FLAGS_check_nan_inf")
    return {
        "echo": request.get("value"),
        "pid": os.getpid(),
        "environment": {name: os.environ.get(name) for name in names},
    }


if __name__ == "__main__":
    serve(load)
