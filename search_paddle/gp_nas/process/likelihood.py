"""Learning the hyperparameters: the marginal likelihood with its exact gradient, the posterior density, and its maximum.

    W = alpha alpha' - C^-1, (n, n): twice the derivative of the log likelihood by the entries of C (other symbols: posterior.py)

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, equations 5.8 and 5.9.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg.lapack import dpotrs
from scipy.optimize import Bounds, minimize

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.process.covariance import DifferentiableCovariance, Observations
from search_paddle.gp_nas.process.factor import factorise, inverse
from search_paddle.gp_nas.process.hyperparameters import Hyperparameters
from search_paddle.gp_nas.process.kernels import Kernel
from search_paddle.gp_nas.process.priors import Priors

ITERATIONS = 60  # of L-BFGS; it usually ends after 12
TOLERANCE = 1e-6  # of the log density, relative: less than a thousandth of a nat
DECIMALS = 3  # hyperparameters are rounded, so that the last bits of another BLAS build cannot decide a proposal


class Likelihood:
    """log N(z | 0, C) and its gradient as a function of the hyperparameters."""

    def __init__(self, kernel: Kernel, observations: Observations) -> None:
        self._covariance, self._values = DifferentiableCovariance(kernel, observations), observations.values

    def __call__(self, hyper: Hyperparameters) -> tuple[float, Hyperparameters]:
        """Log marginal likelihood and its derivative by each hyperparameter."""
        values, (covariance, vjp) = self._values, self._covariance(hyper)
        factor = factorise(covariance)
        alpha = dpotrs(factor, values, lower=1)[0]
        log_determinant = 2.0 * np.log(np.diag(factor)).sum()
        value = -0.5 * (values @ alpha + log_determinant + len(values) * np.log(2.0 * np.pi))
        return float(value), vjp(np.outer(alpha, alpha) - inverse(factor))


class Density:
    """Log posterior density of the hyperparameters, but for a constant: log likelihood plus log prior. It takes a vector.

    This is the function that the optimiser climbs. So here vectors become hyperparameters by name, and gradients vectors.
    """

    def __init__(self, kernel: Kernel, priors: Priors, observations: Observations) -> None:
        self._likelihood, self._priors = Likelihood(kernel, observations), priors

    def __call__(self, vector: Floats) -> tuple[float, Floats]:
        """The density and its gradient, (h,), at a vector (h,)."""
        value, slope = self._likelihood(self._priors.mode.unpack(vector))
        prior, prior_slope = self._priors.log_density(vector)
        return value + prior, slope.pack() + prior_slope

    def precision(self, vector: Floats, step: float = 1e-3) -> Floats:
        """Minus the matrix of second derivatives, by differences of gradients; (h, h), symmetric."""
        here = self(vector)[1]
        rows: Floats = np.array([here - self(vector + step * axis)[1] for axis in np.eye(len(vector))]) / step
        symmetric: Floats = 0.5 * (rows + rows.T)
        return symmetric


def fit(density: Density, priors: Priors, starts: Sequence[Floats]) -> Floats:
    """The vector of largest posterior density that L-BFGS finds, (h,).

    Args:
        density: log posterior density and its gradient.
        priors: give the bounds.
        starts: vectors (h,), at least one.
    """
    box = Bounds(priors.low, priors.high)

    def loss(vector: Floats) -> tuple[float, Floats]:
        value, slope = density(vector)
        return -value, -slope

    ends = [
        minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": ITERATIONS, "ftol": TOLERANCE}
        )
        for start in starts
    ]
    best = min(ends, key=lambda end: round(float(end.fun), 6))
    return np.array([round(float(value), DECIMALS) for value in best.x])
