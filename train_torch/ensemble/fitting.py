"""Shares of the members in the mean: the ones that would have erred least on the validation pairs.

The error of a mean Σ w_i x_i is wᵀEw, E the members' error covariance (mean product of their errors over pixels and pairs).
Its minimum over w >= 0, Σ w = 1 is found exactly: on the set S of members with a positive share it is E_S⁻¹1 / 1ᵀE_S⁻¹1.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from shared.data.images import to_float
from shared.data.source import Pair

Enlarge = Callable[[NDArray[np.float32]], NDArray[np.floating]]  # (h, w, 3) in [0, 1] -> (s·h, s·w, 3)
Covariance = NDArray[np.float64]

MOST_MEMBERS = 12  # every subset is tried: 4,095 small systems


def fit_shares(members: Sequence[Enlarge], pairs: Iterable[Pair], *, crop: int) -> list[float]:
    """Shares that minimise the mean squared error of the weighted mean over pairs.

    Args:
        members: functions of one image.
        pairs: to measure on; at least one.
        crop: HR px of the border left out.

    Returns:
        One share a member, >= 0, summing to one.
    """
    covariances = [error_covariance([member(to_float(pair.lr)) for member in members], pair, crop) for pair in pairs]
    return [float(share) for share in least_error_shares(np.mean(covariances, axis=0))]


def error_covariance(images: Sequence[NDArray[np.floating]], pair: Pair, crop: int) -> Covariance:
    """Mean product of the members' errors on one pair: float64 (members, members)."""
    hr = to_float(pair.hr).astype(np.float64)
    inside = slice(crop, -crop or None)
    errors = np.stack([(image - hr)[inside, inside].ravel() for image in images])
    return np.asarray(errors @ errors.T / errors.shape[1])


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
