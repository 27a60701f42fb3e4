"""Short trainings beside long ones: the covariance from its definition, its gradient, growth, and what they are worth."""

import itertools

import numpy as np
import pytest

from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.encoding import make_encoding
from search_paddle.gp_nas.fidelity import CHANGE, RATIO, WAVER, Span, aligned
from search_paddle.gp_nas.gp import Observations, make_posterior
from search_paddle.gp_nas.hierarchical import posterior_of_weights, predict_given_weights, trend_of
from search_paddle.gp_nas.kernels import NOISE, SMOOTHNESS, make_kernel
from search_paddle.gp_nas.likelihood import Likelihood
from search_paddle.gp_nas.surrogate import Training, make_surrogate
from shared.errors import UsageError
from shared.space import SearchSpace

SPACE = SearchSpace.from_choices({"a": list(range(8)), "b": list(range(6)), "c": list(range(4))})
ENCODING = make_encoding(SPACE)
CODES = ENCODING.codes(range(SPACE.size))


def problem(seed=0, smoothness=2.5):
    """Eight points after 100 steps, five of them also after 200, three after 400."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(SPACE.size)[:8].tolist()
    rows = [(point, steps) for steps, count in ((100, 8), (200, 5), (400, 3)) for point in chosen[:count]]
    observed = Observations(
        codes=ENCODING.codes([point for point, _ in rows]),
        values=rng.standard_normal(len(rows)),
        repeats=rng.integers(1, 3, len(rows)).astype(float),
        short=Span(longest=400, fewest=100).short(rows),
    )
    kernel = make_kernel(ENCODING, smoothness, has_short=True)
    theta = rng.uniform(-1.0, 0.5, kernel.size)
    return rows, observed, kernel, theta


def by_definition(kernel, theta, rows, observed, *, forgets_luck=False):
    """C entry by entry, from the formulas that open fidelity.py."""
    plain = kernel.covariance(theta, observed.codes)
    ratio, change, waver, noise = theta[RATIO], *np.exp(theta[[CHANGE, WAVER, NOISE]])
    t = [np.log2(400 / steps) / 2 for _, steps in rows]
    whole = np.empty_like(plain)
    for i, j in itertools.product(range(len(rows)), repeat=2):
        same = rows[i][0] == rows[j][0] and (i == j or not forgets_luck)
        luck = noise / np.sqrt(observed.repeats[i] * observed.repeats[j]) if same else 0.0
        coupled = (1 + ratio * t[i]) * (1 + ratio * t[j]) + change * min(t[i], t[j])
        whole[i, j] = coupled * (plain[i, j] + luck) + (waver * t[i] / observed.repeats[i] if i == j else 0.0)
    return whole


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_and_posterior_are_those_of_the_definition(seed):
    rows, observed, kernel, theta = problem(seed)
    covariance = by_definition(kernel, theta, rows, observed)
    wrong = by_definition(kernel, theta, rows, observed, forgets_luck=True)
    reach = 1 + theta[RATIO] * observed.short
    cross = kernel.cross(theta, kernel.embed(theta, CODES), kernel.embed(theta, observed.codes)) * reach
    value = Likelihood(kernel, observed)(theta)[0]
    mean, variance = make_posterior(kernel, theta, observed).predict(CODES)

    def compare(covariance):
        solved = np.linalg.solve(covariance, observed.values)
        size = np.linalg.slogdet(2.0 * np.pi * covariance)[1]
        assert abs(value + 0.5 * (observed.values @ solved + size)) < 1e-9
        np.testing.assert_allclose(mean, cross @ solved, rtol=0, atol=1e-9)
        reduction = np.einsum("mn,nm->m", cross, np.linalg.solve(covariance, cross.T))
        diagonal = kernel.diagonal(theta, kernel.embed(theta, CODES))
        np.testing.assert_allclose(variance, diagonal - reduction, rtol=0, atol=1e-9)

    compare(covariance)
    with pytest.raises(AssertionError):
        compare(wrong)


@pytest.mark.parametrize("smoothness", SMOOTHNESS)
def test_the_gradient_is_exact(smoothness):
    _, observed, kernel, theta = problem(1, smoothness)
    likelihood, step = Likelihood(kernel, observed), 1e-5
    numeric = [
        (likelihood(theta + step * axis)[0] - likelihood(theta - step * axis)[0]) / (2 * step)
        for axis in np.eye(kernel.size)
    ]
    gradient = likelihood(theta)[1]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)
    for place in (RATIO, CHANGE, WAVER):
        flipped = gradient.copy()
        flipped[place] *= -1.0
        assert not np.allclose(flipped, numeric, rtol=1e-6, atol=1e-8)


def test_an_appended_posterior_equals_a_new_one():
    """A longer training of a known point, and the first of a new one."""
    _, observed, kernel, theta = problem(2)
    grown = make_posterior(kernel, theta, observed.rows(slice(0, 10))).appended(observed.rows(slice(10, None)))
    for ours, direct in zip(grown.predict(CODES), make_posterior(kernel, theta, observed).predict(CODES), strict=True):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-9)
    known = make_posterior(kernel, theta, observed.rows(slice(0, 10))).predict(CODES)[0]
    assert not np.allclose(grown.predict(CODES)[0], known, atol=1e-3)


def test_the_posterior_of_the_trend_predicts_as_the_process_does():
    _, observed, kernel, theta = problem(3)
    posterior = make_posterior(kernel, theta, observed)
    trend, reach = trend_of(posterior), 1 + theta[RATIO] * observed.short
    phi, new = kernel.phi(theta, observed.codes) * reach[:, None], kernel.phi(theta, CODES)
    prior = np.diag(kernel.trend_variances(theta))
    points, candidates = kernel.embed(theta, observed.codes), kernel.embed(theta, CODES)
    whole = posterior.factor.full @ posterior.factor.full.T
    without = whole - phi @ prior @ phi.T
    covariances = (
        without,
        kernel.deviation(theta, candidates, points) * reach,
        kernel.diagonal(theta, candidates) - np.einsum("mp,pq,mq->m", new, prior, new),
    )
    weights = (trend.mean, trend.covariance)
    for ours, direct in zip(
        predict_given_weights((phi, new), covariances, observed.values, weights), posterior.predict(CODES), strict=True
    ):
        np.testing.assert_allclose(ours, direct, rtol=0, atol=1e-8)
    mean, _ = posterior_of_weights(phi, without, observed.values, np.zeros(len(prior)), prior)
    np.testing.assert_allclose(trend.mean, mean, rtol=0, atol=1e-8)


def test_scores_of_short_trainings_are_put_on_the_level_and_spread_of_the_longest():
    rows = [(point, steps) for steps in (50, 100) for point in range(6)] + [(9, 50)]
    long = np.array([30.0, 31.0, 29.0, 30.5, 32.0, 28.0])
    scores = np.concatenate([5.0 + 2.0 * (long - 30.0), long, [7.0]])
    moved = aligned(rows, scores)
    np.testing.assert_allclose(moved, [*long, *long, 31.0], atol=1e-12)
    apart = [(point, 50) for point in range(6)] + [(point + 6, 100) for point in range(6)]
    moved = aligned(apart, np.concatenate([scores[:6], long]))
    np.testing.assert_allclose(moved, [*long, *long], atol=1e-12)
    np.testing.assert_array_equal(aligned(rows[:6], scores[:6]), scores[:6])
    assert aligned([], np.zeros(0)).shape == (0,)


def test_few_shared_points_move_scores_and_do_not_stretch_them():
    """The best were trained longer: their mean is not that of all, and their spread says little."""
    rows = [(point, 50) for point in range(10)] + [(point, 100) for point in (7, 8, 9)]
    short = np.linspace(20.0, 29.0, 10)
    moved = aligned(rows, np.concatenate([short, short[7:] + 3.0]))
    np.testing.assert_allclose(moved[:10], short + 3.0)


@pytest.mark.parametrize("wobble", [0.0, 1e-17, 1e-4])
def test_equal_scores_of_shared_points_stretch_nothing(wobble):
    rows = [(point, 50) for point in range(14)] + [(point, 100) for point in range(6)]
    short = np.concatenate([0.1 + wobble * np.arange(6), np.linspace(0.5, 0.9, 8)])
    moved = aligned(rows, np.concatenate([short, np.linspace(0.6, 0.9, 6)]))
    assert np.ptp(moved[:14]) == pytest.approx(np.ptp(short))
    flat = aligned(rows, np.concatenate([short, np.full(6, 30.1)]))
    assert np.ptp(flat[:14]) == pytest.approx(np.ptp(short))


def test_short_trainings_are_placed_by_the_logarithm_of_their_steps():
    span = Span.of([400, 100, 200])
    assert (span.longest, span.fewest, span.differ) == (400, 100, True)
    np.testing.assert_allclose(span.short([(0, 400), (1, 200), (2, 100)]), [0.0, 0.5, 1.0])
    assert not Span.of([0, 0]).differ
    assert not Span.of([7, 7]).differ


def rough(seed=0):
    """A function without any structure but its values: only training a point tells about it."""
    return np.random.default_rng(seed).standard_normal(SPACE.size)


def errors(long, short, count=15):
    """RMS error on points trained short only: told with steps, from the long trainings alone, and told as if all were equal."""
    chosen = np.random.default_rng(1).permutation(SPACE.size)[:60].tolist()
    dear = [Training(point, float(long[point]), 400) for point in chosen[:count]]
    cheap = [Training(point, float(short[point]), 100) for point in chosen]
    found = []
    equal = [Training(point, score + float(np.mean(long - short))) for point, score, _ in cheap[count:]] + dear
    for told in (cheap + dear, dear, [Training(point, score) for point, score, _ in equal]):
        mean, _ = make_surrogate(ENCODING, told).predict(ENCODING.codes(chosen[count:]))
        found.append(float(np.sqrt(np.mean((mean - long[chosen[count:]]) ** 2))))
    return found


def test_short_trainings_that_agree_tell_what_long_ones_would():
    long = 30.0 + rough()
    with_steps, alone, _ = errors(long, 20.0 + 3.0 * (long - 30.0) + 0.1 * rough(1))
    assert alone > 0.7
    assert with_steps < 0.4 * alone


def test_short_trainings_that_have_nothing_in_common_do_no_harm():
    _, digits = zip(*(SPACE.digits(index) for index in range(SPACE.size)), strict=True)
    a, b, c = np.array(digits).T
    long = 30.0 + 0.3 * a - 0.1 * (b - 3) ** 2 + 0.2 * c
    found = [errors(long, 25.0 + rough(seed), count=20) for seed in (2, 3, 4)]
    with_steps, alone, as_if_equal = np.mean(found, axis=0)
    assert with_steps < 1.5 * alone
    assert as_if_equal > 3.0 * alone


def test_a_model_that_grows_is_to_the_bit_the_one_made_at_once():
    """Also where a training longer than all before changes what short means."""
    values = rough(3)
    order = np.random.default_rng(2).permutation(SPACE.size)[:24].tolist()
    told = [Training(point, 30.0 + float(values[point]), steps) for point in order for steps in (100, 200)]
    told[31:31] = [Training(order[2], 31.0, 400), Training(order[5], 30.0, 400)]
    grown = None
    for count in range(24, len(told) + 1):
        grown = make_surrogate(ENCODING, told[:count], grown)
        if count in (31, 32, 40, len(told)):
            at_once = make_surrogate(ENCODING, told[:count])
            assert grown.rows == at_once.rows
            for ours, direct in zip(grown.predict(CODES), at_once.predict(CODES), strict=True):
                assert np.array_equal(ours, direct)


def test_the_sampler_recommends_and_improves_on_the_longest_trainings_only():
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(8)
    sampler.tell(points, [90.0 - number for number in range(8)], steps=[100] * 8)
    sampler.tell(points[2:6], [30.0, 31.0, 30.5, 29.0], steps=[400] * 4)
    assert sampler.recommend() in points[2:6]
    mean, _ = sampler.predict(points)
    assert np.all((mean > 20) & (mean < 40))
    assert sampler.ask(1)[0] not in points


def test_failed_long_trainings_count_as_failures_and_are_recommended_last():
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(12)
    sampler.tell(points, [30.0 + number for number in range(12)], steps=[100] * 12)
    sampler.tell(points[6:], [float("nan")] * 6, steps=[400] * 6)
    assert sampler.recommend() == points[5]
    sampler.tell(points[:2], [20.0, 21.0], steps=np.array([400, 400]))
    assert sampler.recommend() == points[1]


def test_many_trainings_of_which_few_are_long_or_few_are_short():
    """More rows than a fit uses: whatever is left out, there are long ones among them."""
    values, order = rough(4), np.random.default_rng(5).permutation(SPACE.size)
    for rare in (100, 400):
        told = [Training(int(point), float(values[point]), 500 - rare) for point in order] * 2
        told[5] = told[5]._replace(steps=rare)
        mean, std = make_surrogate(ENCODING, told).predict(CODES)
        assert np.isfinite(mean).all()
        assert np.all(std > 0)


def test_the_unit_of_the_score_decides_nothing():
    values, order = rough(5), np.random.default_rng(6).permutation(SPACE.size)[:24].tolist()
    for count in (1, 3, 10):
        told = [Training(point, float(values[point]), 100) for point in order]
        told += [Training(point, float(values[point]) + 5.0, 400) for point in order[:count]]
        mean, std = make_surrogate(ENCODING, told).predict(CODES)
        scaled = [each._replace(score=128.0 * each.score) for each in told]  # exact in binary
        large, wide = make_surrogate(ENCODING, scaled).predict(CODES)
        np.testing.assert_allclose(large, 128.0 * mean, rtol=1e-9)
        np.testing.assert_allclose(wide, 128.0 * std, rtol=1e-9)


@pytest.mark.parametrize("steps", [[0], [1.5], [True], [1, 2]])
def test_steps_that_are_none_are_refused_and_nothing_is_added(steps):
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(1)
    with pytest.raises(UsageError, match=r"expected an integer >= 1|got 1 points and 2 steps, expected"):
        sampler.tell(points, [1.0], steps)
    with pytest.raises(UsageError, match="no finite score"):
        sampler.recommend()


@pytest.mark.parametrize("first", [None, [100]])
def test_trainings_with_and_without_steps_are_not_mixed(first):
    sampler = GPNAS(SPACE, seed=0)
    points = sampler.ask(2)
    sampler.tell(points[:1], [1.0], first)
    with pytest.raises(UsageError, match="in one way"):
        sampler.tell(points[1:], [1.0], [100] if first is None else None)
    assert len(sampler.ask(1)) == 1
