"""The model of a search: Gaussian processes on warped scores, averaged, and one on success.

Hyperparameters are fitted when the number of scores reaches one of `refit_at`, to the scores told by then; between two fits
each new score adds a row to every factor. All follows from the trainings in the order they were told, so a sampler that is
rebuilt from a journal has the same model to the last bit. Up to ALWAYS scores the order does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from search_paddle.gp_nas import warp
from search_paddle.gp_nas.averaging import Laplace, Mode, approximate, draw, find_mode, shares
from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
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

Training = tuple[int, float]  # number of a point, and its score; NaN or infinity: it failed


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

    def quantiles(self, codes: Codes) -> Floats:
        """Equally probable scores of one new training, noise included, ascending; (m, NODES)."""
        mean, variance = self.posterior.predict(codes)
        return self.warp.scores(mean[:, None] + np.sqrt(variance + self.posterior.noise)[:, None] * NODES)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surrogate:
    """A fitted model.

    Attributes:
        components: the average, heaviest first; at least one.
        success: the model of which trainings fail.
        indices: numbers of the points with a score: the rows of the processes' observations.
        scored: scores that it knows.
        fitted: the first so many of them gave the hyperparameters.
    """

    components: tuple[Component, ...]
    success: Success
    indices: tuple[int, ...]
    scored: int
    fitted: int

    def worth(self) -> Floats:
        """What each point with a score is worth, in the score's unit; (n,), in the order of `indices`."""
        total = np.zeros(len(self.indices))
        for component in self.components:
            total += component.weight * component.warp.scores(component.posterior.worth(OWN))
        return total

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and std of the score of one new training that succeeds, noise included, in the score's unit; each (m,).

        The std is that of the normal distribution whose central 80 % are as wide, times WIDER: a predicted score is often skewed,
        since networks fail badly and excel by little, and the second moment would say more of rare failures than of uncertainty.
        """
        if not len(codes):
            return np.zeros(0), np.zeros(0)
        chances = np.repeat([component.weight / len(NODES) for component in self.components], len(NODES))
        values = np.concatenate([component.quantiles(codes) for component in self.components], axis=1)
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
    finite = [(index, score) for index, score in trainings if np.isfinite(score)]
    fitted, scores = refit_at(len(finite)), _by_point(finite)
    start = max(fitted, _after_last_repeat(finite))
    if before is None or before.fitted != fitted or before.scored < start:
        base = _by_point(finite[:start])
        indices = tuple(sorted(base))
        components = _conditioned(
            _fit(encoding, finite[:fitted]), encoding, [base[index] for index in indices], indices
        )
    else:
        indices, components = before.indices, before.components
    known = set(indices)
    new = tuple(index for index in scores if index not in known)
    if new:
        indices = (*indices, *new)
        means = np.array([np.mean(scores[index]) for index in indices])
        components = tuple(_appended(component, encoding.codes(new), means) for component in components)
    return Surrogate(
        components=components,
        success=_success(encoding, trainings),
        indices=indices,
        scored=len(finite),
        fitted=fitted,
    )


def _by_point(trainings: Sequence[Training]) -> dict[int, list[float]]:
    scores: dict[int, list[float]] = {}
    for index, score in trainings:
        scores.setdefault(index, []).append(score)
    return {index: sorted(each) for index, each in scores.items()}


def _after_last_repeat(trainings: Sequence[Training]) -> int:
    """How many trainings there are up to the last one of a point trained before: a row is changed by it, not added."""
    seen: set[int] = set()
    last = 0
    for place, (index, _) in enumerate(trainings, start=1):
        last = place if index in seen else last
        seen.add(index)
    return last


def _observations(codes: Codes, scores: Sequence[Sequence[float]], values: Floats) -> Observations:
    repeats = np.array([len(each) for each in scores], dtype=np.float64)
    return Observations(codes=codes, values=values, repeats=repeats, extra=np.zeros(len(codes)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Share:
    """What a component is before it is conditioned: a warp's name, a kernel, hyperparameters and a weight."""

    warp: str
    kernel: Kernel
    theta: Floats
    weight: float


def _fit(encoding: Encoding, trainings: Sequence[Training]) -> list[_Share]:
    """The average of the models of finite trainings, heaviest first."""
    kernels = [make_kernel(encoding, smoothness) for smoothness in reversed(SMOOTHNESS)]
    if not trainings:
        return [_Share(warp="identity", kernel=kernels[0], theta=make_priors(kernels[0]).location, weight=1.0)]
    places = np.linspace(0, len(trainings) - 1, min(len(trainings), FITTED)).round().astype(int)
    scores = _by_point([trainings[place] for place in places])
    indices = sorted(scores)
    codes, each = encoding.codes(indices), [scores[index] for index in indices]
    models = _models(kernels, warp.candidates(np.array([np.mean(parts) for parts in each])), codes, each)
    evidences = np.array([model.evidence + bonus for _, model, bonus in models])
    size = min(max(100 * COMPONENTS // len(trainings), FEWEST), COMPONENTS)
    found = []
    for (name, model, _), evidence, count in zip(models, evidences, shares([*evidences], size), strict=True):
        if count:
            thetas, weights = draw(model, count)
            weights = weights * np.exp(evidence - evidences.max())
            found += [
                _Share(warp=name, kernel=model.mode.kernel, theta=theta, weight=float(weight))
                for theta, weight in zip(thetas, weights, strict=True)
            ]
    total = sum(share.weight for share in found)
    found = [replace(share, weight=share.weight / total) for share in found]
    return sorted(found, key=lambda share: -share.weight)


def _models(
    kernels: Sequence[Kernel], warps: Sequence[Warp], codes: Codes, scores: Sequence[Sequence[float]]
) -> list[tuple[str, Laplace, float]]:
    """The models worth a share: a warp's name, the model, and what the warp adds to the evidence.

    A model HOPELESS nats below the best is not followed up: neither a warp to the other kernels, nor a mode to its curvature.
    """

    def near_the_best(modes: list[tuple[Warp, Mode]]) -> list[tuple[Warp, Mode]]:
        heights = [mode.height + each.log_evidence for each, mode in modes]
        return [pair for pair, height in zip(modes, heights, strict=True) if height > max(heights) - HOPELESS]

    def mode_of(kernel: Kernel, each: Warp, near: Mode | None = None) -> tuple[Warp, Mode]:
        return each, find_mode(kernel, _observations(codes, scores, each.values), near)

    modes = near_the_best([mode_of(kernels[0], each) for each in warps])
    modes += [mode_of(kernel, each, mode) for kernel in kernels[1:] for each, mode in modes]
    return [(each.name, approximate(mode), each.log_evidence) for each, mode in near_the_best(modes)]


def _conditioned(
    found: Sequence[_Share], encoding: Encoding, scores: Sequence[Sequence[float]], indices: Sequence[int]
) -> tuple[Component, ...]:
    """Components given points and the scores of each."""
    codes, means = encoding.codes(indices), np.array([np.mean(each) for each in scores])
    warps = {name: warp.MAPS[name](means) for name in {share.warp for share in found}}
    return tuple(
        Component(
            warp=warps[share.warp],
            posterior=make_posterior(share.kernel, share.theta, _observations(codes, scores, warps[share.warp].values)),
            weight=share.weight,
        )
        for share in found
    )


def _appended(component: Component, codes: Codes, means: Floats) -> Component:
    """With new points, each trained once; all scores are warped anew."""
    made, count = warp.MAPS[component.warp.name](means), len(codes)
    new = Observations(codes=codes, values=made.values[-count:], repeats=np.ones(count), extra=np.zeros(count))
    return replace(component, warp=made, posterior=component.posterior.appended(new, made.values))


def _success(encoding: Encoding, trainings: Sequence[Training]) -> Success:
    """Of each point whether a training of it succeeded; the order told does not matter."""
    scores = _by_point(trainings)
    indices = sorted(scores)
    failed = np.array([not np.isfinite(scores[index]).any() for index in indices], dtype=bool)
    kernel = make_kernel(encoding)
    return make_success(kernel, make_priors(kernel), encoding.codes(indices), failed)
