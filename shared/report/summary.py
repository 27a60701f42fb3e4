"""What the report computes from what it read: pure functions of records."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from shared.network.families import FAMILIES
from shared.records.ablation import AblationTable, Ensemble, PairedGain, TableRow
from shared.records.scores import Scores
from shared.records.trial import Trial

Z = 1.96  # half-width of the central 95 % of a normal distribution, in standard deviations
FAMILY_NAMES = {family.name: family.title for family in FAMILIES}
_SPEC_ID = re.compile(r"(\w+)-x\d-([0-9a-f]{12})")
DIGITS = 4  # of a spec id's hash, where two members are of one family


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Predictions made before trainings, beside what the trainings gave.

    Attributes:
        means, stds, measured: (n,) dB, by trial.
        tau: Kendall's tau-b of means and measured; None: undefined (fewer than two, or all equal).
        coverage: part of the trials that were measured within 1.96 std of the mean.
        error: mean absolute error of the mean, dB.
    """

    means: NDArray[np.float64]
    stds: NDArray[np.float64]
    measured: NDArray[np.float64]
    tau: float | None
    coverage: float
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The rows of an ablation, sorted into what they show.

    Attributes:
        singles, pairs, larger: rows of one, two, and more members, at the levels of the table.
        ensemble: the row of all members at these levels (also in one of the three).
        best: the single row of the highest PSNR-RGB.
        levels: rows of all members with each set of levels, `ensemble` first.
        others: what is neither.
    """

    singles: tuple[TableRow, ...]
    pairs: tuple[TableRow, ...]
    larger: tuple[TableRow, ...]
    ensemble: TableRow
    best: TableRow
    levels: tuple[TableRow, ...]
    others: tuple[TableRow, ...]

    def gains(self, comparisons: Iterable[PairedGain]) -> tuple["Gain", ...]:
        """What the whole ensemble gains over each thing it is compared with: bicubic, its best member, itself with levels off."""
        found: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, PairedGain]] = {}
        for each in comparisons:
            if _key(each.a.members, each.a.levels) == row_key(self.ensemble):
                found.setdefault((each.b.members, each.b.levels), {})[each.metric] = each
        return tuple(
            Gain(members=members, levels=levels, psnr_rgb=metrics.get("psnr_rgb"), psnr_y=metrics.get("psnr_y"))
            for (members, levels), metrics in found.items()
        )

    def gain_over(self, members: tuple[str, ...], other: Scores, gains: Iterable["Gain"]) -> "Gain":
        """The gain over something else: from `gains`, or the plain difference where that has none.

        Args:
            members: of the other; none: bicubic.
            other: its scores.
            gains: that are known.
        """
        known = next((gain for gain in gains if gain.members == members), None)
        side = Ensemble(members=members, levels=self.ensemble.levels if members else ())
        return Gain(
            members=members,
            levels=side.levels,
            psnr_rgb=(known and known.psnr_rgb) or _difference(self.ensemble, other, side, "psnr_rgb"),
            psnr_y=(known and known.psnr_y) or _difference(self.ensemble, other, side, "psnr_y"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What the ensemble gains over something (no members: bicubic), in each of the two metrics; None: not compared."""

    members: tuple[str, ...]
    levels: tuple[str, ...]
    psnr_rgb: PairedGain | None
    psnr_y: PairedGain | None


def running_best(trials: Sequence[Trial]) -> list[tuple[int, float]]:
    """(trial, highest score so far) of each trial from the first that succeeded."""
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial.score is not None:
            best.append((trial.trial, max(trial.score, best[-1][1] if best else trial.score)))
        elif best:
            best.append((trial.trial, best[-1][1]))
    return best


def calibration(trials: Sequence[Trial]) -> Calibration | None:
    """How predictions fit; None where no trial has both a prediction and a score."""
    known = [
        (each.predicted["mean"], each.predicted["std"], each.score)
        for each in trials
        if each.predicted and each.score is not None
    ]
    if not known:
        return None
    means, stds, measured = np.array(known, dtype=np.float64).T
    tau = float(kendalltau(means, measured).statistic) if len(known) > 1 else np.nan
    distance = np.abs(measured - means)
    return Calibration(
        means=means,
        stds=stds,
        measured=measured,
        tau=None if np.isnan(tau) else tau,
        coverage=float(np.mean(distance <= Z * stds)),
        error=float(np.mean(distance)),
    )


def tables(file: AblationTable) -> Tables | None:
    """Sort the rows. The table's levels are those of its first single; None: there is no single, or no row of all members."""
    single = next((row for row in file.rows if len(row.members) == 1), None)
    if single is None:
        return None
    levels = set(single.levels)
    most = max(len(row.members) for row in file.rows)
    plain = [row for row in file.rows if set(row.levels) == levels]
    whole = [row for row in file.rows if len(row.members) == most]
    ensemble = next((row for row in whole if row in plain), None)
    if ensemble is None:
        return None
    singles = tuple(row for row in plain if len(row.members) == 1)
    switched = tuple(row for row in whole if row not in plain and set(row.members) == set(ensemble.members))
    return Tables(
        singles=singles,
        pairs=tuple(row for row in plain if len(row.members) == 2),
        larger=tuple(row for row in plain if len(row.members) > 2),
        ensemble=ensemble,
        best=max(singles, key=_psnr),
        levels=(ensemble, *switched),
        others=tuple(row for row in file.rows if row not in plain and row not in switched),
    )


def member_names(ids: Iterable[str]) -> dict[str, str]:
    """Spec id -> short name: the family's, with the first digits of the id where that is not enough.

    Example:
        >>> member_names(["drn-x4-5b0f3e0c1a2d", "rcan-x4-90fa6c7d8e1b", "rcan-x4-00fa6c7d8e1b"])["rcan-x4-00fa6c7d8e1b"]
        'RCAN 00fa'
    """
    unique = list(dict.fromkeys(ids))
    parts = {spec_id: _family_and_digits(spec_id) for spec_id in unique}
    same = Counter(family for family, _ in parts.values())
    names = {
        spec_id: f"{family} {digits[:DIGITS]}" if digits and same[family] > 1 else family
        for spec_id, (family, digits) in parts.items()
    }
    repeated = Counter(names.values())
    return {spec_id: name if repeated[name] == 1 else spec_id for spec_id, name in names.items()}


def row_key(row: TableRow) -> tuple[frozenset[str], frozenset[str]]:
    """What distinguishes a row from all others: its members and levels."""
    return _key(row.members, row.levels)


def _difference(
    whole: TableRow, other: Scores, side: Ensemble, metric: Literal["psnr_rgb", "psnr_y"]
) -> PairedGain | None:
    a, b = getattr(whole, metric), getattr(other, metric)
    if a is None or b is None:
        return None
    return PairedGain(a=Ensemble(members=whole.members, levels=whole.levels), b=side, metric=metric, gain=a - b)


def _key(members: Sequence[str], levels: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(members), frozenset(levels)


def _family_and_digits(spec_id: str) -> tuple[str, str]:
    found = _SPEC_ID.fullmatch(spec_id)
    return (FAMILY_NAMES.get(found[1], found[1].replace("_", " ")), found[2]) if found else (spec_id, "")


def _psnr(scores: Scores) -> float:
    return float("inf") if scores.psnr_rgb is None else scores.psnr_rgb
