"""A worker process: reads requests, one JSON object a line, on stdin; writes replies on what was stdout.

    <- {"ready": true}
    -> {"architecture": {…}, "pack": "PACK.h5", "proxy": {…}, "seed": 0, "floors": [[125, 28.1]], "residuals": "3.npy"}
    <- {"status": "done", "score": 29.8, "residuals": "9f86d081…", …}            (ProxyResult in shared/records/trial.py)

The file of residuals is on the disk before the reply that holds its SHA-256.

Started as `python -m search_paddle.proxy.worker` by search_paddle/executors.py, and kept between trials. It ends when stdin
ends, even in the middle of a training: no worker outlives its search, however the search ended.
"""

import json
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def serve(load: Callable[[], Handler]) -> None:
    """Answer requests until stdin ends. An exception of the handler ends the process; its trace goes to stderr.

    Args:
        load: makes the handler (and imports what it needs), after stdout is out of reach of stray prints.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    replies = _claim_stdout()
    requests = _requests()
    handle = load()
    _reply(replies, {"ready": True})
    while True:
        _reply(replies, handle(requests.get()))


def _claim_stdout() -> TextIO:
    """A private handle of stdout; whatever else writes there (Paddle does, from C++ too) now lands on stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8")


def _requests() -> "queue.Queue[dict[str, Any]]":
    """Requests as they come. The thread that reads them sees the end of stdin at once, whatever the main thread does."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        try:
            # Unbuffered: the interpreter cannot shut down while a thread holds the lock of a buffered stdin
            with open(0, "rb", buffering=0, closefd=False) as lines:
                for line in lines:
                    requests.put(json.loads(line))
        finally:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests


def _reply(replies: TextIO, value: dict[str, Any]) -> None:
    try:
        replies.write(json.dumps(value, allow_nan=False) + "\n")
        replies.flush()
    except BrokenPipeError:  # the search has ended
        os._exit(0)


def load_proxy() -> Handler:
    """The handler that trains proxies; imports Paddle."""
    warnings.filterwarnings("ignore", message="No ccache found")  # would be the last line of many a log
    import paddle  # here, since importing it prints

    from search_paddle.config import ProxyConfig
    from search_paddle.proxy.residuals import write_residuals
    from search_paddle.proxy.training import train_proxy
    from shared.spec import parse

    paddle.disable_signal_handler()  # else SIGTERM prints a trace instead of ending the process

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        config = ProxyConfig.model_validate(request["proxy"])
        floors = [(step, floor) for step, floor in request["floors"]]
        result, residuals = train_proxy(
            parse(request["architecture"]), Path(request["pack"]), config, request["seed"], floors=floors
        )
        if residuals is not None and residuals.size:
            sha256 = write_residuals(Path(request["residuals"]), residuals)
            result = result.model_copy(update={"residuals": sha256})
        return result.to_json()

    return handle


if __name__ == "__main__":
    serve(load_proxy)
