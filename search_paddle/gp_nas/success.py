"""Will a training succeed? A Gaussian process on 1 (it did) and 0 (it failed), apart from the model of scores.

A failure is no score, and a bad score in its place would bend the model of all others; it says that its neighbours may fail, too.
The kernel is that of the scores, its hyperparameters at the prior's mode, since there are few failures to learn from, and the
noise is large: half of a label's variance is luck.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.gp import Observations, Posterior, make_posterior
from search_paddle.gp_nas.kernels import NOISE, Kernel
from search_paddle.gp_nas.priors import Priors

LUCK = 0.5  # noise variance, of a label's
LIMITS = (0.01, 1.0)  # of the probability: a linear model of labels can leave [0, 1]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Success:
    """The model.

    Attributes:
        rate: of success in the whole space; 1 without failures.
        posterior: of (label - rate) / std of a label.
    """

    rate: float
    posterior: Posterior

    def probability(self, codes: Codes) -> Floats:
        """Probability that a training of each point succeeds, (m,), in LIMITS; 1 as long as none failed."""
        if self.rate == 1.0:
            return np.ones(len(codes))
        return np.clip(self.rate + _label_std(self.rate) * self.posterior.mean(codes), *LIMITS)


def make_success(kernel: Kernel, priors: Priors, codes: Codes, failed: NDArray[np.bool_]) -> Success:
    """The model of trained points and whether each failed, (n,)."""
    theta = priors.location.copy()
    theta[NOISE] = np.log(LUCK)
    rate = (float(np.sum(~failed)) + 1.0) / (len(failed) + 2.0) if failed.any() else 1.0
    values = (np.where(failed, 0.0, 1.0) - rate) / _label_std(rate)
    ones = np.ones(len(failed))
    observed = Observations(codes=codes, values=values, repeats=ones, short=np.zeros(len(failed)))
    return Success(rate=rate, posterior=make_posterior(kernel, theta, observed))


def _label_std(rate: float) -> float:
    return float(np.sqrt(rate * (1.0 - rate))) or 1.0
