"""Will a training succeed? A Gaussian process on 1 (it succeeded) and 0 (it failed), apart from the model of scores.

A failure has no score, and a made-up bad score would distort the model of all others. But a failure says that its neighbours may
fail, too. The kernel is that of the scores, its hyperparameters at the prior's mode, since there are few failures to learn from.
The noise is large: half of a label's variance.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.kernels import Kernel
from search_paddle.gp_nas.process.posterior import Posterior, make_posterior
from search_paddle.gp_nas.process.priors import Priors

LABEL_NOISE = 0.5  # variance, of a label's
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
    """The model of trained points.

    Args:
        kernel: of the scores' process.
        priors: of that kernel.
        codes: of n points, (n, columns).
        failed: whether each failed, (n,).
    """
    hyper = replace(priors.mode, log_noise=float(np.log(LABEL_NOISE)))
    rate = (float(np.sum(~failed)) + 1.0) / (len(failed) + 2.0) if failed.any() else 1.0
    values = (np.where(failed, 0.0, 1.0) - rate) / _label_std(rate)
    ones = np.ones(len(failed))
    observed = Observations(codes=codes, values=values, repeats=ones, gap=np.zeros(len(failed)))
    return Success(rate=rate, posterior=make_posterior(kernel, hyper, observed))


def _label_std(rate: float) -> float:
    return float(np.sqrt(rate * (1.0 - rate))) or 1.0
