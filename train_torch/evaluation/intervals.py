"""Paired confidence intervals over images: is one row of the table better than another, or does it only look so?"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from shared.records.ablation import BicubicScores, Ensemble, PairedGain, TableRow

CONFIDENCE = 0.95
INTERVAL = "paired Student t over images"
COMPARED = ("psnr_rgb", "psnr_y")


def gain_interval(gains: np.ndarray) -> tuple[float, float] | None:
    """Student's interval of the mean gain, 95 %: mean ± t(0.975, n - 1) · s / √n.

    Not a bootstrap: a test set may have few images, and of 4 normal gains the bias-corrected accelerated one holds the
    mean in 78 % of cases, of 8 in 89 % (measured; this one in 93 and 94 %). Images count as independent: crops of one
    photograph make any such interval too narrow.

    Args:
        gains: (images,) paired differences.

    Returns:
        (low, high); None for fewer than two images.
    """
    if len(gains) < 2:
        return None
    # `ttest_1samp(…).confidence_interval()` warns of equal gains, whose interval is a point
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1) * stats.sem(gains))
    return float(gains.mean()) - half, float(gains.mean()) + half


def compare(rows: Sequence[TableRow], bicubic: BicubicScores, *, suite: Sequence[str]) -> tuple[PairedGain, ...]:
    """What the whole suite gains over bicubic, its best member, itself with levels off, and one plain pass of a member.

    The best member is picked on the same images, which can only make the ensemble look worse.

    Args:
        rows: of the table, all with the same images.
        bicubic: on the same images.
        suite: names of all members.

    Returns:
        For each metric and each of these: a is the whole suite with the levels that are on.
    """
    full = [row for row in rows if row.members == tuple(suite)]
    whole = full[0]
    singles = [row for row in rows if len(row.members) == 1 and row.levels == whole.levels]
    plain = [row for row in rows if len(row.members) == 1 and not row.levels]
    found = []
    for metric in COMPARED:
        others = [TableRow(**dict(bicubic))]
        if len(suite) > 1:
            others.append(max(singles, key=lambda row: getattr(row, metric)))
        others.extend(full[1:])
        if plain and whole.levels and len(suite) > 1:
            others.append(max(plain, key=lambda row: getattr(row, metric)))
        found += [_gain(whole, other, metric) for other in others]
    return tuple(found)


def _gain(a: TableRow, b: TableRow, metric: str) -> PairedGain:
    gains = np.array([getattr(x, metric) - getattr(y, metric) for x, y in zip(a.images, b.images, strict=True)])
    low, high = gain_interval(gains) or (None, None)
    return PairedGain(
        a=Ensemble(members=a.members, levels=a.levels),
        b=Ensemble(members=b.members, levels=b.levels),
        metric=metric,
        gain=float(gains.mean()),
        low=low,
        high=high,
        confidence=CONFIDENCE,
        interval=INTERVAL,
    )
