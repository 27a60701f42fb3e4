"""The covariance C of observed scores: kernels, fidelity and noise put together. This is the only place that does it.

    C = A * (K + s2 R) + diag(v t / n)

    K     kernel of the architectures, trend included (kernels.py)
    A     kernel of the fidelity gaps t; 1 everywhere where all trainings have one length (kernels.py, `Fidelity`)
    s2 R  replicate noise: R_ij = 1 / sqrt(n_i n_j) where i and j are of one point, else 0; n_i trainings are behind value i. The
          deviation of a training stays with it from step to step, so a point's values at several fidelities share it
    v t/n checkpoint noise: before the end of a training, its score also varies from one checkpoint to the next

There are two forms of it. `assemble` and `append_row` give the matrix that a posterior is conditioned on.
`DifferentiableCovariance` gives the matrix with its gradient (vjp: vector-Jacobian product), as often as an optimiser asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.encoding import Codes, Floats
from search_paddle.gp_nas.process.groups import Embedded
from search_paddle.gp_nas.process.hyperparameters import FidelityScales, Hyperparameters
from search_paddle.gp_nas.process.kernels import Fidelity, Kernel


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Observations:
    """What a process is conditioned on; all arrays have n rows, n >= 0.

    Attributes:
        codes: X, codes of the points.
        values: z, warped scores.
        repeats: trainings behind each value: the replicate noise s2 is divided by it.
        gap: t, the fidelity gap of these trainings; 0 at the highest fidelity.
    """

    codes: Codes
    values: Floats
    repeats: Floats
    gap: Floats

    @property
    def is_highest(self) -> NDArray[np.bool_]:
        """Which of them are of the highest fidelity, (n,)."""
        highest: NDArray[np.bool_] = self.gap == 0.0
        return highest

    def rows(self, places: slice | NDArray[np.bool_]) -> "Observations":
        """The observations at some places."""
        return Observations(
            codes=self.codes[places],
            values=self.values[places],
            repeats=self.repeats[places],
            gap=self.gap[places],
        )

    def joined(self, other: "Observations") -> "Observations":
        """These and, after them, others."""
        return Observations(
            codes=np.concatenate([self.codes, other.codes]),
            values=np.concatenate([self.values, other.values]),
            repeats=np.concatenate([self.repeats, other.repeats]),
            gap=np.concatenate([self.gap, other.gap]),
        )


def replicate_correlation(a: Observations, b: Observations) -> Floats:
    """R, (m, n): what the replicate noise of two means of trainings has in common, as a part of s2."""
    same = (a.codes[:, None, :] == b.codes[None, :, :]).all(axis=2)
    shared: Floats = same / np.sqrt(np.multiply.outer(a.repeats, b.repeats))
    return shared


def noise(hyper: Hyperparameters, observed: Observations) -> Floats:
    """The noise's part of C, replicate and checkpoint noise, (n, n)."""
    if hyper.fidelity is None:
        return np.diag(hyper.noise / observed.repeats)
    covariance: Floats = hyper.noise * replicate_correlation(observed, observed)
    covariance = covariance * Fidelity(scales=hyper.fidelity).cross(observed.gap, observed.gap)
    covariance[np.diag_indices(len(covariance))] += _checkpoint_noise(hyper.fidelity, observed)
    return covariance


def assemble(kernel: Kernel, hyper: Hyperparameters, observed: Observations, points: Embedded) -> Floats:
    """C, (n, n).

    Args:
        kernel: of the process.
        hyper: of the process.
        observed: n observations.
        points: the observed points, embedded.
    """
    covariance = kernel.cross(hyper, points, points)
    if hyper.fidelity is None:
        covariance[np.diag_indices(len(covariance))] += hyper.noise / observed.repeats
        return covariance
    covariance *= Fidelity(scales=hyper.fidelity).cross(observed.gap, observed.gap)
    covariance += noise(hyper, observed)
    return covariance


def append_row(
    kernel: Kernel, hyper: Hyperparameters, observed: Observations, points: tuple[Embedded, Embedded], row: int
) -> Floats:
    """A row of C up to its diagonal, (row + 1,).

    Args:
        kernel: of the process.
        hyper: of the process.
        observed: of which this row is one.
        points: the row's point, embedded; all points up to it, itself the last.
        row: its place.
    """
    covariance: Floats = kernel.cross(hyper, *points)[0]
    covariance[-1] = kernel.diagonal(hyper, points[0])[0]
    if hyper.fidelity is None:
        covariance[-1] += hyper.noise / observed.repeats[row]
        return covariance
    last, all_of_them = observed.rows(slice(row, row + 1)), observed.rows(slice(0, row + 1))
    covariance += hyper.noise * replicate_correlation(last, all_of_them)[0]
    covariance *= Fidelity(scales=hyper.fidelity).cross(last.gap, all_of_them.gap)[0]
    covariance[-1] += _checkpoint_noise(hyper.fidelity, last)[0]
    return covariance


def cross(kernel: Kernel, hyper: Hyperparameters, points: Embedded, observed: tuple[Embedded, Observations]) -> Floats:
    """Covariance of the latent scores of points, at the highest fidelity, with observed values, (m, n).

    Args:
        kernel: of the process.
        hyper: of the process.
        points: m points, embedded.
        observed: the observed points, embedded; the n observations.
    """
    embedded, observations = observed
    covariance = kernel.cross(hyper, points, embedded)
    if hyper.fidelity is not None:
        covariance *= Fidelity(scales=hyper.fidelity).loading(observations.gap)
    return covariance


def _checkpoint_noise(scales: FidelityScales, observed: Observations) -> Floats:
    variances: Floats = np.exp(scales.log_checkpoint_noise) * observed.gap / observed.repeats
    return variances


class DifferentiableCovariance:
    """C as a function of the hyperparameters, with its gradient."""

    def __init__(self, kernel: Kernel, observed: Observations) -> None:
        self._kernel, self._observed, self._inputs = kernel, observed, kernel.inputs(observed.codes)
        same = replicate_correlation(observed, observed) if kernel.has_fidelity else np.diag(1.0 / observed.repeats)
        self._replicates = same

    def __call__(self, hyper: Hyperparameters) -> tuple[Floats, Callable[[Floats], Hyperparameters]]:
        """C, and a function of W (n, n), symmetric: 0.5 tr(W dC) by each hyperparameter."""
        plain, vjp = self._kernel.with_vjp(hyper, self._inputs)
        plain += hyper.noise * self._replicates

        def with_noise(weights: Floats) -> Hyperparameters:
            return replace(vjp(weights), log_noise=0.5 * hyper.noise * float(np.vdot(weights, self._replicates)))

        if hyper.fidelity is None:
            return plain, with_noise
        fidelity, gap = Fidelity(scales=hyper.fidelity), self._observed.gap
        coupling, checkpoint = fidelity.cross(gap, gap), _checkpoint_noise(hyper.fidelity, self._observed)

        def with_fidelity(weights: Floats) -> Hyperparameters:
            ratio, discrepancy = (0.5 * float(np.vdot(weights * plain, slope)) for slope in fidelity.slopes(gap))
            noise = float(0.5 * np.diag(weights) @ checkpoint)
            scales = FidelityScales(ratio=ratio, log_discrepancy=discrepancy, log_checkpoint_noise=noise)
            return replace(with_noise(weights * coupling), fidelity=scales)

        matrix = plain * coupling
        matrix[np.diag_indices(len(gap))] += checkpoint
        return matrix, with_fidelity
