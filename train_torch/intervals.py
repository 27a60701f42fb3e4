"""Paired confidence intervals over images: is one row of the table better than another, or does it only look so?"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999
COMPARED = ("psnr_rgb", "psnr_y")


def gain_interval(gains: np.ndarray, *, seed: int = 0) -> tuple[float, float] | None:
    """Bias-corrected accelerated bootstrap interval of the mean gain (Efron 1987), 95 %.

    Args:
        gains: (images,) paired differences.
        seed: of the resampling.

    Returns:
        (low, high); both the gain itself where all gains are equal; None for fewer than two images.
    """
    if len(gains) < 2:
        return None
    if np.ptp(gains) == 0:
        return float(gains[0]), float(gains[0])
    found = stats.bootstrap(
        (gains,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def compare(
    rows: Sequence[Mapping[str, Any]], bicubic: Mapping[str, Any], *, suite: Sequence[str]
) -> list[dict[str, Any]]:
    """The comparisons that matter: the whole suite against bicubic, its best member, and itself with levels off.

    The best member is picked on the same images, which can only make the ensemble look worse.

    Args:
        rows: of the table: {"members", "levels", metrics, "images": [{"name", metrics}]}.
        bicubic: {metrics, "images"}.
        suite: names of all members.

    Returns:
        [{"a": {"members", "levels"}, "b": …, "metric", "gain", "low", "high", "confidence"}]; a is the whole suite with
        all levels; b has no members for bicubic; low and high are null for fewer than two images.
    """
    full = [row for row in rows if list(row["members"]) == list(suite)]
    whole = full[0]
    singles = [row for row in rows if len(row["members"]) == 1 and row["levels"] == whole["levels"]]
    found = []
    for metric in COMPARED:
        found.append(_comparison(whole, {**bicubic, "members": [], "levels": []}, metric))
        if len(suite) > 1:
            found.append(_comparison(whole, max(singles, key=itemgetter(metric)), metric))
        found.extend(_comparison(whole, row, metric) for row in full[1:])
    return found


def _comparison(a: Mapping[str, Any], b: Mapping[str, Any], metric: str) -> dict[str, Any]:
    gains = np.array([x[metric] - y[metric] for x, y in zip(a["images"], b["images"], strict=True)])
    interval = gain_interval(gains)
    return {
        "a": {"members": a["members"], "levels": a["levels"]},
        "b": {"members": b["members"], "levels": b["levels"]},
        "metric": metric,
        "gain": float(gains.mean()),
        "low": None if interval is None else interval[0],
        "high": None if interval is None else interval[1],
        "confidence": CONFIDENCE,
    }
