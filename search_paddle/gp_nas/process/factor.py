"""Cholesky factors that grow by rows: to append a training costs O(n^2), a new factor O(n^3).

A lower factor L of n rows is kept packed, row after row, n (n + 1) / 2 numbers. A new row is put at the end, and a single
right-hand side is solved in the time that it takes to read L. Many right-hand sides are solved with the full matrix.
"""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtpsv
from scipy.linalg.lapack import dpotrf, dpotri, dtpttr, dtrttp

from search_paddle.gp_nas.encoding import Floats
from shared.errors import NonFiniteError

JITTERS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
SMALLEST_PIVOT = 1e-10  # of the squared pivot, relative to the diagonal: below it, rounding errors dominate


class Factor:
    """L with L L' = C.

    Args:
        packed: its rows one after another, each up to the diagonal; as numpy.linalg.cholesky's lower triangle.
        count: n.
    """

    __slots__ = ("_full", "count", "packed")

    def __init__(self, packed: Floats, count: int) -> None:
        self.packed, self.count = packed, count
        self._full: Floats | None = None

    @property
    def full(self) -> Floats:
        """The lower triangular matrix, (n, n)."""
        if self._full is None:
            self._full = np.asarray(dtpttr(self.count, self.packed, uplo="U")[0]).T if self.count else np.zeros((0, 0))
        return self._full

    def whiten(self, right: Floats) -> Floats:
        """L^-1 right for (n,) or (n, m)."""
        if not self.count:
            return right
        if right.ndim == 1:
            return np.asarray(dtpsv(self.count, self.packed, right, lower=0, trans=1))
        return np.asarray(solve_triangular(self.full, right, lower=True, check_finite=False))

    def solve(self, right: Floats) -> Floats:
        """C^-1 right, (n,)."""
        if not self.count:
            return right
        return np.asarray(dtpsv(self.count, self.packed, self.whiten(right), lower=0, trans=0))

    def appended(self, cross: Floats, variance: float) -> "Factor":
        """The factor of C with one more row and column.

        Args:
            cross: the row without its last number, (n,).
            variance: that number, on the diagonal.

        If rounding has made the larger matrix indefinite, that number is raised by 1e-10 of itself.
        """
        row = self.whiten(cross)
        pivot = max(variance - float(row @ row), SMALLEST_PIVOT * variance)
        return Factor(np.concatenate([self.packed, row, [np.sqrt(pivot)]]), self.count + 1)

    def inverse(self) -> Floats:
        """C^-1, (n, n)."""
        return inverse(self.full)


def make_factor(covariance: Floats) -> Factor:
    """The factor of a matrix (n, n); see `factorise`."""
    if not len(covariance):
        return Factor(np.zeros(0), 0)
    packed, _ = dtrttp(_factorise(covariance, lower=0), uplo="U")  # the columns of L' are the rows of L
    return Factor(np.asarray(packed), len(covariance))


def factorise(covariance: Floats) -> Floats:
    """Lower Cholesky factor. If rounding has made the matrix indefinite, its diagonal is raised by 1e-8 to 1e-3 of itself.

    Raises:
        NonFiniteError: the matrix is still not positive definite.
    """
    return _factorise(covariance, lower=1)


def _factorise(covariance: Floats, lower: int) -> Floats:
    for jitter in JITTERS:
        raised = covariance + np.diag(jitter * np.diag(covariance)) if jitter else covariance
        factor, failed = dpotrf(raised.T, lower=lower, clean=lower)  # symmetric, and transposed in LAPACK's order
        if not failed:
            return np.asarray(factor)
    raise NonFiniteError(
        f"covariance of {len(covariance)} points: got no positive definite matrix, even with its diagonal raised by "
        f"{JITTERS[-1]}; expected finite scores of a common size"
    )


def inverse(factor: Floats) -> Floats:
    """C^-1 from the lower Cholesky factor of C."""
    lower, _ = dpotri(factor, lower=1)
    whole: Floats = lower + lower.T  # above the diagonal dpotri leaves the zeros of the factor
    whole[np.diag_indices(len(whole))] *= 0.5
    return whole
