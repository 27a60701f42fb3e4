"""Our PaddleSlim mode against the published class itself, installed in an environment of its own.

    make paddleslim-env
    python -m benchmarks.nas.paddleslim_original ../shared/data

Compares the demo's predictions (data folder's nas/paddleslim_cvpr21_track2) and those on the search tables, for all four pairs
of flags; prints the largest difference, relative to the spread of the predictions, and fails above 1e-8.
"""

import argparse
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nas.problems import TRUTH
from benchmarks.nas.tables import read_table
from search_paddle.gp_nas.paddleslim import PaddleSlimGPNAS

WORKER = Path(__file__).with_name("paddleslim_worker.py")
PYTHON = Path(".venv-paddleslim/bin/python")
LIMIT = 1e-8
Data = tuple[np.ndarray, np.ndarray]


class Original:
    """The published class in a worker process; use it as a context.

    Args:
        python: the interpreter of an environment with paddleslim.
    """

    def __init__(self, python: Path) -> None:
        self.process = subprocess.Popen(
            [str(python), str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Original":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def __call__(
        self, flags: tuple[int, int], initial: Data, batches: list[Data], trained: Data, new: np.ndarray
    ) -> dict[str, Any]:
        """Predictions and processor seconds (paddleslim_worker.py)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {
            "c_flag": flags[0],
            "m_flag": flags[1],
            "initial": [part.tolist() for part in initial],
            "batches": [[part.tolist() for part in batch] for batch in batches],
            "trained": [part.tolist() for part in trained],
            "new": new.tolist(),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def ours(
    flags: tuple[int, int], initial: Data, batches: list[Data], trained: Data, new: np.ndarray
) -> dict[str, np.ndarray]:
    model = PaddleSlimGPNAS(c_flag=flags[0], m_flag=flags[1]).initial_mean(*initial)
    before = model.predict(new)
    for batch in batches:
        model = model.posterior_mean(*batch)
    return {"before": before, "joint": model.predict_joint(new, *trained), "linear": model.predict(new)}


def demo(data: Path) -> tuple[Data, list[Data], Data, np.ndarray]:
    """The published demo: prior from the first stage, two batches of the second."""
    cheap, dear = (read_table(data, "paddleslim_cvpr21_track2", stage) for stage in ("stage1", "stage2"))
    tokens, scores = dear.codes + 1, dear.columns["acc"]
    train, test = slice(0, None, 2), slice(1, None, 2)
    batches = [(tokens[train][first::3], scores[train][first::3]) for first in (0, 1)]
    return (cheap.codes[1:] + 1, cheap.columns["acc"][1:]), batches, (tokens[train], scores[train]), tokens[test]


def random_case(data: Path, folder: str, seed: int) -> tuple[Data, list[Data], Data, np.ndarray]:
    """Random rows of a table: 40 for the prior, two batches of 15, 20 to predict."""
    table = read_table(data, folder)
    order = np.random.default_rng(seed).permutation(len(table.codes))
    tokens, scores = table.codes, table.columns[TRUTH[folder]]
    prior, first, second, new = order[:40], order[40:55], order[55:70], order[70:90]
    trained = order[40:70]
    pairs = [(tokens[rows], scores[rows]) for rows in (prior, first, second, trained)]
    return pairs[0], pairs[1:3], pairs[3], tokens[new]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the environment with paddleslim")
    arguments = parser.parse_args()
    cases = {"demo": demo(arguments.data)} | {name: random_case(arguments.data, name, 0) for name in TRUTH}
    worst = 0.0
    with Original(arguments.python) as original:
        for (name, case), flags in itertools.product(cases.items(), itertools.product((1, 2), (1, 2))):
            theirs, mine = original(flags, *case), ours(flags, *case)
            errors = {
                part: float(np.max(np.abs(mine[part] - theirs[part])) / np.ptp(theirs[part])) for part in sorted(mine)
            }
            worst = max(worst, *errors.values())
            print(name, f"c_flag {flags[0]}, m_flag {flags[1]}:", {part: f"{e:.1e}" for part, e in errors.items()})
    print(f"largest difference {worst:.1e} of the predictions' spread, allowed {LIMIT:.0e}")
    raise SystemExit(not worst <= LIMIT)


if __name__ == "__main__":
    main()
