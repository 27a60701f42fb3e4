"""Packed Cholesky factors against NumPy."""

import numpy as np
import pytest

from search_paddle.gp_nas.process.factor import factorise, inverse, make_factor
from shared.errors import NonFiniteError


def positive(count, seed=0):
    root = np.random.default_rng(seed).standard_normal((count, count))
    return root @ root.T + np.eye(count)


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_solving(count):
    matrix, right = positive(count), np.random.default_rng(1).standard_normal((count, 4))
    factor = make_factor(matrix)
    np.testing.assert_allclose(factor.full @ factor.full.T, matrix, atol=1e-12)
    assert np.array_equal(factor.full, np.tril(factor.full))
    np.testing.assert_allclose(factor.solve(right[:, 0]), np.linalg.solve(matrix, right[:, 0]), atol=1e-11)
    for parts in (right, right[:, 0]):
        np.testing.assert_allclose(factor.full @ factor.whiten(parts), parts, atol=1e-12)
    if count:
        np.testing.assert_allclose(factor.inverse(), np.linalg.inv(matrix), atol=1e-12)


def test_a_row_is_appended():
    matrix = positive(20)
    small = make_factor(matrix[:19, :19])
    grown, whole = small.appended(matrix[19, :19], matrix[19, 19]), make_factor(matrix)
    np.testing.assert_allclose(grown.packed, whole.packed, rtol=0, atol=1e-12)
    assert (grown.count, small.count, len(small.packed)) == (20, 19, 190)
    wrong = small.appended(matrix[19, :19], matrix[19, 19] + 1e-6)
    assert not np.allclose(wrong.packed, whole.packed, rtol=0, atol=1e-12)
    first = make_factor(np.zeros((0, 0))).appended(np.zeros(0), 4.0)
    assert first.full.tolist() == [[2.0]]


def test_a_row_that_makes_the_matrix_singular_is_appended_too():
    """As happens for a point like an old one where the noise is at its floor: a search must not end by that."""
    matrix = positive(5)
    grown = make_factor(matrix).appended(matrix[0], matrix[0, 0])
    rows = [0, 1, 2, 3, 4, 0]
    np.testing.assert_allclose(grown.full @ grown.full.T, matrix[np.ix_(rows, rows)], rtol=0, atol=1e-8)
    assert np.isfinite(grown.solve(np.ones(6))).all()


def test_a_singular_matrix_is_factorised_and_a_hopeless_one_refused():
    factor = factorise(np.ones((4, 4)))
    np.testing.assert_allclose(factor @ factor.T, np.ones((4, 4)), atol=2e-8)
    with pytest.raises(NonFiniteError, match="positive definite"):
        factorise(np.array([[1.0, 2.0], [2.0, 1.0]]))
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(inverse(factorise(matrix)), np.linalg.inv(matrix), atol=1e-15)
