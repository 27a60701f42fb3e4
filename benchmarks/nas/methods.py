"""The methods that search a table without another package: random, evolution, local search, PaddleSlim's formulas, and ours.

A method proposes the number of a point, or None when it has none left, and is told the score (NaN: failed). Those without a
design of their own begin with the problem's. None of these proposes a forbidden point.
"""

from typing import Protocol

import numpy as np

from benchmarks.nas.problems import Problem
from search_paddle.gp_nas import GPNAS
from search_paddle.gp_nas.paddleslim import PaddleSlimGPNAS

POPULATION = 20
TOURNAMENT = 5
TRIES = 100  # mutations drawn for one that is allowed


class Method(Protocol):
    def ask(self) -> int | None: ...
    def tell(self, index: int, score: float) -> None: ...
    def recommend(self) -> int: ...


class Observing:
    """Keeps what was told, begins with the design, recommends the best score."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rng = np.random.default_rng([problem.seed, 2021])
        self.indices: list[int] = []
        self.scores: list[float] = []

    def ask(self) -> int | None:
        if len(self.indices) < len(self.problem.design):
            return self.problem.design[len(self.indices)]
        return self.propose()

    def propose(self) -> int | None:
        raise NotImplementedError

    def tell(self, index: int, score: float) -> None:
        self.indices.append(index)
        self.scores.append(score)

    def recommend(self) -> int:
        return self.indices[int(np.nanargmax(self.scores))]

    def unseen(self) -> np.ndarray:
        """Numbers of the allowed points that were not trained."""
        free = self.problem.allowed.copy()
        free[self.indices] = False
        return np.flatnonzero(free)

    def finite(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and scores of the trainings that did not fail, each point once."""
        good = {index: score for index, score in zip(self.indices, self.scores, strict=True) if np.isfinite(score)}
        return np.array(list(good), dtype=int), np.array(list(good.values()))


class Random(Observing):
    """Draws without repeats."""

    def propose(self) -> int | None:
        left = self.unseen()
        return int(self.rng.choice(left)) if len(left) else None


class Evolution(Observing):
    """Regularised evolution (Real et al., AAAI 2019): the oldest dies, the best of a few random ones is mutated in one choice."""

    def propose(self) -> int | None:
        if len(self.indices) < POPULATION:
            return int(self.rng.choice(self.unseen()))
        living = np.arange(len(self.indices) - POPULATION, len(self.indices))
        scores = np.nan_to_num(np.array(self.scores), nan=-np.inf)
        chosen = self.rng.choice(living, TOURNAMENT, replace=False)
        parent = self.indices[int(chosen[np.argmax(scores[chosen])])]
        for _ in range(TRIES):
            child = self.mutate(parent)
            if self.problem.allowed[child]:
                return child
        return parent

    def mutate(self, parent: int) -> int:
        code = self.problem.codes[parent].copy()
        place = self.rng.integers(len(code))
        code[place] = (code[place] + self.rng.integers(1, self.problem.sizes[place])) % self.problem.sizes[place]
        return self.problem.index(code)


class LocalSearch(Observing):
    """Neighbours of the best in random order, moving on at once to a better one; from a local optimum to a random point.

    White et al., UAI 2021, the variant that queries until an improvement.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.base: tuple[int, float] | None = None

    def tell(self, index: int, score: float) -> None:
        super().tell(index, score)
        if np.isfinite(score) and (self.base is None or score > self.base[1]):
            self.base = index, score

    def propose(self) -> int | None:
        if self.base is not None:
            seen = set(self.indices)
            around = [
                other
                for other in self.problem.space.neighbour_indices(self.base[0])
                if other not in seen and self.problem.allowed[other]
            ]
            if around:
                return int(self.rng.choice(around))
        self.base = None
        left = self.unseen()
        return int(self.rng.choice(left)) if len(left) else None


class PaddleSlim(Observing):
    """PaddleSlim's formulas used greedily over the whole table: weights by least squares from all trainings, joint prediction."""

    def propose(self) -> int | None:
        left = self.unseen()
        indices, scores = self.finite()
        if not len(left):
            return None
        tokens = self.problem.codes
        model = PaddleSlimGPNAS().initial_mean(tokens[indices], scores)
        return int(left[np.argmax(model.predict_joint(tokens[left], tokens[indices], scores))])


class Ours:
    """The default sampler, with a design of its own."""

    def __init__(self, problem: Problem) -> None:
        self.space = problem.space
        everything_allowed = bool(problem.allowed.all())
        feasible = None if everything_allowed else lambda point: bool(problem.allowed[self.space.index(point)])
        self.sampler = GPNAS(problem.space, seed=problem.seed, feasible=feasible)

    def ask(self) -> int | None:
        points = self.sampler.ask(1)
        return self.space.index(points[0]) if points else None

    def tell(self, index: int, score: float) -> None:
        self.sampler.tell([self.space.point(index)], [score])

    def recommend(self) -> int:
        return self.space.index(self.sampler.recommend())
