"""Shares of members in a mean that errs least, from the covariance of their errors. NumPy only: search and training both use it.

The mean squared error of a mean Σ w_i x_i is wᵀEw, E the members' error covariance (mean product of their errors over pixels).
Its minimum over w >= 0, Σ w = 1 is found exactly: on the set S of members with a positive share it is E_S⁻¹1 / 1ᵀE_S⁻¹1.
Where E is measured on few pairs it is first drawn toward a matrix that speaks for equal shares (`shrunk_covariance`).
"""

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Covariance = NDArray[np.float64]  # (members, members)

MOST_MEMBERS = 12  # every subset is tried: 4,095 small systems


def shrunk_covariance(covariances: NDArray[np.float64], *, spread: float = 0.0) -> Covariance:
    """The mean covariance over pairs, drawn toward one that speaks for equal shares as far as the pairs contradict each other.

    S = Ē - λ (ḡ1ᵀ + 1ḡᵀ),  g = E1/n less its mean,  λ = min(1, Σ_i (var(g_i) / pairs + spread²) / Σ_i ḡ_i²)

    g_i is how much more than others member i errs together with the plain mean. Where g = 0 equal shares err least, and
    E - g1ᵀ - 1gᵀ is the nearest such matrix. With spread 0, λ minimises the expected squared distance of S to the true mean
    covariance (Schäfer and Strimmer 2005, eq. 8, for a target that is linear in E). S is positive semidefinite as E is.

    Args:
        covariances: (pairs, n, n), one of each validation pair.
        spread: standard deviation of each g_i between these pairs' origin and where the shares are used; unit of E.

    Returns:
        (n, n). For a single pair λ is 1: its scatter is not known.
    """
    mean = covariances.mean(0)
    excess = covariances.mean(2) - covariances.mean((1, 2))[:, None]
    g, ones = excess.mean(0), np.ones(len(mean))
    noise = excess.var(0, ddof=1) / len(excess) if len(excess) > 1 else np.full(len(g), np.inf)
    size = float(g @ g)
    lam = min(1.0, float((noise + spread**2).sum()) / size) if size > 0 else 1.0
    return np.asarray(mean - lam * (np.outer(g, ones) + np.outer(ones, g)))


def least_error_shares(covariance: Covariance) -> NDArray[np.float64]:
    """The exact minimiser of wᵀEw over w >= 0, Σ w = 1; equal shares where members are identical.

    Args:
        covariance: (n, n), symmetric, positive semidefinite, n <= 12.

    Returns:
        float64 (n,).
    """
    count = len(covariance)
    assert count <= MOST_MEMBERS, "every subset is tried"
    ridge = (
        1e-9 * np.trace(covariance) / count
    )  # members that err alike make E singular; this shares equally among them
    matrix = covariance + max(ridge, np.finfo(np.float64).tiny) * np.eye(count)
    subsets = chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1))
    candidates = [shares for subset in subsets if (shares := _interior(matrix, subset)) is not None]
    return min(candidates, key=lambda shares: float(shares @ matrix @ shares))


def _interior(matrix: Covariance, subset: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The minimiser with exactly these members; None if one of its shares is negative."""
    part = np.linalg.solve(matrix[np.ix_(subset, subset)], np.ones(len(subset)))
    if (part < 0).any():
        return None
    shares = np.zeros(len(matrix))
    shares[list(subset)] = part / part.sum()
    return shares
