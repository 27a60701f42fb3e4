"""GP-NAS as a sampler: ask for architectures, train them, tell the scores."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search_paddle.gp_nas.acquisition import DECIMALS, Improvement
from search_paddle.gp_nas.candidates import Choice, Feasibility
from search_paddle.gp_nas.design import gains
from search_paddle.gp_nas.encoding import Floats, make_encoding
from search_paddle.gp_nas.hierarchical import Trend, trend_of
from search_paddle.gp_nas.kernels import make_kernel
from search_paddle.gp_nas.priors import NOISE_LOCATION, make_priors
from search_paddle.gp_nas.surrogate import Component, Surrogate, Training, make_surrogate, succeeded
from search_paddle.gp_nas.threads import one_thread
from shared.errors import UsageError
from shared.space import Point, SearchSpace
from shared.space.dimensions import draw

POOL = 512  # points that the first design chooses from
DESIGN = (5, 10)  # trainings of it: as many as the trend has features, within these limits


class GPNAS:
    """Proposes the architectures that are worth training; scores are maximised.

    The first proposals follow mutual-information design (design.py), all others the expected improvement under a Gaussian process
    with GP-NAS's linear trend (surrogate.py). Nothing is proposed twice, and nothing that `feasible` refuses.

    A proposal is a function of the seed, of what was told, in that order, and of what is pending (asked, not yet told). A new
    sampler that is told the same trainings, in any portions, and is asked for the pending ones again, goes on with the same
    proposals. Up to 16 scores the order does not matter either; later it says to which of them hyperparameters were fitted.

    Args:
        space: what to search.
        seed: >= 0.
        feasible: asked before a point is proposed, about each point once; gets a copy. None: every point may be proposed.

    Raises:
        UsageError: the seed is no integer >= 0.

    Example:
        >>> sampler = GPNAS(SearchSpace.from_choices({"features": [16, 32, 64], "blocks": [2, 4, 8]}), seed=0)
        >>> points = sampler.ask(2)
        >>> sampler.tell(points, [28.1, float("nan")])
        >>> sampler.recommend() == points[0]
        True
    """

    def __init__(self, space: SearchSpace, seed: int = 0, feasible: Callable[[Point], bool] | None = None) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"seed: got {seed!r}, expected an integer >= 0")
        self._space, self._seed = space, seed
        self._feasible = Feasibility(space=space, feasible=feasible)
        self._encoding = make_encoding(space)
        self._kernel = make_kernel(self._encoding)
        self._priors = make_priors(self._kernel)
        self._trainings: list[Training] = []
        self._pending: list[int] = []
        self._fitted: Surrogate | None = None
        self._is_current = True
        self._order: list[int] | None = None
        self._believed: tuple[Surrogate | None, tuple[int, ...], tuple[Component, ...]] = (None, (), ())

    def ask(self, n: int = 1) -> list[Point]:
        """The next points to train; they count as pending until they are told.

        Args:
            n: how many, >= 0.

        Returns:
            n points, different from each other and from all asked or told before. Fewer, at last none, when the space is
            exhausted: no feasible point is left (over 200,000 points: 20,000 random draws met none).

        Raises:
            UsageError: n is negative.
        """
        if n < 0:
            raise UsageError(f"ask: got n = {n}, expected at least 0")
        points: list[Point] = []
        with one_thread():
            while len(points) < n and (index := self._propose()) is not None:
                self._pending.append(index)
                points.append(self._space.point(index))
        return points

    def tell(
        self,
        points: Sequence[Mapping[str, Any]],
        scores: Iterable[float],
        steps: Iterable[int] | None = None,
    ) -> None:
        """Add trainings. Points never asked are welcome; a point told again was trained again, and its scores are averaged.

        Trainings may be of several lengths: short ones inform about long ones as far as they agree (fidelity.py). A training's
        learning curve is its point told once for each validation, with the steps done by then. All that is proposed, predicted
        and recommended is about the most steps told.

        Args:
            points: of the space.
            scores: one a point, the larger the better; NaN or infinity: that training failed.
            steps: one a point, after how many steps it scored so, >= 1. None: all trainings, here and in other calls, are of one
                length.

        Raises:
            SpecError: not a point of the space.
            UsageError: not as many scores or steps as points, a score that is no number, steps that are none, or steps here
                where other calls had none, or the other way round. Nothing is added then.
        """
        values = [_score(score) for score in scores]
        lengths = [0] * len(points) if steps is None else [_steps(each) for each in steps]
        for name, given in (("scores", values), ("steps", lengths)):
            if len(given) != len(points):
                raise UsageError(f"tell: got {len(points)} points and {len(given)} {name}, expected one a point")
        if points and self._trainings and (steps is None) != (self._trainings[0].steps == 0):
            now, before = ("no steps", "with") if steps is None else ("steps", "without")
            raise UsageError(f"tell: got {now} where trainings were told {before} them; tell all trainings in one way")
        indices = [self._space.index(point) for point in points]
        self._trainings += map(Training, indices, values, lengths)
        self._pending = [index for index in self._pending if index not in set(indices)]
        self._is_current, self._order = False, None

    def predict(self, points: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the score that one training of each point would have, if it succeeds; of the most steps.

        With nothing told, the prior: mean 0, on the scale of a standardised score.

        Args:
            points: m points of the space.

        Returns:
            float64 (m,) and (m,), the score's unit; noise of one training included.

        Raises:
            SpecError: not a point of the space.
        """
        codes = self._encoding.codes([self._space.index(point) for point in points])
        with one_thread():
            return self._surrogate().predict(codes)

    def recommend(self) -> Point:
        """The trained point of largest posterior mean: noise can make a poor point's score the highest, but hardly its mean.

        Only points trained for the most steps count. Of what the model calls noise, half is taken as the architecture's own
        (surrogate.py): it stays in every training. On tables of trained networks it is more than that.

        Raises:
            UsageError: no training with a finite score was told.
        """
        with one_thread():
            ranked = self._ranked()
        if not ranked:
            raise UsageError("recommend: got no finite score yet, expected at least one; tell a training first")
        return self._space.point(ranked[0])

    def trend(self) -> Trend:
        """GP-NAS's posterior of the trend's weights (hierarchical.py) in the heaviest component, in units of warped scores."""
        with one_thread():
            return trend_of(self._surrogate().components[0].posterior)

    def _surrogate(self) -> Surrogate:
        if not self._is_current or self._fitted is None:
            self._fitted, self._is_current = make_surrogate(self._encoding, self._trainings, self._fitted), True
        return self._fitted

    def _ranked(self) -> list[int]:
        """Points trained for the most steps, by what they are worth, best first."""
        if self._order is None:
            self._order = self._by_worth()
        return self._order

    def _by_worth(self) -> list[int]:
        """Points that failed when they were trained longer than any that has a score come last."""
        success, worth = succeeded(self._trainings), self._surrogate().worth()
        return sorted(worth, key=lambda point: (not success[point], round(-worth[point], DECIMALS), point))

    def _propose(self) -> int | None:
        choice = Choice(
            encoding=self._encoding,
            seen={*(training.point for training in self._trainings), *self._pending},
            feasible=self._feasible,
            rng=np.random.default_rng([self._seed, len(self._trainings), len(self._pending)]),
        )
        finite = any(np.isfinite(training.score) for training in self._trainings)
        size = min(max(len(self._kernel.features), DESIGN[0]), DESIGN[1])
        if not finite or len(choice.seen) < size:
            return self._design(choice)
        return self._improve(choice)

    def _design(self, choice: Choice) -> int | None:
        """The point that tells most about the others under the prior, of the family with the fewest points so far."""
        chosen = sorted(choice.seen)
        pool = design_pool(self._space, np.random.default_rng(self._seed))
        indices = [*chosen, *sorted(pool.difference(chosen))]
        codes = self._encoding.codes(indices)
        covariance = self._kernel.covariance(self._priors.location, codes)
        values = gains(covariance, len(chosen), float(np.exp(NOISE_LOCATION)))
        points = np.bincount(codes[: len(chosen), 0], minlength=self._encoding.families)
        for fewest in np.unique(points):
            rows = np.flatnonzero(points[codes[:, 0]] == fewest)
            found = choice.best([indices[row] for row in rows], values[rows])
            if found is not None:
                return found
        return choice.any()

    def _improve(self, choice: Choice) -> int | None:
        """The point of largest expected improvement, as if pending points had scored what is expected of them."""
        improvement = Improvement(self._expecting(), self._surrogate().success)
        return choice.maximise(improvement, improvement.first, self._ranked())

    def _expecting(self) -> tuple[Component, ...]:
        """The model that believes pending points, one after another: a batch costs a row for each."""
        model, pending = self._surrogate(), tuple(self._pending)
        if self._believed[0] is not model or pending[: len(self._believed[1])] != self._believed[1]:
            self._believed = (model, (), model.components)
        _, known, components = self._believed
        for index in pending[len(known) :]:
            code = self._encoding.codes([index])
            components = tuple(replace(each, posterior=each.posterior.believing(code)) for each in components)
        self._believed = (model, pending, components)
        return components


def design_pool(space: SearchSpace, rng: np.random.Generator) -> set[int]:
    """Numbers of at most POOL points: all of a family, or, if it is large, an equal share of random ones."""
    share = POOL // len(space.branches)
    pool: set[int] = set()
    for branch, offset in zip(space.branches, space.offsets, strict=True):
        drawn = range(branch.size) if branch.size <= share else draw(rng, branch.size, share)
        pool.update(offset + number for number in drawn)
    return pool


def _score(score: Any) -> float:
    try:
        return float(score)
    except (TypeError, ValueError):
        raise UsageError(
            f"tell: got the score {score!r}, expected a number; a failed training is float('nan')"
        ) from None


def _steps(steps: Any) -> int:
    try:
        found = 0 if isinstance(steps, bool) else operator.index(steps)
    except TypeError:
        found = 0
    if found < 1:
        raise UsageError(f"tell: got {steps!r} steps, expected an integer >= 1: how long that training was")
    return found
