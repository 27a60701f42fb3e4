"""Shares of members in a mean that errs least, from the covariance of their errors. NumPy only: search and training both use it.

The mean squared error of a mean Σ w_i x_i is wᵀEw, E the members' error covariance (mean product of their errors over pixels).
Its minimum over w >= 0, Σ w = 1 is found exactly: on the set S of members with a positive share it is E_S⁻¹1 / 1ᵀE_S⁻¹1.
"""

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Covariance = NDArray[np.float64]  # (members, members)

MOST_MEMBERS = 12  # every subset is tried: 4,095 small systems


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
