"""Where a search stands after its whole rounds: expected scores, the suite so far, and a suite score for each trial.

The suite score of a trial is the PSNR to expect of the best suite with that trial in it. All of this is a pure function of the
journal and of the residuals it names, so it is the same when a search that was killed is continued.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search_paddle.config import SearchConfig
from search_paddle.early_stop import expected_score
from search_paddle.proxy.residuals import read_residuals, residuals_path
from search_paddle.suite.error_covariance import correlate, error_covariance, error_products
from search_paddle.suite.selection import ScoredSpec, Selection, select_complementary, select_suite, suite_scores
from shared.records.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a search stands.

    Attributes:
        trials: by number.
        scores: their scores, for a stopped trial the score to expect; NaN: failed. dB.
        selection: the suite; only trials that are done can be in it.
        suite_scores: PSNR to expect of the best suite with each trial in it, dB; NaN: failed. None: no errors are known.
    """

    trials: tuple[Trial, ...]
    scores: tuple[float, ...]
    selection: Selection
    suite_scores: tuple[float, ...] | None

    @property
    def members(self) -> tuple[Trial, ...]:
        """The trials in the suite, in its order."""
        by_id = {trial.id: trial for trial in self.trials}
        return tuple(by_id[candidate.id] for candidate in self.selection.members)


def stand(out: Path, trials: Iterable[Trial], config: SearchConfig) -> Standing:
    """Where a search stands.

    Args:
        out: its run folder, for the residuals.
        trials: all of some whole rounds, or of all.
        config: gives the suite's size and limits.

    Raises:
        UsageError: residuals that the journal names are not there.
    """
    ordered = tuple(sorted(trials, key=lambda trial: trial.trial))
    scores = tuple(expected_score(trial, [each for each in ordered if each.round < trial.round]) for trial in ordered)
    trained = [place for place, trial in enumerate(ordered) if trial.status != "failed"]
    done = [place for place in trained if ordered[place].status == "done"]
    limits, size = config.suite_limits(), config.suite_size
    candidates = [_candidate(ordered[place]) for place in done]
    if not done or any(ordered[place].residuals is None for place in trained):
        selection = select_suite(candidates, limits, size=size)
        return Standing(trials=ordered, scores=scores, selection=selection, suite_scores=None)
    covariance = np.full((len(ordered), len(ordered)), np.nan)
    covariance[np.ix_(trained, trained)] = _covariance(out, ordered, scores, trained)
    selection = select_complementary(candidates, covariance[np.ix_(done, done)], limits, size=size)
    chosen = {member.id for member in selection.members}
    places = [place for place in done if ordered[place].id in chosen]
    values = tuple(suite_scores(covariance, places, size=size).tolist())
    return Standing(trials=ordered, scores=scores, selection=selection, suite_scores=values)


def _covariance(out: Path, trials: Sequence[Trial], scores: Sequence[float], trained: Sequence[int]) -> np.ndarray:
    """(n, n), of the trials at these places."""
    chosen = [trials[place] for place in trained]
    arrays = [read_residuals(residuals_path(out, trial.trial), str(trial.residuals)) for trial in chosen]
    correlation = correlate(error_products(np.stack(arrays), pairs=len(chosen[0].psnr_rgb)))
    return error_covariance(correlation.values, np.array([scores[place] for place in trained]))


def _candidate(trial: Trial) -> ScoredSpec:
    assert trial.score is not None, "only trials that are done"
    return ScoredSpec(id=trial.id, family=trial.architecture["family"], score=trial.score, cost=trial.cost)
