"""Priors, bounds and starting points of the kernel's hyperparameters, for points on [0, 1] and scores of variance 1.

Each hyperparameter (kernels.py: logarithms, but for the bend and r) is normal. The length-scales' location grows with log(D) / 2,
so that D = 27 at n = 50 behaves as well as D = 3 (Hvarfner, Hellsten, Nardi, ICML 2024). Theirs is log-normal with location
sqrt 2 + log(D)/2 and spread sqrt 3, maximised over l; we maximise over log l, where the mode would lie e^3 times higher, so the
location is shifted back (by 2.5).
"""

import math
from dataclasses import dataclass

import numpy as np

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.fidelity import CHANGE, RATIO, WAVER
from search_paddle.gp_nas.kernels import BEND, NOISE, TREND, Kernel

LENGTH_LOCATION, LENGTH_SPREAD = math.sqrt(2.0) - 2.5, math.sqrt(3.0)  # + log(D) / 2
NOISE_LOCATION, NOISE_FLOOR = -4.0, 1e-6  # of log s2 (BoTorch has -4, too), and of s2
TREND_VARIANCE = 3.0  # of all slopes together; a slope on [-1/2, 1/2] of variance v gives scores of variance v / 12
BEND_SPREAD = 0.5  # about 0, a straight axis
RATIO_LOCATION, RATIO_SPREAD = -0.2, 0.5  # of r: 1 + r is a correlation, as spreads are made equal
CHANGE_LOCATION = math.log(0.36)  # of log q: 1 - correlation^2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Priors:
    """Normal priors on the logarithms, and the box that a fit stays in; all (h,)."""

    location: Floats
    spread: Floats
    low: Floats
    high: Floats
    smooth: Floats

    def log_density(self, theta: Floats) -> tuple[float, Floats]:
        """Log prior without log(2 pi) / 2 for each hyperparameter, and its gradient."""
        away = (theta - self.location) / self.spread
        return -0.5 * float(away @ away) - float(np.log(self.spread).sum()), -away / self.spread

    def starts(self) -> tuple[Floats, Floats]:
        """Where a fit begins: the mode of the prior, and an almost linear function with little noise."""
        return self.location, self.smooth


def make_priors(kernel: Kernel) -> Priors:
    """The priors of a kernel's hyperparameters."""
    location, spread, low, high, smooth = (np.empty(kernel.size) for _ in range(5))

    def put(place: int | slice, centre: float, width: float, box: tuple[float, float], shift: float) -> None:
        location[place], spread[place], (low[place], high[place]), smooth[place] = centre, width, box, centre + shift

    slopes = max(len(kernel.features) - 1, 1)
    put(NOISE, NOISE_LOCATION, 1.5, (math.log(NOISE_FLOOR), 1.0), -2.0)
    put(TREND, math.log(TREND_VARIANCE / slopes), 1.5, (-12.0, 3.0), 2.0)
    put(BEND, 0.0, BEND_SPREAD, (-2.0, 2.0), 0.0)
    for term in kernel.terms:
        put(term.start, -math.log(len(kernel.terms)), 1.0, (-6.0, 4.0), 0.0)
        put(term.lengths, LENGTH_LOCATION + 0.5 * math.log(max(term.dimensions, 1)), LENGTH_SPREAD, (-3.0, 4.0), 1.0)
    if kernel.has_short:
        put(RATIO, RATIO_LOCATION, RATIO_SPREAD, (-2.0, 2.0), 0.0)
        put(CHANGE, CHANGE_LOCATION, 1.5, (math.log(1e-4), math.log(1e2)), 0.0)
        put(WAVER, NOISE_LOCATION, 1.5, (math.log(NOISE_FLOOR), 1.0), 0.0)
    return Priors(location=location, spread=spread, low=low, high=high, smooth=smooth)
