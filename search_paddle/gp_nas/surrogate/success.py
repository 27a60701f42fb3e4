"""Will a training succeed? A Gaussian process on 1 (it succeeded) and 0 (it failed), apart from the model of scores.

A failure has no score, and a made-up bad score would distort the model of all others. But a failure says that its neighbours may
fail, too. The kernel is that of the scores, its hyperparameters at the prior's mode, since there are few failures to learn from.
The noise is large: half of a label's variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.posterior import Posterior, make_posterior
from search_paddle.gp_nas.process.priors import make_priors
from search_paddle.gp_nas.surrogate.evaluations import Evaluation, succeeded

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


def make_success(encoding: Encoding, evaluations: Sequence[Evaluation]) -> Success:
    """The model of evaluations. A point succeeded if one of its longest trainings gave a score."""
    known = sorted(succeeded(evaluations).items())
    failed = np.array([not success for _, success in known], dtype=bool)
    rate = (float(np.sum(~failed)) + 1.0) / (len(failed) + 2.0) if failed.any() else 1.0
    observed = Observations(
        codes=encoding.codes([point for point, _ in known]),
        values=(np.where(failed, 0.0, 1.0) - rate) / _label_std(rate),
        repeats=np.ones(len(failed)),
        gap=np.zeros(len(failed)),
    )
    kernel = make_kernel(encoding)
    hyper = replace(make_priors(kernel).mode, log_noise=float(np.log(LABEL_NOISE)))
    return Success(rate=rate, posterior=make_posterior(kernel, hyper, observed))


def _label_std(rate: float) -> float:
    return float(np.sqrt(rate * (1.0 - rate))) or 1.0
