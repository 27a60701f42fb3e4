"""PaddleSlim's GPNAS as published (`paddleslim/nas/gp_nas.py` of release 2.6.0, defects included), for users who come from there.

    m(x) = phi(x)' w,  phi(x) = [x, 1],  e = 1e-7 (ridge everywhere),  S0 = 0.01 I (never updated),  K_e = K + e I

    c_flag 1: k = 0.5 exp(-|x - x'|^2 / 16)          c_flag 2: k = exp(-|x - x'| / 12)          x: tokens, as they are
    get_initial_mean     w  = (Phi' Phi + e I)^-1 Phi' y                                        least squares
    get_posterior_mean   w <- w + S0 Phi' (K_e^-1 + Phi S0 Phi' + e I)^-1 (y - Phi w)           m_flag 1: K is inverted, wrongly
                         w <- (Phi' K_e^-1 Phi + P + e I)^-1 (Phi' K_e^-1 y + P w)              m_flag 2, P = (S0 + e I)^-1
    get_predict          phi* w                                                                 the linear part alone
    get_predict_jiont    phi* w + K* K_e^-1 (y - Phi w)

Nothing is learnt but w, scores are interpolated as if without noise, there is no variance, and every batch is weighed as if
nothing had been learnt before. The right posterior is process/trend.py; the sampler (sampler.py) uses neither. This mode
reproduces old results and is a baseline.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from search_paddle.gp_nas.encoding import Floats
from shared.errors import UsageError

RIDGE = 1e-7  # hp_mat
PRIOR_VARIANCE = 0.01  # hp_cov
CHUNK = 4096  # rows predicted at a time


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PaddleSlimGPNAS:
    """PaddleSlim's estimator. It is a value: each update returns a new one.

    Tokens are float (n, d), scores float (n,), in any unit.

    Attributes:
        c_flag: kernel, 1 or 2.
        m_flag: update of the weights, 1 or 2.
        weights: w, float64 (d + 1,), the constant last; None before `initial_mean`.

    Example:
        >>> model = PaddleSlimGPNAS().initial_mean([[0, 1], [1, 0], [2, 2]], [1.0, 2.0, 4.0])
        >>> model.posterior_mean([[1, 1]], [2.5]).predict([[0, 0]]).shape
        (1,)
    """

    c_flag: Literal[1, 2] = 2
    m_flag: Literal[1, 2] = 2
    weights: Floats | None = None

    def __post_init__(self) -> None:
        for name, value in (("c_flag", self.c_flag), ("m_flag", self.m_flag)):
            if value not in (1, 2):
                raise UsageError(f"{name}: got {value!r}, expected 1 or 2")

    def initial_mean(self, tokens: ArrayLike, scores: ArrayLike) -> Self:
        """`get_initial_mean`: weights by least squares, from cheap data.

        Raises:
            UsageError: tokens and scores do not match.
        """
        phi, values = _data(tokens, scores)
        return replace(self, weights=_solve(phi.T @ phi + RIDGE * np.eye(phi.shape[1]), phi.T @ values))

    def posterior_mean(self, tokens: ArrayLike, scores: ArrayLike) -> Self:
        """`get_initial_cov` and `get_posterior_mean`: weights after a batch of expensive data.

        Raises:
            UsageError: no `initial_mean` yet, or tokens and scores do not match each other or it.
        """
        phi, values = _data(tokens, scores)
        weights = self._weights(phi)
        covariance = kernel(self.c_flag, phi, phi) + RIDGE * np.eye(len(phi))
        update = first_update if self.m_flag == 1 else second_update
        return replace(self, weights=update(phi, covariance, values, weights))

    def predict(self, tokens: ArrayLike) -> Floats:
        """`get_predict`: the linear part alone, float64 (n,).

        Raises:
            UsageError: no `initial_mean` yet, or tokens of another width.
        """
        phi = features(tokens)
        return phi @ self._weights(phi)

    def predict_joint(self, tokens: ArrayLike, trained: ArrayLike, scores: ArrayLike) -> Floats:
        """`get_predict_jiont`: the mean given trainings, float64 (m,).

        Args:
            tokens: to predict, (m, d).
            trained: tokens of the trainings, (n, d).
            scores: theirs, (n,).

        Raises:
            UsageError: no `initial_mean` yet, or arrays that do not match.
        """
        (phi, values), new = _data(trained, scores), features(tokens)
        weights = self._weights(phi)
        self._weights(new)
        covariance = kernel(self.c_flag, phi, phi) + RIDGE * np.eye(len(phi))
        residual = _solve(covariance, values - phi @ weights)
        parts = [new[start : start + CHUNK] for start in range(0, len(new), CHUNK)]
        return np.concatenate([part @ weights + kernel(self.c_flag, part, phi) @ residual for part in parts])

    def _weights(self, phi: Floats) -> Floats:
        if self.weights is None:
            raise UsageError("PaddleSlim mode: got no weights, expected `initial_mean` first, as in its demo")
        if phi.shape[1] != len(self.weights):
            got, expected = phi.shape[1] - 1, len(self.weights) - 1
            raise UsageError(f"tokens: got {got} an architecture, expected {expected}, as in `initial_mean`")
        return self.weights


def kernel(c_flag: int, left: Floats, right: Floats) -> Floats:
    """K between rows, float64 (m, n); a constant column changes nothing.

    Args:
        c_flag: 1 or 2.
        left: float64 (m, d).
        right: float64 (n, d).
    """
    if c_flag == 1:
        return np.asarray(0.5 * np.exp(-cdist(left, right, "sqeuclidean") / 16))
    return np.asarray(np.exp(-cdist(left, right) / 12))


def first_update(phi: Floats, covariance: Floats, values: Floats, weights: Floats) -> Floats:
    """Weights after m_flag 1, (d + 1,); its defect included.

    Args:
        phi: features of n trainings, (n, d + 1).
        covariance: K_e, (n, n).
        values: y, (n,).
        weights: w before, (d + 1,).
    """
    ones = np.eye(len(phi))
    inner = np.linalg.inv(covariance) + PRIOR_VARIANCE * phi @ phi.T + RIDGE * ones
    return weights + PRIOR_VARIANCE * phi.T @ _solve(inner, values - phi @ weights)


def second_update(phi: Floats, covariance: Floats, values: Floats, weights: Floats) -> Floats:
    """Weights after m_flag 2, (d + 1,).

    Args:
        phi: features of n trainings, (n, d + 1).
        covariance: K_e, (n, n).
        values: y, (n,).
        weights: w before, (d + 1,).
    """
    precision = 1 / (PRIOR_VARIANCE + RIDGE)
    whitened = _solve(covariance, np.column_stack([phi, values]))
    system = phi.T @ whitened[:, :-1] + (precision + RIDGE) * np.eye(len(weights))
    return _solve(system, phi.T @ whitened[:, -1] + precision * weights)


def _solve(matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def features(tokens: ArrayLike) -> Floats:
    """[x, 1] of each row."""
    rows = np.asarray(tokens, dtype=np.float64)
    if rows.ndim != 2:
        raise UsageError(f"tokens: got shape {rows.shape}, expected (architectures, tokens)")
    return np.column_stack([rows, np.ones(len(rows))])


def _data(tokens: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    phi, values = features(tokens), np.asarray(scores, dtype=np.float64)
    if values.shape != (len(phi),):
        raise UsageError(f"scores: got shape {values.shape}, expected ({len(phi)},), one an architecture")
    return phi, values
