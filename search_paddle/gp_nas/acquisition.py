"""Acquisition functions: what a training of a point is worth before it is done. candidates.py maximises them.

An acquisition says what a normal predicted score is worth; `Acquisition` averages this over the processes of a surrogate and
multiplies it by the probability that the training succeeds. To add one: a class here, its row in ACQUISITIONS, a test.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp, ndtr

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.surrogate.predict import Component
from search_paddle.gp_nas.surrogate.success import Success

DECIMALS = 9  # acquisition values are compared after rounding: rounding errors decide nothing
LOG_SQRT_TAU = 0.5 * np.log(2.0 * np.pi)


class Acquisition(ABC):
    """Logarithm of an expected utility, a function of the codes of points; the larger the better.

        log P(success) + log sum_i w_i c_i U(mean_i, std_i, best_i)

    over the components i of the surrogate: w its weight, U the utility on the warped scale, c = dy/dz, the slope of the score
    above the best one, if U is in the unit of the score, else 1. A failed training has no utility.

    The std includes the noise of one training: in one training nothing separates noise from an architecture's own worth. So where
    the mean is known as well as the noise allows, the largest means win, not the points known least. On smooth spaces nothing is
    better than that.

    Args:
        components: heaviest first, with fantasies for pending points.
        success: the model of failures.
    """

    has_unit: ClassVar[bool]  # whether the utility is in the unit of the score

    def __init__(self, components: Sequence[Component], success: Success) -> None:
        self._components, self._success = components, success
        observed = [component.posterior.observations for component in components]
        self._best = [float(np.max(each.values[each.is_highest])) for each in observed]

    @staticmethod
    @abstractmethod
    def log_utility(mean: Floats, std: Floats, best: float) -> Floats:
        """Logarithm of the utility of a score ~ N(mean, std^2).

        Args:
            mean: (m,).
            std: (m,), positive.
            best: the best score so far, of the highest fidelity.

        Returns:
            (m,), finite.
        """

    def __call__(self, codes: Codes) -> Floats:
        """Of each point (m, columns), (m,)."""
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
        values = self.log_utility(mean, np.sqrt(variance + component.posterior.noise), self._best[number])
        values += np.log(component.weight * (component.warping.rise if self.has_unit else 1.0))
        return values


class LogExpectedImprovement(Acquisition):
    """log E[max(f - best, 0)] (Mockus 1975; Jones, Schonlau, Welch, J. Global Optimization 13, 1998), the default.

    Example:
        >>> LogExpectedImprovement.log_utility(np.array([0.0]), np.array([1.0]), 0.0).round(4)  # log(1 / sqrt(2 pi))
        array([-0.9189])
    """

    has_unit = True

    @staticmethod
    def log_utility(mean: Floats, std: Floats, best: float) -> Floats:
        """`log_expected_improvement`; arguments as in `Acquisition.log_utility`."""
        return log_expected_improvement(mean, std, best)


class LogProbabilityOfImprovement(Acquisition):
    """log P(f > best) = log Phi((mean - best) / std) (Kushner, J. Basic Engineering 86, 1964): it exploits more.

    Example:
        >>> LogProbabilityOfImprovement.log_utility(np.array([0.0]), np.array([1.0]), 0.0).round(4)  # log(1 / 2)
        array([-0.6931])
    """

    has_unit = False

    @staticmethod
    def log_utility(mean: Floats, std: Floats, best: float) -> Floats:
        """Log of the normal distribution function; arguments as in `Acquisition.log_utility`."""
        return np.asarray(log_ndtr((mean - best) / std))


ACQUISITIONS: Mapping[str, type[Acquisition]] = {
    "log_expected_improvement": LogExpectedImprovement,
    "log_probability_of_improvement": LogProbabilityOfImprovement,
}


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
