"""How alike the errors of trained networks are, measured on the same windows of the same image pairs. NumPy only.

Symbols: n trials, p pairs, v values a pair; x_ip the errors of trial i on pair p, whole numbers.

    product   c_ijp = Σ_v x_ipv x_jpv                       exact: a sum of integers below 2^53
    moment    s_ij  = mean over p of c_ijp / c_p,  c_p = mean over i of c_iip      every pair counts the same, as in a mean PSNR
    correlation  r_ij = s_ij / sqrt(s_ii s_jj)              not centred: a mean error is an error, too
    shrunk    r*_ij = (1 - λ) r_ij + λ r̄                    r̄ the mean of all r_ij, i < j
    covariance   E_ij = d_i r*_ij d_j,  d_i = 10^(-score_i / 20)                   so -10 log10 E_ii is the trial's score, in dB

Few pairs tell little about differences between correlations, so these are shrunk to their mean by the rule of Schäfer and
Strimmer (Stat. Appl. Genet. Mol. Biol. 4, 2005, art. 32), with the target of equal correlations (Ledoit and Wolf, J. Portfolio
Management 30, 2004): λ = min(1, Σ Var(r_ij - r̄) / Σ (r_ij - r̄)²), sums over i < j. The variance is that of the mean over pairs
of r_ij's influence function, c_ijp / (c_p sqrt(s_ii s_jj)) - r_ij (c_iip / (c_p s_ii) + c_jjp / (c_p s_jj)) / 2, less its mean
over i < j. At λ = 1 only their scores distinguish trials: the best suite is that of the best scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correlation:
    """Correlations between the errors of trials.

    Attributes:
        values: float64 (n, n), shrunk; 1 on the diagonal.
        raw: before shrinking.
        shrinkage: λ in [0, 1].
    """

    values: Floats
    raw: Floats
    shrinkage: float


def error_products(residuals: NDArray[np.int16], pairs: int) -> Floats:
    """Products of the errors of all trials with all others, pair by pair.

    Args:
        residuals: int16 (n, windows, …), errors of n trials; windows pair by pair, equally many of each pair.
        pairs: p, a divisor of the number of windows.

    Returns:
        float64 (p, n, n), whole numbers, the same on every machine and number of threads.
    """
    parts = residuals.reshape(len(residuals), pairs, -1).transpose(1, 0, 2)
    return np.stack([(part := each.astype(np.float64)) @ part.T for each in parts])


def correlate(products: Floats) -> Correlation:
    """Correlations between the errors of trials, shrunk.

    Args:
        products: (p, n, n), `error_products`; no diagonal entry is 0 in all pairs.
    """
    scaled = products / np.diagonal(products, axis1=1, axis2=2).mean(axis=1)[:, None, None]
    moments = scaled.mean(axis=0)
    deviations = np.sqrt(np.diag(moments))
    outer = deviations[:, None] * deviations
    raw = moments / outer
    upper = np.triu_indices(len(raw), 1)
    if not len(upper[0]):
        return Correlation(values=raw, raw=raw, shrinkage=0.0)
    centre = max(0.0, float(raw[upper].mean()))
    spread = float(((raw[upper] - centre) ** 2).sum())
    noise = _noise(scaled, raw, outer)
    shrinkage = 1.0 if noise >= spread else noise / spread
    values = (1 - shrinkage) * raw + shrinkage * centre
    np.fill_diagonal(values, 1.0)
    return Correlation(values=values, raw=raw, shrinkage=shrinkage)


def _noise(scaled: Floats, raw: Floats, outer: Floats) -> float:
    """Σ Var(r_ij - r̄) over i < j; with one pair nothing is known, and it is infinite."""
    pairs, upper = len(scaled), np.triu_indices(len(raw), 1)
    if pairs == 1:
        return float("inf")
    total = 0.0
    for each in scaled:  # not all pairs at once: n may be hundreds
        own = np.diag(each) / np.diag(outer)
        influence = (each / outer - raw * (own[:, None] + own) / 2)[upper]
        total += float(((influence - influence.mean()) ** 2).sum())
    return total / (pairs * (pairs - 1))


def error_covariance(correlation: Floats, scores: Floats) -> Floats:
    """E, (n, n): covariance of the errors, of images in [0, 1].

    Args:
        correlation: (n, n).
        scores: (n,), mean PSNR in dB.
    """
    deviations = 10 ** (-np.asarray(scores, dtype=np.float64) / 20)
    return deviations[:, None] * correlation * deviations
