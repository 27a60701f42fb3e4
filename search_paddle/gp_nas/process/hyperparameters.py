"""The hyperparameters of a process by name, and the vector that an optimiser sees.

Only `pack` and `unpack` know the order of the vector. All parameters are logarithms, but for the ratio of the fidelity kernel.
A gradient by the hyperparameters has the same form: it is a value of the same class.
"""

from dataclasses import dataclass

import numpy as np

from search_paddle.gp_nas.encoding import Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaternScales:
    """Of one Matern kernel (kernels.py).

    Attributes:
        log_outputscale: log s.
        log_lengthscales: log l of each dimension of its group, (d,).
    """

    log_outputscale: float
    log_lengthscales: Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FidelityScales:
    """Of trainings of several lengths (kernels.py, `Fidelity`).

    Attributes:
        ratio: r, the only hyperparameter that is no logarithm.
        log_discrepancy: log q.
        log_checkpoint_noise: log v.
    """

    ratio: float
    log_discrepancy: float
    log_checkpoint_noise: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Hyperparameters:
    """All hyperparameters of a process.

    Attributes:
        log_noise: log s2, s2 the replicate noise: the variance between trainings of one architecture.
        log_trend: log of the prior variance of each weight of the linear trend.
        log_warping: log w, w the exponent of the input warping.
        materns: one a Matern kernel.
        fidelity: None: all trainings have one length.
    """

    log_noise: float
    log_trend: float
    log_warping: float
    materns: tuple[MaternScales, ...]
    fidelity: FidelityScales | None

    @property
    def noise(self) -> float:
        """Replicate noise, s2."""
        return float(np.exp(self.log_noise))

    @property
    def warping(self) -> float:
        """Exponent of the input warping, w."""
        return float(np.exp(self.log_warping))

    def pack(self) -> Floats:
        """The vector of an optimiser, (h,)."""
        values = [self.log_noise, self.log_trend, self.log_warping]
        for scales in self.materns:
            values += [scales.log_outputscale, *scales.log_lengthscales.tolist()]
        if (of := self.fidelity) is not None:
            values += [of.ratio, of.log_discrepancy, of.log_checkpoint_noise]
        return np.array(values)

    def unpack(self, vector: Floats) -> "Hyperparameters":
        """Hyperparameters of the same form as these, with the values of a vector (h,)."""
        (noise, trend, warping), place = vector[:3].tolist(), 3
        materns = []
        for scales in self.materns:
            end = place + 1 + len(scales.log_lengthscales)
            lengths = vector[place + 1 : end]
            materns.append(MaternScales(log_outputscale=float(vector[place]), log_lengthscales=lengths))
            place = end
        fidelity = None
        if self.fidelity is not None:
            ratio, discrepancy, checkpoint = vector[place:].tolist()
            fidelity = FidelityScales(ratio=ratio, log_discrepancy=discrepancy, log_checkpoint_noise=checkpoint)
        return Hyperparameters(
            log_noise=noise, log_trend=trend, log_warping=warping, materns=tuple(materns), fidelity=fidelity
        )
