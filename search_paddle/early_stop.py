"""Which proxies are stopped early, and the score to expect of a stopped one. Pure functions of the trials of earlier rounds.

The gain of a training from step s is its final score minus its validation score at s. From the gains of trainings that are done
follows the score to expect of another one: score(s) + mean gain, with the standard deviation of the gains. A proxy is stopped at
s if that score is more than `stop_margin` standard deviations below the worst member of the suite so far. Only earlier rounds
count, so neither the number of jobs nor the order of arrival changes a decision. The sampler is told learning curves
(gp_nas/surrogate/evaluations.py), not expected scores.
"""

from collections.abc import Sequence

import numpy as np

from search_paddle.config import SearchConfig
from shared.records.trial import Trial

FROM = 8  # trainings that are done; with fewer, none is stopped


def floors(earlier: Sequence[Trial], members: Sequence[Trial], config: SearchConfig) -> list[tuple[int, float]]:
    """The lowest validation scores, (steps done, dB), with which a training of the next round continues. Empty: none is stopped.

    Args:
        earlier: all trials of the rounds before.
        members: those in the suite so far.
        config: gives steps and margin.
    """
    if config.stop_margin is None or not members:
        return []
    worst = min(trial.score for trial in members if trial.score is not None)
    found = []
    for step in config.proxy.validated_after[:-1]:
        gains = _gains(earlier, step)
        if len(gains) >= FROM:
            most = float(np.mean(gains)) + config.stop_margin * float(np.std(gains, ddof=1))
            found.append((step, round(worst - most, 6)))
    return found


def expected_score(trial: Trial, earlier: Sequence[Trial]) -> float:
    """The score of a trial, dB: its own if it is done, the score to expect if it was stopped, NaN if it failed.

    Args:
        trial: any.
        earlier: all trials of the rounds before its own.
    """
    if trial.status != "stopped":
        return float("nan") if trial.score is None else trial.score
    step, score = trial.validation[-1]
    return score + float(np.mean(_gains(earlier, step)))


def scores_by_steps(trial: Trial, config: SearchConfig) -> dict[int, float]:
    """What the sampler is told of a trial: steps done -> score, dB; NaN: it failed.

    If trainings may be stopped, that is the learning curve: the last score of a stopped training is then compared with the scores
    of others after as many steps. If none is stopped, it is the final score alone; the curves would add nothing.
    """
    if trial.status == "failed" or config.stop_margin is None:
        return {config.proxy.steps: float("nan") if trial.score is None else trial.score}
    return dict(trial.validation)


def _gains(trials: Sequence[Trial], step: int) -> list[float]:
    """Final score minus that at a step, of the trainings that have both."""
    scores = ((trial.score, dict(trial.validation).get(step)) for trial in trials)
    return [final - score for final, score in scores if final is not None and score is not None]
