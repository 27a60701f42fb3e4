import numpy as np
import pytest

from search_paddle.gp_nas.suite import Candidate, select_suite
from shared.errors import UsageError


def candidate(name: str, score: float, macs: float = 1.0) -> Candidate:
    return Candidate(id=name, family=name.split("-")[0], score=score, cost={"macs_per_pixel": macs})


POOL = [candidate("rcan-a", 30.0), candidate("rcan-b", 29.9), candidate("rcan-c", 29.8), candidate("drn-a", 28.0, 3.0)]
POOL += [candidate("drn-b", 27.0), candidate("dual-a", np.nan)]


def ids(suite: tuple[Candidate, ...]) -> list[str]:
    return [one.id for one in suite]


def test_the_best_of_each_family_comes_before_better_ones_of_the_same():
    assert ids(select_suite(POOL)) == ["rcan-a", "rcan-b", "drn-a"]
    assert ids(select_suite(POOL, size=2)) == ["rcan-a", "drn-a"]
    assert ids(select_suite(POOL, size=1)) == ["rcan-a"]


def test_failed_and_too_costly_candidates_are_left_out():
    assert ids(select_suite(POOL, {"macs_per_pixel": 2.0})) == ["rcan-a", "rcan-b", "drn-b"]
    assert ids(select_suite(POOL, {"macs_per_pixel": 0.5})) == []
    assert ids(select_suite(POOL, size=9)) == ["rcan-a", "rcan-b", "rcan-c", "drn-a", "drn-b"]


def test_the_order_of_candidates_does_not_matter():
    generator = np.random.default_rng(0)
    tied = [*POOL, candidate("rcan-d", 30.0), candidate("drn-c", 28.0)]
    expected = ids(select_suite(tied, size=4))
    for _ in range(20):
        assert ids(select_suite([tied[i] for i in generator.permutation(len(tied))], size=4)) == expected


def test_a_limit_on_an_unknown_figure_is_refused():
    with pytest.raises(UsageError, match="macs_per_pixle"):
        select_suite(POOL, {"macs_per_pixle": 1.0})
