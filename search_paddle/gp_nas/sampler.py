"""GP-NAS as a sampler: ask for architectures, train them, tell the scores."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from search_paddle.gp_nas.acquisition import ACQUISITIONS, DECIMALS
from search_paddle.gp_nas.candidates import Choice, Feasibility
from search_paddle.gp_nas.design import design_pool, gains
from search_paddle.gp_nas.encoding import Floats, make_encoding
from search_paddle.gp_nas.process.kernels import make_kernel
from search_paddle.gp_nas.process.priors import make_priors
from search_paddle.gp_nas.process.trend import Trend, trend_of
from search_paddle.gp_nas.surrogate.condition import make_surrogate
from search_paddle.gp_nas.surrogate.evaluations import Evaluation, succeeded
from search_paddle.gp_nas.surrogate.predict import Component, Surrogate
from shared.errors import UsageError, nearest
from shared.space import Point, SearchSpace

DESIGN = (5, 10)  # trainings of the first design: as many as the trend has features, within these limits


class GPNAS:
    """Proposes the architectures that are worth training; scores are maximised.

    The first proposals follow mutual-information design (design.py). All others maximise an acquisition function under Gaussian
    processes with GP-NAS's linear trend (acquisition.py, surrogate/). Nothing is proposed twice, nor is anything that
    `feasible` refuses.

    A proposal is a function of the seed, of what was told, in that order, and of what is pending (asked, not yet told). A new
    sampler that is told the same trainings, in any portions, and is asked for the pending ones again, continues with the same
    proposals. Up to 16 scores the order does not matter either; later it decides which scores hyperparameters were fitted to.

    Args:
        space: what to search.
        seed: >= 0.
        feasible: asked before a point is proposed, about each point once; gets a copy. None: every point may be proposed.
        acquisition: one of `acquisition.ACQUISITIONS`.

    Raises:
        UsageError: the seed is no integer >= 0, or there is no such acquisition.

    Example:
        >>> sampler = GPNAS(SearchSpace.from_choices({"features": [16, 32, 64], "blocks": [2, 4, 8]}), seed=0)
        >>> points = sampler.ask(2)
        >>> sampler.tell(points, [28.1, float("nan")])
        >>> sampler.recommend() == points[0]
        True
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        feasible: Callable[[Point], bool] | None = None,
        *,
        acquisition: str = "log_expected_improvement",
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"seed: got {seed!r}, expected an integer >= 0")
        if acquisition not in ACQUISITIONS:
            known = sorted(ACQUISITIONS)
            raise UsageError(f"acquisition: got {acquisition!r}, expected one of {known}{nearest(acquisition, known)}")
        self._space, self._seed, self._acquisition = space, seed, ACQUISITIONS[acquisition]
        self._feasible = Feasibility(space=space, feasible=feasible)
        self._encoding = make_encoding(space)
        self._kernel = make_kernel(self._encoding)
        self._priors = make_priors(self._kernel)
        self._evaluations: list[Evaluation] = []
        self._pending: list[int] = []
        self._fitted: Surrogate | None = None
        self._is_current = True
        self._order: list[int] | None = None
        self._fantasies: tuple[Surrogate | None, tuple[int, ...], tuple[Component, ...]] = (None, (), ())

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
        with _one_thread():
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

        Trainings may be of several lengths: the score after few steps is a low fidelity of the score after many, and informs
        about it as far as the two agree (process/kernels.py). To tell a learning curve, tell its point once for each
        validation, with the steps done by then. All proposals, predictions and recommendations are for the most steps told, the
        highest fidelity.

        Args:
            points: of the space.
            scores: one a point, the larger the better; NaN or infinity: that training failed.
            steps: one a point, after how many steps it had this score, >= 1. None: all trainings, here and in other calls, have
                one length.

        Raises:
            SpecError: not a point of the space.
            UsageError: not as many scores or steps as points; a score that is no number; steps that are no integer >= 1; steps in
                this call and none in an earlier one, or the other way round. Nothing is added then.
        """
        values = [_score(score) for score in scores]
        lengths = [0] * len(points) if steps is None else [_steps(each) for each in steps]
        for name, given in (("scores", values), ("steps", lengths)):
            if len(given) != len(points):
                raise UsageError(f"tell: got {len(points)} points and {len(given)} {name}, expected one a point")
        if points and self._evaluations and (steps is None) != (self._evaluations[0].steps == 0):
            now, before = ("no steps", "with") if steps is None else ("steps", "without")
            raise UsageError(f"tell: got {now} where trainings were told {before} them; tell all trainings in one way")
        indices = [self._space.index(point) for point in points]
        self._evaluations += map(Evaluation, indices, values, lengths)
        self._pending = [index for index in self._pending if index not in set(indices)]
        self._is_current, self._order = False, None

    def predict(self, points: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the score of one training of each point, of the most steps told, if it succeeds.

        Before anything is told this is the prior: mean 0, on the scale of a standardised score.

        Args:
            points: m points of the space.

        Returns:
            float64 (m,) and (m,), the score's unit; noise of one training included.

        Raises:
            SpecError: not a point of the space.
        """
        codes = self._encoding.codes([self._space.index(point) for point in points])
        with _one_thread():
            return self._surrogate().predict(codes)

    def recommend(self) -> Point:
        """The trained point of largest denoised mean: noise can make a poor point's score the highest, but hardly its mean.

        Only points trained for the most steps count. Half of what the model calls noise counts as the architecture's own
        (surrogate/predict.py): it stays in every training. On tables of trained networks it is more than half.

        Raises:
            UsageError: no training with a finite score was told.
        """
        with _one_thread():
            ranked = self._ranked()
        if not ranked:
            raise UsageError("recommend: got no finite score yet, expected at least one; tell a training first")
        return self._space.point(ranked[0])

    def trend(self) -> Trend:
        """GP-NAS's posterior of the trend's weights (process/trend.py) in the heaviest component, in units of warped scores."""
        with _one_thread():
            return trend_of(self._surrogate().components[0].posterior)

    def _surrogate(self) -> Surrogate:
        if not self._is_current or self._fitted is None:
            self._fitted, self._is_current = make_surrogate(self._encoding, self._evaluations, self._fitted), True
        return self._fitted

    def _ranked(self) -> list[int]:
        """Points trained for the most steps, by their denoised means, best first.

        Points that failed when they were trained longer than any point with a score come last.
        """
        if self._order is None:
            success, means = succeeded(self._evaluations), self._surrogate().denoised_means()
            self._order = sorted(means, key=lambda point: (not success[point], round(-means[point], DECIMALS), point))
        return self._order

    def _propose(self) -> int | None:
        choice = Choice(
            encoding=self._encoding,
            seen={*(each.point for each in self._evaluations), *self._pending},
            feasible=self._feasible,
            rng=np.random.default_rng([self._seed, len(self._evaluations), len(self._pending)]),
        )
        finite = any(np.isfinite(each.score) for each in self._evaluations)
        size = min(max(len(self._kernel.linear.names), DESIGN[0]), DESIGN[1])
        if not finite or len(choice.seen) < size:
            return self._design(choice)
        return self._maximise(choice)

    def _design(self, choice: Choice) -> int | None:
        """The point that tells most about the others under the prior, of the family with the fewest points so far."""
        chosen = sorted(choice.seen)
        pool = design_pool(self._space, np.random.default_rng(self._seed))
        indices = [*chosen, *sorted(pool.difference(chosen))]
        codes = self._encoding.codes(indices)
        covariance = self._kernel.covariance(self._priors.mode, codes)
        values = gains(covariance, len(chosen), self._priors.mode.noise)
        points = np.bincount(codes[: len(chosen), 0], minlength=self._encoding.families)
        for fewest in np.unique(points):
            rows = np.flatnonzero(points[codes[:, 0]] == fewest)
            found = choice.best([indices[row] for row in rows], values[rows])
            if found is not None:
                return found
        return choice.any()

    def _maximise(self, choice: Choice) -> int | None:
        """The point of largest acquisition, with fantasies for pending points: as if each had scored its mean."""
        acquisition = self._acquisition(self._with_fantasies(), self._surrogate().success)
        return choice.maximise(acquisition, acquisition.first, self._ranked())

    def _with_fantasies(self) -> tuple[Component, ...]:
        """The model with pending points added one after another: a batch costs a row for each."""
        model, pending = self._surrogate(), tuple(self._pending)
        if self._fantasies[0] is not model or pending[: len(self._fantasies[1])] != self._fantasies[1]:
            self._fantasies = (model, (), model.components)
        _, known, components = self._fantasies
        for index in pending[len(known) :]:
            code = self._encoding.codes([index])
            components = tuple(replace(each, posterior=each.posterior.fantasized(code)) for each in components)
        self._fantasies = (model, pending, components)
        return components


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


def _one_thread() -> AbstractContextManager[Any]:
    """Limits BLAS to one thread while entered; what was set before holds again afterwards.

    For small matrices more threads are slower, and beside busy workers far slower (measured: minutes instead of seconds).
    """
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> ThreadpoolController:
    """Looks for the loaded libraries once: that takes milliseconds."""
    return ThreadpoolController()
