"""On tables of trained networks: far better than random, and predictions that rank."""

import csv
import gzip
import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from search_paddle.gp_nas import GPNAS
from shared.space import SearchSpace

BUDGET = 50
RANDOM_RANK = {
    "nats_sss": 32_768 / (BUDGET + 1),
    "nas_bench_macro": 6_561 / (BUDGET + 1),
}  # the mean rank of the best of 50


class RandomSampler:
    """The control: draws without repeats."""

    def __init__(self, space, seed):
        self.order = iter(np.random.default_rng(seed).permutation(space.size).tolist())
        self.space = space

    def ask(self, n):
        return [self.space.point(next(self.order)) for _ in range(n)]

    def tell(self, points, scores):
        pass


def read(data, folder, metric):
    """The space of a complete table, and the score of each point by its number."""
    facts = json.loads(next((data / "nas" / folder).glob("*.json")).read_text())
    space = SearchSpace.from_choices(facts["choices"], tuple(facts["categorical"]))
    path = next((data / "nas" / folder).glob("*.csv*"))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file))
    scores = np.full(space.size, np.nan)
    for row in rows:
        scores[space.index({name: int(row[name]) for name in facts["choices"]})] = float(row[metric])
    assert np.isfinite(scores).all()
    return space, scores


def rank_of_the_best(make, space, scores, seed):
    sampler, found = make(space, seed=seed), []
    while len(found) < BUDGET:
        points = sampler.ask(5)
        values = [scores[space.index(point)] for point in points]
        sampler.tell(points, values)
        found += values
    return 1 + int(np.sum(scores > max(found)))


@pytest.mark.parametrize(("folder", "metric"), [("nats_sss", "C100"), ("nas_bench_macro", "acc")])
def test_50_trainings_find_one_of_the_best_networks(real_data, folder, metric):
    space, scores = read(real_data, folder, metric)

    def check(make):
        ranks = [rank_of_the_best(make, space, scores, seed) for seed in range(2)]
        assert np.mean(ranks) <= RANDOM_RANK[folder] / 20, ranks

    check(GPNAS)
    with pytest.raises(AssertionError):
        check(RandomSampler)


def test_100_trainings_rank_the_rest_and_say_how_surely(real_data):
    space, scores = read(real_data, "nas_bench_macro", "acc")
    order = np.random.default_rng(0).permutation(space.size).tolist()
    known, held = order[:100], order[100:2100]
    sampler = GPNAS(space, seed=0)
    sampler.tell([space.point(index) for index in known], scores[known])
    mean, std = sampler.predict([space.point(index) for index in held])
    assert kendalltau(mean, scores[held]).statistic > 0.85  # a ridge regression reaches .73, extremely random trees .75
    assert 0.9 < np.mean(np.abs(scores[held] - mean) < 1.96 * std) < 0.99
