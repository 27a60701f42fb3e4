"""Fit: from scores to models, each with hyperparameters and a weight in the average. condition.py gives them all scores.

A model is an output warping and a smoothness of the kernel. laplace.py draws its hyperparameters.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from search_paddle.gp_nas.encoding import Encoding
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.hyperparameters import Hyperparameters
from search_paddle.gp_nas.process.kernels import Kernel, make_kernel
from search_paddle.gp_nas.process.laplace import Laplace, Mode, apportion, approximate, draw, find_mode
from search_paddle.gp_nas.process.matern import SMOOTHNESS
from search_paddle.gp_nas.process.priors import make_priors
from search_paddle.gp_nas.surrogate.evaluations import Evaluation, FidelityRange, by_row, observations
from search_paddle.gp_nas.surrogate.output_warping import FEWEST, MAPS, OutputWarping, warpings

COMPONENTS, FEWEST_COMPONENTS = (
    16,
    2,
)  # of the average: up to 100 scores, and with many, when hyperparameters are almost certain
HOPELESS = 9.0  # nats: such a model would have a ten-thousandth of the best one's weight
FITTED = 256  # scores that a fit uses at most, evenly spread over those told


class WeightedModel(NamedTuple):
    """A member of the average before it is conditioned on all scores.

    Attributes:
        warping: name of the output warping.
        kernel, hyper: of the process.
        weight: of its predictions; positive, of sum 1.
    """

    warping: str
    kernel: Kernel
    hyper: Hyperparameters
    weight: float


class _Evidence(NamedTuple):
    """An output warping's name, a process near its mode, and the evidence of both."""

    warping: str
    process: Laplace
    value: float


def fit_models(encoding: Encoding, evaluations: Sequence[Evaluation], fidelities: FidelityRange) -> list[WeightedModel]:
    """The average of models, heaviest first.

    Args:
        encoding: of the space.
        evaluations: with finite scores. None at all: the prior.
        fidelities: of all evaluations.
    """
    if not evaluations:
        kernel = make_kernel(encoding, SMOOTHNESS[-1])
        return [WeightedModel("identity", kernel, make_priors(kernel).mode, 1.0)]
    scores = by_row(_thinned(evaluations, fidelities))
    observed = observations(encoding, sorted(scores), scores, fidelities)
    found = _evidences(encoding, observed)
    highest = observed.is_highest
    if fidelities.has_low and min(highest.sum(), (~highest).sum()) >= FEWEST:
        found += _apart(encoding, observed)
    points = len({each.point for each in evaluations})
    return _drawn(found, min(max(100 * COMPONENTS // points, FEWEST_COMPONENTS), COMPONENTS))


def _drawn(found: Sequence[_Evidence], size: int) -> list[WeightedModel]:
    """So many models with hyperparameters drawn, heaviest first."""
    evidences = np.array([each.value for each in found])
    models = []
    for each, count in zip(found, apportion(evidences.tolist(), size), strict=True):
        if count:
            hypers, weights = draw(each.process, count)
            weights = weights * np.exp(each.value - evidences.max())
            kernel = each.process.mode.kernel
            models += [
                WeightedModel(each.warping, kernel, *pair) for pair in zip(hypers, weights.tolist(), strict=True)
            ]
    total = sum(model.weight for model in models)
    return sorted((model._replace(weight=model.weight / total) for model in models), key=lambda model: -model.weight)


def _thinned(evaluations: Sequence[Evaluation], fidelities: FidelityRange) -> list[Evaluation]:
    """Evaluations of FITTED rows or fewer: all of evenly spread points, first those of the highest fidelity, then the others."""
    scored = {point for point, _, steps in evaluations if steps == fidelities.highest}
    points = sorted(dict.fromkeys(each.point for each in evaluations), key=lambda point: point not in scored)
    count = max(len(points) * FITTED // max(len(evaluations), FITTED), 1)
    kept = {points[place] for place in np.linspace(0, len(points) - 1, count).round().astype(int)}
    return [each for each in evaluations if each.point in kept]


def _apart(encoding: Encoding, observed: Observations) -> list[_Evidence]:
    """Models of the highest fidelity alone. Low fidelities have models of their own, which only count for the evidence.

    So if the two have nothing in common (values, length-scales, noise), the cheap scores do no harm.
    """
    highest, rest = observed.rows(observed.is_highest), observed.rows(~observed.is_highest)
    gap = rest.gap - rest.gap.min()
    others = _evidences(encoding, replace(rest, gap=gap / max(float(gap.max()), 1e-300)))
    bonus = float(logsumexp([each.value for each in others])) - float(np.log(len(SMOOTHNESS) * len(MAPS)))
    return [each._replace(value=each.value + bonus) for each in _evidences(encoding, highest)]


def _evidences(encoding: Encoding, observed: Observations) -> list[_Evidence]:
    """The models worth a draw; observed: values are scores.

    A model HOPELESS nats below the best is left: neither its warping is tried with the other kernels, nor its curvature computed.
    """
    has_fidelity = bool(observed.gap.any())
    kernels = [make_kernel(encoding, smoothness, has_fidelity=has_fidelity) for smoothness in reversed(SMOOTHNESS)]

    def near_the_best(modes: list[tuple[OutputWarping, Mode]]) -> list[tuple[OutputWarping, Mode]]:
        heights = [mode.height + each.log_evidence for each, mode in modes]
        return [pair for pair, height in zip(modes, heights, strict=True) if height > max(heights) - HOPELESS]

    def mode_of(kernel: Kernel, each: OutputWarping, near: Mode | None = None) -> tuple[OutputWarping, Mode]:
        return each, find_mode(kernel, replace(observed, values=each.values), near)

    modes = near_the_best([mode_of(kernels[0], each) for each in warpings(observed.values)])
    modes += [mode_of(kernel, each, mode) for kernel in kernels[1:] for each, mode in modes]
    found = [(each, approximate(mode)) for each, mode in near_the_best(modes)]
    return [_Evidence(each.name, process, process.evidence + each.log_evidence) for each, process in found]
