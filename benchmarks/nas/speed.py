"""Processor time of a fit, of predictions, of one more training and of a proposal: ours and the peer in turn in one run.

    .venv-peers/bin/python -m benchmarks.nas.speed --python .venv-paddleslim/bin/python

The published PaddleSlim class runs in a worker of its own environment and is timed there. One thread.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cholesky
from threadpoolctl import threadpool_limits

from benchmarks.nas.paddleslim_original import PYTHON, Original
from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations, assemble
from search_paddle.gp_nas.process.posterior import make_posterior
from search_paddle.gp_nas.surrogate.condition import make_surrogate
from search_paddle.gp_nas.surrogate.evaluations import Evaluation
from shared.space import SearchSpace

TRAININGS = 500
CANDIDATES = 10_000
ROUNDS = 3
PROPOSALS = 4  # of a round
SPACES = {"5 dimensions of 64": (5, 64), "9 dimensions of 10": (9, 10)}  # 1.07e9 and 1e9 points

Pairs = list[tuple[float, float]]  # seconds: ours, the peer's


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Processor seconds of one call, the mean of several."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def row(what: str, peer: str, pairs: Pairs, **more: Any) -> dict[str, Any]:
    """Medians of both, and the median, smallest and largest ratio of a round."""
    ours, theirs = np.array(pairs).T
    ratios = theirs / ours
    return {
        "what": what,
        "peer": peer,
        "ours_s": float(np.median(ours)),
        "peer_s": float(np.median(theirs)),
        "ratio": float(np.median(ratios)),
        "ratio_range": [float(ratios.min()), float(ratios.max())],
        **more,
    }


def make_space(dimensions: int, choices: int) -> SearchSpace:
    return SearchSpace.from_choices({f"x{place}": list(range(choices)) for place in range(dimensions)})


def random_trainings(space: SearchSpace, choices: int, count: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Different random points: numbers, codes (n, d), and scores: smooth, saturating, one interaction, some noise."""
    rng = np.random.default_rng(7)
    indices = list(dict.fromkeys(space.sample_indices(rng, 2 * count)))[:count]
    codes = np.array([space.digits(index)[1] for index in indices])
    x = codes / (choices - 1)
    noise = 0.02 * rng.standard_normal(count)
    return indices, codes, np.sqrt(x).sum(axis=1) - 2 * (x[:, 0] - x[:, 1]) ** 2 + noise


def measure_process(python: Path) -> list[dict[str, Any]]:
    """Fit, mean and append in 5 dimensions.

    PaddleSlim's hyperparameters are constants, so our fit is the posterior under given ones; learning them is a row of its own.
    """
    dimensions, choices = SPACES["5 dimensions of 64"]
    space = make_space(dimensions, choices)
    indices, codes, scores = random_trainings(space, choices, TRAININGS + 1 + CANDIDATES)
    encoding, new = make_encoding(space), slice(TRAININGS + 1, None)
    known = list(map(Evaluation, indices, scores.tolist()))[:TRAININGS]
    learning = [seconds(lambda: make_surrogate(encoding, known)) for _ in range(2)]
    posterior = make_surrogate(encoding, known).components[0].posterior
    candidates = encoding.codes(indices[new])
    data, pairs = (codes[:TRAININGS], scores[:TRAININGS]), {"fit": [], "mean": []}
    with Original(python) as original:
        for _ in range(ROUNDS):
            theirs = original((2, 2), data, [data], data, codes[new])
            fit = seconds(lambda: make_posterior(posterior.kernel, posterior.hyper, posterior.observations), 5)
            pairs["fit"].append((fit, theirs["fit_s"]))
            pairs["mean"].append((seconds(lambda: posterior.mean(candidates), 3), theirs["mean_s"]))
    return [
        row(f"fit at {TRAININGS} with given hyperparameters", "PaddleSlim", pairs["fit"]),
        row(f"mean of {CANDIDATES} candidates at {TRAININGS}", "PaddleSlim", pairs["mean"]),
        {"what": f"learning the hyperparameters at {TRAININGS}", "ours_s": float(np.median(learning))},
        *measure_append(posterior, encoding.codes(indices[TRAININGS : TRAININGS + 1]), candidates),
    ]


def measure_append(posterior: Any, codes: np.ndarray, candidates: np.ndarray) -> list[dict[str, Any]]:
    """One training more: the factor alone, and the whole posterior, against a new factor and a new posterior."""
    one = Observations(codes=codes, values=np.ones(1), repeats=np.ones(1), gap=np.zeros(1))
    joined = posterior.observations.joined(one)
    points = posterior.kernel.embed(posterior.hyper, joined.codes)
    covariance = assemble(posterior.kernel, posterior.hyper, joined, points)
    cross, variance = np.ascontiguousarray(covariance[-1, :-1]), float(covariance[-1, -1])
    factors: Pairs = []
    wholes: Pairs = []
    for _ in range(ROUNDS):
        grown = seconds(lambda: posterior.factor.appended(cross, variance), 200)
        factors.append((grown, seconds(lambda: cholesky(covariance, lower=True), 20)))
        grown = seconds(lambda: posterior.appended(one), 100)
        wholes.append((grown, seconds(lambda: make_posterior(posterior.kernel, posterior.hyper, joined), 10)))
    grown, afresh = posterior.appended(one), make_posterior(posterior.kernel, posterior.hyper, joined)
    difference = max(
        float(np.max(np.abs(left - right)))
        for left, right in zip(grown.predict(candidates), afresh.predict(candidates), strict=True)
    )
    return [
        row(f"one training more at {TRAININGS}: the factor", "a new Cholesky factor", factors),
        row(
            f"one training more at {TRAININGS}: the posterior", "a new posterior", wholes, largest_difference=difference
        ),
    ]


def measure_proposals(name: str) -> dict[str, Any]:
    """Ask and tell in turn after 500 trainings, hyperparameters learnt again as often as each package does by default.

    The very first proposal, which begins with what was told, stands apart.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    dimensions, choices = SPACES[name]
    space = make_space(dimensions, choices)
    indices, codes, scores = random_trainings(space, choices, TRAININGS + ROUNDS * PROPOSALS)
    distributions = {f"x{place}": optuna.distributions.IntDistribution(0, choices - 1) for place in range(dimensions)}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.GPSampler(seed=0))
    for code, value in zip(codes[:TRAININGS].tolist(), scores[:TRAININGS], strict=True):
        params = dict(zip(distributions, code, strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
    sampler = GPNAS(space, seed=0)
    sampler.tell([space.point(index) for index in indices[:TRAININGS]], scores[:TRAININGS].tolist())
    first = (seconds(lambda: sampler.ask(1)), seconds(lambda: study.ask(distributions)))
    pairs: Pairs = []

    def propose(values: np.ndarray) -> None:
        for value in values:
            sampler.tell(sampler.ask(1), [value])

    def propose_theirs(values: np.ndarray) -> None:
        for value in values:
            study.tell(study.ask(distributions), value)

    for start in range(TRAININGS, TRAININGS + ROUNDS * PROPOSALS, PROPOSALS):
        values = scores[start : start + PROPOSALS]
        ours = seconds(lambda values=values: propose(values)) / PROPOSALS
        pairs.append((ours, seconds(lambda values=values: propose_theirs(values)) / PROPOSALS))
    what = f"one proposal after {TRAININGS}, {name}"
    return row(what, "GPSampler", pairs, first_ours_s=first[0], first_peer_s=first[1])


def measure(python: Path) -> list[dict[str, Any]]:
    """All rows."""
    with threadpool_limits(1):
        return [*measure_process(python), *(measure_proposals(name) for name in SPACES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the environment with paddleslim")
    for figures in measure(parser.parse_args().python):
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
