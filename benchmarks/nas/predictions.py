"""Prediction from a few random trainings: Kendall tau and coverage of 95 % intervals on unseen architectures, paired draws."""

import itertools
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from benchmarks.nas.ledger import Ledger
from benchmarks.nas.packages import fit_botorch
from benchmarks.nas.tables import Table, read_table
from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.paddleslim import PaddleSlimGPNAS

SIZES = (25, 50, 100)
DRAWS = 10  # of the first MAIN cases; half as many of the others
MAIN = 4
HELD_OUT = 1000
WIDTH = 1.959963984540054  # half of a 95 % interval, in standard deviations
OURS = "ours"
FIELDS = ("table", "metric", "size", "draw", "model", "version")
CASES = (  # folder, file, metric
    ("nats_sss", None, "C100"),
    ("nas_bench_macro", None, "acc"),
    ("channel_bench_resnet", None, "acc"),
    ("nas_bench_mr", None, "seg_mIoU"),
    ("nas_bench_mr", None, "seg_4x_mIoU"),
    ("nas_bench_mr", None, "cls_50_1000_top1"),
    ("nas_bench_mr", None, "cls_50_100_top1"),
    ("nas_bench_mr", None, "cls_10c_top1"),
    ("hat_latency", "wmt14ende_cpu_raspberrypi", "latency_mean_encoder"),
    ("hat_latency", "wmt14ende_cpu_raspberrypi", "latency_mean_decoder"),
    ("hat_latency", "wmt14ende_gpu_titanxp", "latency_mean_encoder"),
    ("hat_latency", "wmt14ende_gpu_titanxp", "latency_mean_decoder"),
    ("paddleslim_cvpr21_track2", "stage1", "acc"),
)

Prediction = tuple[np.ndarray, np.ndarray | None]  # mean and std of the score of one training


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draw:
    """Random rows of a table: trained ones with their scores, and held-out ones."""

    table: Table
    known: np.ndarray
    held: np.ndarray
    scores: np.ndarray
    seed: int

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        """Codes scaled to [0, 1]."""
        return self.table.codes[rows] / np.maximum(np.array(self.table.space.branches[0].sizes) - 1, 1)


def make_draw(table: Table, metric: str, size: int, seed: int) -> Draw:
    """The draw of a seed; larger ones of the same seed contain the smaller."""
    order = np.random.default_rng([seed, 2022]).permutation(len(table.codes))
    known, held = order[:size], order[max(SIZES) : max(SIZES) + HELD_OUT]
    return Draw(table=table, known=known, held=held, scores=table.columns[metric][known], seed=seed)


def paddleslim(draw: Draw) -> Prediction:
    tokens = draw.table.codes
    model = PaddleSlimGPNAS().initial_mean(tokens[draw.known], draw.scores)
    return model.predict_joint(tokens[draw.held], tokens[draw.known], draw.scores), None


def ridge(draw: Draw) -> Prediction:
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=np.logspace(-3, 3, 13)).fit(draw.inputs(draw.known), draw.scores)
    return model.predict(draw.inputs(draw.held)), None


def extra_trees(draw: Draw) -> Prediction:
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(300, random_state=draw.seed).fit(draw.inputs(draw.known), draw.scores)
    each = np.array([tree.predict(draw.inputs(draw.held).astype(np.float32)) for tree in model.estimators_])
    return each.mean(axis=0), each.std(axis=0)


def sklearn_process(draw: Draw) -> Prediction:
    """ARD Matern 5/2 with noise, largest marginal likelihood of two starts."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengths = np.ones(draw.table.codes.shape[1])
    kernel = ConstantKernel() * Matern(lengths, nu=2.5) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=draw.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(draw.inputs(draw.known), draw.scores).predict(draw.inputs(draw.held), return_std=True)


def botorch_process(draw: Draw) -> Prediction:
    import torch

    scores = torch.tensor(draw.scores)[:, None]
    model = fit_botorch(torch.tensor(draw.inputs(draw.known)), scores, draw.seed)
    with torch.no_grad():
        posterior = model.posterior(torch.tensor(draw.inputs(draw.held)), observation_noise=True)
        return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()


def ours(draw: Draw) -> Prediction:
    space, indices = draw.table.space, draw.table.indices
    sampler = GPNAS(space, seed=draw.seed)
    sampler.tell([space.point(indices[row]) for row in draw.known], draw.scores.tolist())
    return sampler.predict([space.point(indices[row]) for row in draw.held])


MODELS: Mapping[str, Callable[[Draw], Prediction]] = {
    "ps": paddleslim,
    "ridge": ridge,
    "ExtraTrees": extra_trees,
    "sklearn GP": sklearn_process,
    "BoTorch GP": botorch_process,
    OURS: ours,
}


def judge(draw: Draw, metric: str, prediction: Prediction) -> dict[str, float | None]:
    """Kendall tau-b, and the share of held-out scores inside the 95 % interval (None: no std)."""
    truth, (mean, std) = draw.table.columns[metric][draw.held], prediction
    tau = float(kendalltau(mean, truth).statistic)
    coverage = None if std is None else float(np.mean(np.abs(truth - mean) <= WIDTH * std))
    return {"tau": tau if np.isfinite(tau) else 0.0, "coverage": coverage}


def run_predictions(data: Path, ledger: Ledger, names: list[str], draws: int, version: str) -> None:
    """All predictions that the ledger lacks, draw by draw."""
    tables = {(folder, file): read_table(data, folder, file) for folder, file, _ in CASES}
    for number, place, size in itertools.product(range(draws), range(len(CASES)), SIZES):
        folder, file, metric = CASES[place]
        table = tables[folder, file]
        if place >= MAIN and 2 * number >= draws:
            continue
        for name in names:
            key = {"table": table.name, "metric": metric, "size": size, "draw": number, "model": name}
            key["version"] = version if name == OURS else ""
            if not ledger.has(**key):
                draw, start = make_draw(table, metric, size, number), time.process_time()
                prediction = MODELS[name](draw)
                cpu = round(time.process_time() - start, 3)
                ledger.add({**key, **judge(draw, metric, prediction), "cpu_s": cpu})
        print(f"predictions: draw {number}, {table.name} {metric}, {size} trainings", flush=True)
