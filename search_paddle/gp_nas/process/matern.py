"""The Matern correlation as a function of squared distances, and squared distances by one matrix product."""

from collections.abc import Callable

import numpy as np

from search_paddle.gp_nas.encoding import Floats

BLOCK = 2**16  # entries of a covariance, half a megabyte


def matern12(a2: Floats) -> tuple[Floats, Floats]:
    """exp(-a), and exp(-a) / a: rough."""
    a = np.sqrt(a2)
    value = np.exp(-a)
    return value, np.divide(value, a, out=np.zeros_like(a), where=a > 0)


def matern32(a2: Floats) -> tuple[Floats, Floats]:
    """(1 + a) exp(-a), and exp(-a)."""
    a = np.sqrt(a2)
    decay = np.exp(-a)
    return (1.0 + a) * decay, decay


def matern52(a2: Floats) -> tuple[Floats, Floats]:
    """(1 + a + a^2/3) exp(-a), and (1 + a) exp(-a) / 3: smooth."""
    a = np.sqrt(a2)
    decay = np.exp(-a)
    first = (1.0 + a) * decay
    return first + a2 * decay / 3.0, first / 3.0


# nu -> M and -2 dM/d(a^2) at squared distances a^2; by log l_j, M changes by the second times its part of a^2
MATERN: dict[float, Callable[[Floats], tuple[Floats, Floats]]] = {0.5: matern12, 1.5: matern32, 2.5: matern52}
SMOOTHNESS = tuple(MATERN)


def correlation(a2: Floats, smoothness: float) -> Floats:
    """M at squared distances, without the slope of MATERN; overwrites its argument, for speed."""
    a: Floats = np.sqrt(a2)
    decay: Floats = np.exp(-a)
    if smoothness == 0.5:
        return decay
    if smoothness == 1.5:
        a += 1.0
    else:
        a2 *= 1.0 / 3.0
        a += a2
        a += 1.0
    a *= decay
    return a


def squared_distances(x: Floats, y: Floats) -> Floats:
    """|x - y|^2 of all pairs of rows of x (m, q) and y (n, q): (m, n), by one matrix product.

    Rounding would make some of them negative and put equal points apart, so all are lowered by the size of that error.
    """
    norms = np.einsum("mq,mq->m", x, x), np.einsum("nq,nq->n", y, y)
    error = 1e-14 * (norms[0].max(initial=0.0) + norms[1].max(initial=0.0))
    squares: Floats = x @ (-2.0 * y.T)
    squares += (norms[0] - error)[:, None]
    squares += norms[1]
    return np.maximum(squares, 0.0, out=squares)


def block_rows(columns: int) -> int:
    """How many rows of a covariance with so many columns are worked on at once: such a block stays in the cache."""
    return max(BLOCK // max(columns, 1), 1)
