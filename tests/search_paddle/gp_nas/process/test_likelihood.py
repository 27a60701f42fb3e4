"""The likelihood's gradient, the prior's, and the fit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.process.covariance import Observations
from search_paddle.gp_nas.process.factor import factorise
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.likelihood import Density, Likelihood, fit
from search_paddle.gp_nas.process.matern import SMOOTHNESS
from search_paddle.gp_nas.process.priors import make_priors
from shared.space import SearchSpace

FLAT = SearchSpace.from_choices({"a": [1, 2, 4, 8], "b": [0, 1, 2], "c": list(range(6))})
CONDITIONAL = SearchSpace.from_families(
    {
        "drn": {"features": [16, 32, 64], "stages": [1, 2, 3], "op": ["x", "y"]},
        "rcan": {"features": [32, 64, 128], "groups": [1, 2]},
        "one": {"features": [64]},
    },
    categorical=["op"],
)


def problem(space, count, seed, *, smoothness=2.5, has_fidelity=False):
    """A kernel, observations of it with repeats, a vector and its form."""
    rng = np.random.default_rng(seed)
    encoding = make_encoding(space)
    points = rng.permutation(space.size)[:count]
    if has_fidelity:
        points[: count // 3] = points[count // 3 : 2 * (count // 3)]  # some points at two fidelities
    gap = rng.permutation(np.linspace(0.0, 1.0, count)) if has_fidelity else np.zeros(count)
    observed = Observations(
        codes=encoding.codes(points.tolist()),
        values=rng.standard_normal(count),
        repeats=rng.integers(1, 4, count).astype(float),
        gap=gap,
    )
    kernel = make_kernel(encoding, smoothness, has_fidelity=has_fidelity)
    form = make_priors(kernel).mode
    return kernel, observed, rng.uniform(-1.0, 0.5, len(form.pack())), form


@pytest.mark.parametrize("has_fidelity", [False, True])
@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
@pytest.mark.parametrize("smoothness", SMOOTHNESS)
@pytest.mark.parametrize("seed", range(2))
def test_the_gradient_is_exact(space, smoothness, seed, has_fidelity):
    kernel, observed, vector, form = problem(space, 25, seed, smoothness=smoothness, has_fidelity=has_fidelity)
    likelihood, step = Likelihood(kernel, observed), 1e-5
    numeric = [
        (likelihood(form.unpack(vector + step * axis))[0] - likelihood(form.unpack(vector - step * axis))[0])
        / (2 * step)
        for axis in np.eye(len(vector))
    ]
    gradient = likelihood(form.unpack(vector))[1].pack()
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)
    for place in range(len(vector)):  # the comparison sees a wrong sign in any place
        flipped = gradient.copy()
        flipped[place] *= -1.0
        assert gradient[place] != 0
        assert not np.allclose(flipped, numeric, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_the_prior_is_exact():
    priors = make_priors(make_kernel(make_encoding(CONDITIONAL)))
    vector = priors.location + np.linspace(-1, 1, len(priors.location))
    numeric = approx_fprime(vector, lambda at: priors.log_density(at)[0], 1e-7)
    np.testing.assert_allclose(priors.log_density(vector)[1], numeric, atol=1e-5)
    for start in priors.starts():
        assert np.all((priors.low < start) & (start < priors.high))


def test_the_fit_finds_a_better_place_than_where_it_starts_and_what_made_the_data():
    encoding = make_encoding(FLAT)
    kernel, rng = make_kernel(encoding), np.random.default_rng(0)
    priors, codes = make_priors(kernel), encoding.codes(rng.permutation(FLAT.size)[:60].tolist())
    scales = replace(priors.mode.materns[0], log_lengthscales=np.log([0.3, 20.0, 1.0]))
    truth = replace(priors.mode, log_noise=np.log(0.05), materns=(scales,))
    covariance = kernel.covariance(truth, codes) + 0.05 * np.eye(60)
    observed = Observations(
        codes=codes, values=factorise(covariance) @ rng.standard_normal(60), repeats=np.ones(60), gap=np.zeros(60)
    )
    density = Density(kernel, priors, observed)
    found = fit(density, priors, priors.starts())
    assert density(found)[0] > max(density(other)[0] for other in (*priors.starts(), truth.pack()))
    matters, hardly, _ = priors.mode.unpack(found).materns[0].log_lengthscales
    assert matters < hardly, "the dimension that matters has the shorter length-scale"
    inside = (found > priors.low + 0.01) & (found < priors.high - 0.01)
    assert np.abs(density(found)[1][inside]).max() < 0.1


def test_the_precision_is_that_of_second_differences():
    kernel, observed, vector, _ = problem(FLAT, 20, 3)
    density, step = Density(kernel, make_priors(kernel), observed), 1e-3
    precision = density.precision(vector)
    for place, axis in enumerate(np.eye(len(vector))):
        ends = density(vector + step * axis)[0] + density(vector - step * axis)[0] - 2.0 * density(vector)[0]
        assert precision[place, place] == pytest.approx(-ends / step**2, rel=0.02, abs=0.02)
    assert np.array_equal(precision, precision.T)
