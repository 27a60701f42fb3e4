"""Priors, bounds and starting points of the hyperparameters, for points on [0, 1] and scores of variance 1.

Each hyperparameter (hyperparameters.py: logarithms, but for r) has a normal prior. The location of the length-scales grows with
log(D) / 2, so that D = 27 dimensions at n = 50 scores behave as well as D = 3 (Hvarfner, Hellsten, Nardi, ICML 2024). Theirs is
log-normal with location sqrt 2 + log(D) / 2 and spread sqrt 3, and they maximise over l. We maximise over log l, where the mode
would be e^3 times higher, so the location is shifted by -2.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.process.hyperparameters import FidelityScales, Hyperparameters, MaternScales
from search_paddle.gp_nas.process.kernels import Kernel

LENGTHSCALE_LOCATION, LENGTHSCALE_SPREAD = math.sqrt(2.0) - 2.5, math.sqrt(3.0)  # + log(D) / 2
NOISE_LOCATION, NOISE_FLOOR = -4.0, 1e-6  # of log s2 (BoTorch has -4, too), and of s2
TREND_VARIANCE = 3.0  # of all slopes together; a slope on [-1/2, 1/2] of variance v gives scores of variance v / 12
WARPING_SPREAD = 0.5  # of log w, about 0: no warping
RATIO_LOCATION, RATIO_SPREAD = -0.2, 0.5  # of r: 1 + r is a correlation, as spreads are made equal
DISCREPANCY_LOCATION = math.log(0.36)  # of log q: 1 - correlation^2


class Prior(NamedTuple):
    """A normal prior of one hyperparameter, the box that a fit stays in, and how far the second start is from the location."""

    location: float
    spread: float
    low: float
    high: float
    shift: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Priors:
    """The priors of all hyperparameters. Vectors are (h,), in the order of `Hyperparameters.pack`.

    Attributes:
        mode: the most probable hyperparameters, by name; also the form of all others of this kernel.
        location: the same as a vector.
        spread: standard deviations.
        low, high: the box that a fit stays in.
        smooth: an almost linear function with little noise.
    """

    mode: Hyperparameters
    location: Floats
    spread: Floats
    low: Floats
    high: Floats
    smooth: Floats

    def log_density(self, vector: Floats) -> tuple[float, Floats]:
        """Log prior without log(2 pi) / 2 for each hyperparameter, and its gradient, (h,)."""
        away = (vector - self.location) / self.spread
        return -0.5 * float(away @ away) - float(np.log(self.spread).sum()), -away / self.spread

    def starts(self) -> tuple[Floats, Floats]:
        """Where a fit begins: the mode of the prior, and the smooth function."""
        return self.location, self.smooth


def make_priors(kernel: Kernel) -> Priors:
    """The priors of a kernel's hyperparameters."""

    def vector(value: Callable[[Prior], float]) -> Floats:
        return _collect(kernel, value).pack()

    return Priors(
        mode=_collect(kernel, lambda prior: prior.location),
        location=vector(lambda prior: prior.location),
        spread=vector(lambda prior: prior.spread),
        low=vector(lambda prior: prior.low),
        high=vector(lambda prior: prior.high),
        smooth=vector(lambda prior: prior.location + prior.shift),
    )


def _collect(kernel: Kernel, value: Callable[[Prior], float]) -> Hyperparameters:
    """One figure of every prior."""
    slopes, count = max(len(kernel.linear.names) - 1, 1), len(kernel.materns)
    trend = math.log(TREND_VARIANCE / slopes)
    outputscale = value(Prior(-math.log(count), 1.0, -6.0, 4.0, 0.0))
    return Hyperparameters(
        log_noise=value(Prior(NOISE_LOCATION, 1.5, math.log(NOISE_FLOOR), 1.0, -2.0)),
        log_trend=value(Prior(trend, 1.5, -12.0, 3.0, 2.0)),
        log_warping=value(Prior(0.0, WARPING_SPREAD, -2.0, 2.0, 0.0)),
        materns=tuple(
            MaternScales(
                log_outputscale=outputscale,
                log_lengthscales=np.full(matern.group.dimensions, value(_lengthscale(matern.group.dimensions))),
            )
            for matern in kernel.materns
        ),
        fidelity=_fidelity(value) if kernel.has_fidelity else None,
    )


def _lengthscale(dimensions: int) -> Prior:
    location = LENGTHSCALE_LOCATION + 0.5 * math.log(max(dimensions, 1))
    return Prior(location, LENGTHSCALE_SPREAD, -3.0, 4.0, 1.0)


def _fidelity(value: Callable[[Prior], float]) -> FidelityScales:
    discrepancy = Prior(DISCREPANCY_LOCATION, 1.5, math.log(1e-4), math.log(1e2), 0.0)
    return FidelityScales(
        ratio=value(Prior(RATIO_LOCATION, RATIO_SPREAD, -2.0, 2.0, 0.0)),
        log_discrepancy=value(discrepancy),
        log_checkpoint_noise=value(Prior(NOISE_LOCATION, 1.5, math.log(NOISE_FLOOR), 1.0, 0.0)),
    )
