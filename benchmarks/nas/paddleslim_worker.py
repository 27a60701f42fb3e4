"""The published PaddleSlim class, run by the Python of its own environment (NumPy 1): needs nothing of this project.

    PYTHON paddleslim_worker.py      requests on standard input, answers on standard output, one JSON line each

A request: {"c_flag", "m_flag", "initial": [X, Y], "batches": [[X, Y], ...], "trained": [X, Y], "new": X}.
The answer: "linear" and "joint" predictions of `new`, "before" any batch too, and processor seconds of the last update
("fit_s") and of the joint prediction ("mean_s").
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np


def published_class():
    """GPNAS of the installed package; its file alone is run, since the package itself imports all of Paddle."""
    folder = Path(importlib.util.find_spec("paddleslim").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("published_gp_nas", folder / "nas" / "gp_nas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GPNAS


def answer(published, request):
    model = published(request["c_flag"], request["m_flag"])
    tokens, scores = map(np.array, request["initial"])
    model.get_initial_mean(tokens, scores)
    model.get_initial_cov(tokens)
    new = np.array(request["new"])
    result = {"before": np.asarray(model.get_predict(new)).ravel().tolist(), "fit_s": 0.0}
    for tokens, scores in request["batches"]:
        start = time.process_time()
        model.get_posterior_mean(np.array(tokens), np.array(scores))
        result["fit_s"] = time.process_time() - start
    tokens, scores = map(np.array, request["trained"])
    start = time.process_time()
    result["joint"] = np.asarray(model.get_predict_jiont(new, tokens, scores)).ravel().tolist()
    result["mean_s"] = time.process_time() - start
    result["linear"] = np.asarray(model.get_predict(new)).ravel().tolist()
    return result


def main():
    published = published_class()
    for line in sys.stdin:
        print(json.dumps(answer(published, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
