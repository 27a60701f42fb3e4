"""The model of a search: Gaussian processes on warped scores, averaged, and one on success.

Hyperparameters are fitted when the number of scores, or of those of the longest trainings, reaches one of `refit_at`, to the
scores told by then; between two fits each new score adds a row to every factor. All follows from the trainings in the order they
were told, so a sampler that is rebuilt from a journal has the same model to the last bit. Up to ALWAYS scores the order does not
matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from search_paddle.gp_nas import warp
from search_paddle.gp_nas.averaging import Laplace, Mode, approximate, draw, find_mode, shares
from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from search_paddle.gp_nas.fidelity import Row, Span, aligned
from search_paddle.gp_nas.gp import Observations, Posterior, make_posterior
from search_paddle.gp_nas.kernels import SMOOTHNESS, Kernel, make_kernel
from search_paddle.gp_nas.priors import make_priors
from search_paddle.gp_nas.success import Success, make_success
from search_paddle.gp_nas.warp import Warp

COMPONENTS, FEWEST = 16, 2  # members of the average: up to 100 scores, and with many, when theta is almost certain
ALWAYS = 16  # scores: up to here every one is followed by a fit, then every tenth more
NODES = ndtri((np.arange(32) + 0.5) / 32)  # normal quantiles
WIDER = 1.06  # of the std: the average knows no other errors than those of its own models
OWN = 0.5  # of the noise: the share that is the architecture's own, not the training's; one training cannot tell
HOPELESS = 9.0  # nats: such a model would have a ten-thousandth of the best one's weight
FITTED = 256  # scores that a fit uses at most, evenly spread over those told


class Training(NamedTuple):
    """What was told of one training.

    Attributes:
        point: its number.
        score: NaN or infinity: it failed.
        steps: how long it was; 0: not said, as of all others.
    """

    point: int
    score: float
    steps: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Component:
    """One member of the average.

    Attributes:
        warp: between scores and the process's values.
        posterior: the process given all scores.
        weight: of its predictions; positive, of sum 1.
    """

    warp: Warp
    posterior: Posterior
    weight: float

    def quantiles(self, mean: Floats, variance: Floats) -> Floats:
        """Equally probable scores, ascending, (m, NODES), where the process says mean and variance, noise included, (m,)."""
        return self.warp.scores(mean[:, None] + np.sqrt(variance)[:, None] * NODES)

    def new(self, codes: Codes) -> Floats:
        """Quantiles of one new training of each point."""
        mean, variance = self.posterior.predict(codes)
        return self.quantiles(mean, variance + self.posterior.noise)

    def left_out(self) -> Floats:
        """Quantiles of each longest training that is known, from all others."""
        longest = self.posterior.observations.short == 0.0
        mean, variance = self.posterior.leave_one_out()
        return self.quantiles(mean[longest], variance[longest])

    def known(self) -> Floats:
        """Scores of the longest trainings."""
        observed = self.posterior.observations
        return self.warp.scores(observed.values[observed.short == 0.0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surrogate:
    """A fitted model.

    Attributes:
        components: the average, heaviest first; at least one.
        success: the model of which trainings fail.
        rows: the processes' observations: points with a score, and after how many steps.
        span: of the lengths of the trainings that have a score.
        scored: scores that it knows.
        fitted: the first so many of them gave the hyperparameters.
    """

    components: tuple[Component, ...]
    success: Success
    rows: tuple[Row, ...]
    span: Span
    scored: int
    fitted: int

    def worth(self) -> dict[int, float]:
        """What each point trained for the most steps is worth, by its number, in the score's unit."""
        points = [point for point, steps in self.rows if steps == self.span.longest]
        total = np.zeros(len(points))
        for component in self.components:
            longest = component.posterior.observations.short == 0.0
            total += component.weight * component.warp.scores(component.posterior.worth(OWN)[longest])
        return dict(zip(points, total.tolist(), strict=True))

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and std of the score of one new longest training that succeeds, noise included, in the score's unit; each (m,).

        The std is that of the normal distribution whose central 80 % are as wide, times WIDER: a predicted score is often skewed,
        since networks fail badly and excel by little, and the second moment would say more of rare failures than of uncertainty.
        Where known scores are further from what the others predict than that, it is wider still (`surprise`).
        """
        if not len(codes):
            return np.zeros(0), np.zeros(0)
        mean, std = self._average([component.new(codes) for component in self.components])
        return mean, self.surprise() * std

    def surprise(self) -> float:
        """At least 1: root mean square of (score - mean) / std with each score left out, shrunk to 1 by n / (n + 10).

        So outliers that no model of the average explains widen the intervals of all predictions.
        """
        known = self.components[0].known()
        if not len(known):
            return 1.0
        mean, std = self._average([component.left_out() for component in self.components])
        excess = float(np.sqrt(np.mean(((known - mean) / std) ** 2))) - 1.0
        return 1.0 + max(excess, 0.0) * len(known) / (len(known) + 10.0)

    def _average(self, quantiles: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Mean and std of the components' quantiles, each (m,)."""
        chances = np.repeat([component.weight / len(NODES) for component in self.components], len(NODES))
        values = np.concatenate(quantiles, axis=1)
        low, high = (weighted_quantile(values, chances, level) for level in (0.1, 0.9))
        return values @ chances, WIDER * (high - low) / (2.0 * ndtri(0.9))


def weighted_quantile(values: Floats, chances: Floats, level: float) -> Floats:
    """Quantile of each row of values (m, k) whose columns have these chances, (k,) of sum 1; linear between their middles."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered, middles = (
        np.take_along_axis(values, order, axis=1),
        np.cumsum(chances[order], axis=1) - 0.5 * chances[order],
    )
    above = np.clip(np.sum(middles < level, axis=1), 1, values.shape[1] - 1)[:, None]
    (low, high), (left, right) = (
        [np.take_along_axis(parts, above - side, axis=1)[:, 0] for side in (1, 0)] for parts in (ordered, middles)
    )
    quantile: Floats = low + (high - low) * np.clip((level - left) / (right - left), 0.0, 1.0)
    return quantile


def refit_at(count: int) -> int:
    """The largest number <= count of scores at which hyperparameters are fitted."""
    reached = min(count, ALWAYS)
    while reached >= ALWAYS and reached + reached // 10 <= count:
        reached += reached // 10
    return reached


def make_surrogate(encoding: Encoding, trainings: Sequence[Training], before: Surrogate | None = None) -> Surrogate:
    """The model of all trainings.

    Args:
        encoding: of the space.
        trainings: in the order they were told. May be empty.
        before: the model of the first ones of them. It saves time and changes nothing.
    """
    finite = [training for training in trainings if np.isfinite(training.score)]
    span = Span.of([training.steps for training in finite])
    fitted = max(_after_last_mark(finite, span), _after_last_change(finite))
    start, scores = max(fitted, _after_last_repeat(finite)), _by_row(finite)
    if before is None or before.fitted != fitted or before.scored < start:
        base = _by_row(finite[:start])
        rows = tuple(sorted(base))
        shares = _fit(encoding, finite[:fitted], span)
        components = _conditioned(shares, _observations(encoding, rows, base, span))
    else:
        rows, components = before.rows, before.components
    known = set(rows)
    new = tuple(row for row in scores if row not in known)
    if new:
        rows = (*rows, *new)
        observed = _observations(encoding, rows, scores, span)
        components = tuple(_appended(component, observed) for component in components)
    return Surrogate(
        components=components,
        success=_success(encoding, trainings),
        rows=rows,
        span=span,
        scored=len(finite),
        fitted=fitted,
    )


def _by_row(trainings: Sequence[Training]) -> dict[Row, list[float]]:
    scores: dict[Row, list[float]] = {}
    for point, score, steps in trainings:
        scores.setdefault((point, steps), []).append(score)
    return {row: sorted(each) for row, each in scores.items()}


def _after_last_repeat(trainings: Sequence[Training]) -> int:
    """How many trainings there are up to the last one like an earlier one: a row is changed by it, not added."""
    seen: set[Row] = set()
    last = 0
    for place, (point, _, steps) in enumerate(trainings, start=1):
        last = place if (point, steps) in seen else last
        seen.add((point, steps))
    return last


def _after_last_mark(trainings: Sequence[Training], span: Span) -> int:
    """How many trainings there are up to the last one that makes them, or the longest of them, as many as ask for a fit."""
    longest = [place for place, each in enumerate(trainings, start=1) if each.steps == span.longest]
    return max(refit_at(len(trainings)), longest[refit_at(len(longest)) - 1] if longest else 0)


def _after_last_change(trainings: Sequence[Training]) -> int:
    """How many trainings there are up to the first ones of the most and of the fewest steps: before, t was another."""
    steps = [training.steps for training in trainings]
    return max(steps.index(max(steps)), steps.index(min(steps))) + 1 if any(steps) else 0


def _observations(
    encoding: Encoding, rows: Sequence[Row], scores: Mapping[Row, Sequence[float]], span: Span
) -> Observations:
    """Means of the scores of rows, on the level of the longest trainings; not warped."""
    return Observations(
        codes=encoding.codes([point for point, _ in rows]),
        values=aligned(rows, np.array([np.mean(scores[row]) for row in rows], dtype=np.float64)),
        repeats=np.array([len(scores[row]) for row in rows], dtype=np.float64),
        short=span.short(rows),
    )


class _Model(NamedTuple):
    """A warp's name, a process near its mode, and the evidence of both."""

    warp: str
    process: Laplace
    evidence: float


class _Share(NamedTuple):
    """What a component is before it is conditioned."""

    warp: str
    kernel: Kernel
    theta: Floats
    weight: float


def _fit(encoding: Encoding, trainings: Sequence[Training], span: Span) -> list[_Share]:
    """The average of the models of finite trainings, heaviest first."""
    if not trainings:
        kernel = make_kernel(encoding, SMOOTHNESS[-1])
        return [_Share("identity", kernel, make_priors(kernel).location, 1.0)]
    scores = _by_row(_thinned(trainings, span))
    observed = _observations(encoding, sorted(scores), scores, span)
    models = _models(encoding, observed)
    long = observed.short == 0.0
    if span.differ and min(long.sum(), (~long).sum()) >= warp.FEWEST:
        models += _apart(encoding, observed)
    evidences = np.array([model.evidence for model in models])
    size = min(max(100 * COMPONENTS // len({each.point for each in trainings}), FEWEST), COMPONENTS)
    found = []
    for model, count in zip(models, shares(evidences.tolist(), size), strict=True):
        if count:
            thetas, weights = draw(model.process, count)
            weights = weights * np.exp(model.evidence - evidences.max())
            kernel = model.process.mode.kernel
            found += [_Share(model.warp, kernel, *each) for each in zip(thetas, weights.tolist(), strict=True)]
    total = sum(share.weight for share in found)
    return sorted((share._replace(weight=share.weight / total) for share in found), key=lambda share: -share.weight)


def _thinned(trainings: Sequence[Training], span: Span) -> list[Training]:
    """Trainings of FITTED rows or fewer: all of evenly spread points, first those trained longest, then the others."""
    scored = {point for point, _, steps in trainings if steps == span.longest}
    points = sorted(dict.fromkeys(each.point for each in trainings), key=lambda point: point not in scored)
    count = max(len(points) * FITTED // max(len(trainings), FITTED), 1)
    kept = {points[place] for place in np.linspace(0, len(points) - 1, count).round().astype(int)}
    return [each for each in trainings if each.point in kept]


def _apart(encoding: Encoding, observed: Observations) -> list[_Model]:
    """Models of the longest trainings alone: the short ones have their own, which only counts for the evidence.

    So if the two have nothing in common, neither their values nor length-scales and noise, no harm is done by what is cheap.
    """
    long, rest = (observed.rows(places) for places in (observed.short == 0.0, observed.short > 0.0))
    away = rest.short - rest.short.min()
    others = _models(encoding, replace(rest, short=away / max(float(away.max()), 1e-300)))
    bonus = float(logsumexp([model.evidence for model in others])) - float(np.log(len(SMOOTHNESS) * len(warp.MAPS)))
    return [model._replace(evidence=model.evidence + bonus) for model in _models(encoding, long)]


def _models(encoding: Encoding, observed: Observations) -> list[_Model]:
    """The models worth a share; values: scores.

    A model HOPELESS nats below the best is not followed up: neither a warp to the other kernels, nor a mode to its curvature.
    """
    has_short = bool(observed.short.any())
    kernels = [make_kernel(encoding, smoothness, has_short=has_short) for smoothness in reversed(SMOOTHNESS)]

    def near_the_best(modes: list[tuple[Warp, Mode]]) -> list[tuple[Warp, Mode]]:
        heights = [mode.height + each.log_evidence for each, mode in modes]
        return [pair for pair, height in zip(modes, heights, strict=True) if height > max(heights) - HOPELESS]

    def mode_of(kernel: Kernel, each: Warp, near: Mode | None = None) -> tuple[Warp, Mode]:
        return each, find_mode(kernel, replace(observed, values=each.values), near)

    modes = near_the_best([mode_of(kernels[0], each) for each in warp.candidates(observed.values)])
    modes += [mode_of(kernel, each, mode) for kernel in kernels[1:] for each, mode in modes]
    found = [(each, approximate(mode)) for each, mode in near_the_best(modes)]
    return [_Model(each.name, process, process.evidence + each.log_evidence) for each, process in found]


def _seen(kernel: Kernel, observed: Observations) -> Observations:
    """What a component is conditioned on: one that knows no short trainings does not see them."""
    return observed if kernel.has_short else observed.rows(observed.short == 0.0)


def _conditioned(found: Sequence[_Share], observed: Observations) -> tuple[Component, ...]:
    """Components given observations whose values are scores."""
    made = []
    for name, kernel, theta, weight in found:
        seen = _seen(kernel, observed)
        warped = warp.MAPS[name](seen.values)
        posterior = make_posterior(kernel, theta, replace(seen, values=warped.values))
        made.append(Component(warp=warped, posterior=posterior, weight=weight))
    return tuple(made)


def _appended(component: Component, observed: Observations) -> Component:
    """With new rows, after the ones it has; all scores are warped anew."""
    seen = _seen(component.posterior.kernel, observed)
    warped = warp.MAPS[component.warp.name](seen.values)
    new = replace(seen, values=warped.values).rows(slice(len(component.posterior.alpha), None))
    return replace(component, warp=warped, posterior=component.posterior.appended(new, warped.values))


def succeeded(trainings: Sequence[Training]) -> dict[int, bool]:
    """Of each point whether its longest trainings gave a score, one of them at least; the order told does not matter."""
    longest: dict[int, tuple[int, bool]] = {}
    for point, score, steps in trainings:
        longest[point] = max(longest.get(point, (steps, False)), (steps, bool(np.isfinite(score))))
    return {point: success for point, (_, success) in longest.items()}


def _success(encoding: Encoding, trainings: Sequence[Training]) -> Success:
    success = sorted(succeeded(trainings).items())
    failed = np.array([not each for _, each in success], dtype=bool)
    kernel = make_kernel(encoding)
    return make_success(kernel, make_priors(kernel), encoding.codes([point for point, _ in success]), failed)
