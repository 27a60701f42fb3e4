r"""Which architectures to train before anything is known: mutual-information design.

From a pool V choose A to maximise I(f_A; f_V\A). Greedily, within 1 - 1/e of the best up to discretisation:

    next = argmax_x  log var(x | A) - log var(x | V \ (A u x))

(Krause, Singh, Guestrin, JMLR 2008; the sampling of the GP-NAS paper.) Choosing by var(x | A) alone goes to the rim of the space,
which tells nothing about the rest. Variances are of trainings, noise included. With R the inverse of the noisy covariance of the
rest of the pool, var(x | rest without x) = 1 / R_xx.
"""

import numpy as np
from scipy.linalg import solve_triangular

from search_paddle.gp_nas.encoding import Floats
from search_paddle.gp_nas.process.factor import factorise, inverse
from shared.space import SearchSpace
from shared.space.dimensions import draw

POOL = 512  # points that the design chooses from


def gains(covariance: Floats, chosen: int, noise: float) -> Floats:
    """The criterion for every point, given the chosen ones.

    Args:
        covariance: of the latent scores of all points under the prior, (m, m); A comes first.
        chosen: number of points in A.
        noise: variance of one training, positive.

    Returns:
        (m,); -inf at the points of A.
    """
    noisy = covariance + noise * np.eye(len(covariance))
    within, across, rest = noisy[:chosen, :chosen], noisy[:chosen, chosen:], noisy[chosen:, chosen:]
    whitened = solve_triangular(factorise(within), across, lower=True)
    given_chosen = np.diag(rest) - np.sum(whitened**2, axis=0)
    given_rest = 1.0 / np.diag(inverse(factorise(rest)))
    return np.concatenate([np.full(chosen, -np.inf), np.log(given_chosen) - np.log(given_rest)])


def design_pool(space: SearchSpace, rng: np.random.Generator) -> set[int]:
    """Numbers of at most POOL points: all of a family, or, if it is large, an equal number of random ones of each."""
    count = POOL // len(space.branches)
    pool: set[int] = set()
    for branch, offset in zip(space.branches, space.offsets, strict=True):
        drawn = range(branch.size) if branch.size <= count else draw(rng, branch.size, count)
        pool.update(offset + number for number in drawn)
    return pool
