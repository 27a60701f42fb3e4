"""Ensemble weights with the least squared error, from the covariance of the members' errors. NumPy only: both stages use it.

The mean squared error of an ensemble Σ w_i x_i is wᵀEw, where E is the error covariance of its members (the mean over pixels of
the product of two members' errors). The minimum over w >= 0, Σ w = 1 is found exactly: it is E_S⁻¹1 / 1ᵀE_S⁻¹1, with S the set of
members of positive weight. Where E is measured on few pairs, it is first shrunk towards a matrix for which equal weights are best
(`shrunk_covariance`).
"""

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Covariance = NDArray[np.float64]  # (members, members)

MOST_MEMBERS = 12  # every subset is tried: 4,095 small systems


def shrunk_covariance(covariances: NDArray[np.float64], *, spread: float = 0.0) -> Covariance:
    """The mean covariance over pairs, shrunk towards a matrix for which equal weights are best.

    The less the pairs agree, the more it shrinks:

    S = Ē - λ (ḡ1ᵀ + 1ḡᵀ),  g = E1/n less its mean,  λ = min(1, Σ_i (var(g_i) / pairs + spread²) / Σ_i ḡ_i²)

    g_i is the excess of the covariance between member i and the plain mean of all members. Where g = 0, equal weights have the
    least error, and E - g1ᵀ - 1gᵀ is the nearest such matrix. With spread 0, λ minimises the expected squared distance of S to
    the true mean covariance (Schäfer and Strimmer 2005, eq. 8, for a target that is linear in E). S is positive semidefinite
    as E is.

    Args:
        covariances: float64 (pairs, n, n), one matrix for each validation pair.
        spread: standard deviation, in the unit of E, of each g_i between the cameras of these pairs and those of other pictures.

    Returns:
        float64 (n, n). For a single pair λ is 1, because the scatter between pairs is not known.
    """
    mean = covariances.mean(0)
    excess = covariances.mean(2) - covariances.mean((1, 2))[:, None]
    g, ones = excess.mean(0), np.ones(len(mean))
    noise = excess.var(0, ddof=1) / len(excess) if len(excess) > 1 else np.full(len(g), np.inf)
    size = float(g @ g)
    lam = min(1.0, float((noise + spread**2).sum()) / size) if size > 0 else 1.0
    return np.asarray(mean - lam * (np.outer(g, ones) + np.outer(ones, g)))


def least_error_weights(covariance: Covariance) -> NDArray[np.float64]:
    """The exact minimiser of wᵀEw over w >= 0, Σ w = 1; equal weights where members are identical.

    Args:
        covariance: (n, n), symmetric, positive semidefinite, n <= 12.

    Returns:
        float64 (n,).
    """
    count = len(covariance)
    assert count <= MOST_MEMBERS, "every subset is tried"
    ridge = (
        1e-9 * np.trace(covariance) / count
    )  # members with equal errors make E singular; this gives them equal weights
    matrix = covariance + max(ridge, np.finfo(np.float64).tiny) * np.eye(count)
    subsets = chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1))
    candidates = [weights for subset in subsets if (weights := _interior(matrix, subset)) is not None]
    return min(candidates, key=lambda weights: float(weights @ matrix @ weights))


def _interior(matrix: Covariance, subset: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The minimiser with exactly these members; None if one of its weights is negative."""
    part = np.linalg.solve(matrix[np.ix_(subset, subset)], np.ones(len(subset)))
    if (part < 0).any():
        return None
    weights = np.zeros(len(matrix))
    weights[list(subset)] = part / part.sum()
    return weights
