"""What a proposal is worth: the logarithm of the expected improvement, exact far into the tail."""

import numpy as np
from scipy.special import erfcx, ndtr

from search_paddle.gp_nas.encoding import Floats

DECIMALS = 9  # acquisition values are compared after rounding: rounding errors decide nothing
LOG_SQRT_TAU = 0.5 * np.log(2.0 * np.pi)


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
