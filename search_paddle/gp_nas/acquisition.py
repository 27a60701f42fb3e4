"""What a proposal is worth: the logarithm of the expected improvement, exact far into the tail."""

from collections.abc import Sequence

import numpy as np
from scipy.special import erfcx, logsumexp, ndtr

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.success import Success
from search_paddle.gp_nas.surrogate import Component

DECIMALS = 9  # acquisition values are compared after rounding: rounding errors decide nothing
LOG_SQRT_TAU = 0.5 * np.log(2.0 * np.pi)


class Improvement:
    """Logarithm of the expected improvement under averaged processes, in the score's unit, as a function of points' codes.

    Each component measures it on its own warped scale, against the best score, and turns it into scores by the warp's slope.
    What the process calls noise counts as part of an architecture's worth: in one training nothing tells the two apart. So where
    the mean is known as well as noise allows, the largest means win, not the points known least: on smooth spaces nothing beats
    that. A failed training improves nothing: the expectation is times the probability of success.

    Args:
        components: heaviest first; pending points are believed.
        success: the model of failures.
    """

    def __init__(self, components: Sequence[Component], success: Success) -> None:
        self._components, self._success = components, success
        observed = [component.posterior.observations for component in components]
        self._best = [float(np.max(each.values[each.short == 0.0])) for each in observed]  # of the longest trainings

    def __call__(self, codes: Codes) -> Floats:
        """Of each point, (m,)."""
        values = [self._of(number, codes) for number in range(len(self._components))]
        total: Floats = logsumexp(values, axis=0) + np.log(self._success.probability(codes))
        return total

    def first(self, codes: Codes) -> Floats:
        """By the heaviest component alone, (m,): nearly the same order, in a fraction of the time."""
        values: Floats = self._of(0, codes) + np.log(self._success.probability(codes))
        return values

    def _of(self, number: int, codes: Codes) -> Floats:
        component = self._components[number]
        mean, variance = component.posterior.predict(codes)
        values = log_expected_improvement(mean, np.sqrt(variance + component.posterior.noise), self._best[number])
        values += np.log(component.weight * component.warp.rise)
        return values


def log_expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """Logarithm of E[max(f - best, 0)] for f ~ N(mean, std^2).

        log std + log h(u),  h(u) = phi(u) + u Phi(u),  u = (mean - best) / std

    The two terms of h cancel for u << 0, and the plain form is -inf below u = -38. There log h = log phi(u) + log r(u) with
    r(u) = 1 + u Phi(u) / phi(u): by erfcx down to -50 (Ament et al., Unexpected Improvements to Expected Improvement, NeurIPS
    2023; botorch/acquisition/analytic.py), below by its series u^-2 (1 - 3 u^-2 + 15 u^-4 - ...), which is exact there.

    Args:
        mean: (m,), of the latent score.
        std: (m,), positive.
        best: the score to improve on.

    Returns:
        (m,), finite.
    """
    u = (mean - best) / std
    tail = -0.5 * u**2 - LOG_SQRT_TAU + np.where(u < -50.0, _log_r_series(u), _log_r(u))
    values: Floats = np.log(std) + np.where(u > -1.0, _log_h(u), tail)
    return values


def _log_h(u: Floats) -> Floats:
    u = np.maximum(u, -1.0)
    values: Floats = np.log(np.exp(-0.5 * u**2 - LOG_SQRT_TAU) + u * ndtr(u))
    return values


def _log_r(u: Floats) -> Floats:
    """log(1 - x), x = |u| sqrt(pi/2) erfcx(|u| / sqrt 2) < 1, for -50 <= u <= -1."""
    u = np.clip(u, -50.0, -1.0)
    values: Floats = np.log1p(u * np.sqrt(0.5 * np.pi) * erfcx(-u / np.sqrt(2.0)))
    return values


def _log_r_series(u: Floats) -> Floats:
    inverse = np.minimum(u, -50.0) ** -2.0
    values: Floats = np.log(inverse) + np.log1p(inverse * (-3.0 + inverse * (15.0 - 105.0 * inverse)))
    return values
