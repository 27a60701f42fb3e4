"""A worker process of the maker of sr_table.h5: trains one architecture and keeps what it does on two packs.

    -> {"architecture": {…}, "pack": "train.h5", "proxy": {…}, "seed": 0, "test": "test.h5", "test_proxy": {…}, "out": "F/NAME"}
    <- {"status": "done"}, after NAME.validation.npy, NAME.test.npy and then NAME.json are written

Started by benchmarks/nas/sr_table.py; the protocol is that of search_paddle/proxy/worker.py.
"""

import time
from pathlib import Path
from typing import Any

from search_paddle.proxy.worker import Handler, serve


def load() -> Handler:
    """Import Paddle and make the handler."""
    import paddle  # here, since importing it prints

    paddle.disable_signal_handler()
    return handle


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate, write."""
    from search_paddle.config import ProxyConfig
    from search_paddle.proxy.residuals import write_residuals
    from search_paddle.proxy.training import train_proxy
    from search_paddle.proxy.validation import ProxyScores, validate
    from shared.data.pack import Pack
    from shared.data.validation import Upscale
    from shared.files import write_json
    from shared.spec import parse

    test: list[ProxyScores] = []

    def inspect(upscale: Upscale) -> None:
        with Pack(Path(request["test"])) as pack:
            test.append(validate(upscale, pack, ProxyConfig.model_validate(request["test_proxy"])))

    began = time.process_time()
    config = ProxyConfig.model_validate(request["proxy"])
    spec = parse(request["architecture"])
    result, residuals = train_proxy(
        spec, Path(request["pack"]), config, request["seed"], inspect=inspect if "test" in request else None
    )
    facts = {**result.to_json(), "cpu_seconds": time.process_time() - began}
    del facts["residuals"]
    if residuals is not None:
        write_residuals(Path(request["out"] + ".validation.npy"), residuals)
    if test:
        write_residuals(Path(request["out"] + ".test.npy"), test[0].residuals)
        facts["test_psnr_rgb"] = test[0].psnr_rgb
    write_json(Path(request["out"] + ".json"), facts)
    return {"status": result.status}


if __name__ == "__main__":
    serve(load)
