"""Ending hopeless proxies early, and what a stopped one would have reached. Pure functions of the trials of earlier rounds.

A training's gain from step s is its final score minus its validation score at s. Gains of trainings that came to their end tell
what to expect of another: score(s) + mean gain, with the standard deviation of the gains. A proxy stops at s if that is more than
`stop_margin` standard deviations below the worst member of the suite so far. Only earlier rounds count, so neither the number of
jobs nor the order of arrival changes a decision. The sampler is told learning curves (gp_nas/fidelity.py), not expectations.
"""

from collections.abc import Sequence

import numpy as np

from search_paddle.config import SearchConfig
from search_paddle.journal import Trial

FROM = 8  # trainings that came to their end; before, nothing stops


def floors(earlier: Sequence[Trial], members: Sequence[Trial], config: SearchConfig) -> list[tuple[int, float]]:
    """(steps done, dB): a validation score below it there ends a training of the next round. Empty: none ends.

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
            reach = float(np.mean(gains)) + config.stop_margin * float(np.std(gains, ddof=1))
            found.append((step, round(worst - reach, 6)))
    return found


def expected_score(trial: Trial, earlier: Sequence[Trial]) -> float:
    """The score of a trial: its own, what was to expect when it was stopped, or NaN if it failed, dB.

    Args:
        trial: any.
        earlier: all trials of the rounds before its own.
    """
    if trial.status != "stopped":
        return float("nan") if trial.score is None else trial.score
    step, score = trial.validation[-1]
    return score + float(np.mean(_gains(earlier, step)))


def scores_by_steps(trial: Trial, config: SearchConfig) -> dict[int, float]:
    """What a trial tells the sampler: steps done -> score, dB; NaN: it failed.

    Where trainings may be stopped that is its learning curve, so that what stopped ones have reached is compared with what others
    had by then. Where all come to their end it is the end alone: the curve would be rows of numbers that tell nothing new.
    """
    if trial.status == "failed" or config.stop_margin is None:
        return {config.proxy.steps: float("nan") if trial.score is None else trial.score}
    return dict(trial.validation)


def _gains(trials: Sequence[Trial], step: int) -> list[float]:
    """Final score minus that at a step, of the trainings that have both."""
    scores = ((trial.score, dict(trial.validation).get(step)) for trial in trials)
    return [final - score for final, score in scores if final is not None and score is not None]
