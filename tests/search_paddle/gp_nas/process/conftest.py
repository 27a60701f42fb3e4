"""What several of these tests compare with."""

import numpy as np
import pytest


@pytest.fixture
def two_step_prediction():
    """Mean and variance at new points from the posterior w1, S1 of the trend's weights, instead of integrating w out.

    mean = phi* w1 + k* C_k^-1 (z - Phi w1)      var = k** - k* C_k^-1 k*' + r' S1 r,   r = phi* - Phi' C_k^-1 k*'

    phi: Phi (n, p) and phi* (m, p); covariances: C_k (n, n), k* (m, n), diagonal k** (m,), all without trend; weights: w1, S1.
    """

    def predict(phi, covariances, values, weights):
        (old, new), (covariance, cross, diagonal), (mean, spread) = phi, covariances, weights
        projected = np.linalg.solve(covariance, cross.T)
        rest = new - projected.T @ old
        variance = diagonal - np.einsum("mn,nm->m", cross, projected) + np.einsum("mp,pq,mq->m", rest, spread, rest)
        return new @ mean + projected.T @ (values - old @ mean), variance

    return predict
