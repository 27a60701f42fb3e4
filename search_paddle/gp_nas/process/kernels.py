"""The covariance functions, by composition: GP-NAS's linear trend, integrated out, plus ARD Matern kernels, times fidelity.

    k(x, x') = phi(x)' S0 phi(x')  +  sum_g s_g 1_g(x) 1_g(x') M(|e_g(x) - e_g(x')|^2)       `Linear` + `Matern` of each group
    A(t, t') = (1 + r t) (1 + r t') + q min(t, t')                                           `Fidelity`
    k((x, t), (x', t')) = A(t, t') k(x, x')                                                  their product

    p      position of an ordinal's choice on [0, 1], evenly spaced by its place in their order
    u      p^w: input warping, one exponent for all ordinals. Effects of width and depth saturate; warping makes them straight
    e_g    u sqrt(2 nu) / l for each ordinal of group g, an indicator of each category times sqrt(nu) / l for a categorical: so
           distances cost one matrix product and no loop over dimensions, and two categories are as far apart as 0 and 1
    M      Matern correlation of smoothness nu at a^2 = |e - e'|^2 (matern.py)
    1_g    1 for all points (shared group), or for those of one family
    phi    1, then u - 1/2 for each ordinal and an offset for each category; in a conditional space also for each family
    S0     diagonal: CONSTANT_VARIANCE for the constant, the trend's variance for all else
    t      fidelity gap of a training: 0 after the most steps T, 1 after the fewest: log(T / steps) / log(T / fewest)

`Fidelity` says f(x, t) = (1 + r t) f(x) + d(x, t): a factor, and what the missing steps change beside it. d is distributed as f
times sqrt(q), and Brownian in t: it is 0 at t = 0. This is Kennedy and O'Hagan's autoregression (Biometrika 87, 2000) as a
product of kernels (Swersky, Snoek, Adams, Multi-task Bayesian optimization, NIPS 2013). With r = -1 or a large q, low fidelity
tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from search_paddle.gp_nas.process.groups import Embedded, Group, Inputs, make_groups
from search_paddle.gp_nas.process.hyperparameters import FidelityScales, Hyperparameters, MaternScales
from search_paddle.gp_nas.process.matern import MATERN, block_rows, correlation, squared_distances

CONSTANT_VARIANCE = 1.0  # of the constant mean of standardised scores


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Linear:
    """The linear trend phi(x)' S0 phi(x') over the features of all groups."""

    groups: tuple[Group, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return ("1", *chain.from_iterable(group.names for group in self.groups))

    def variances(self, hyper: Hyperparameters) -> Floats:
        """Diagonal of S0, (features,)."""
        variances = np.full(len(self.names), np.exp(hyper.log_trend))
        variances[0] = CONSTANT_VARIANCE
        return variances

    def embed(self, hyper: Hyperparameters, inputs: tuple[Inputs, ...], warped: list[Floats]) -> Floats:
        """S0^(1/2) phi: features times their prior standard deviation, (m, features); their products are the covariance.

        Args:
            hyper: of the process.
            inputs: m points in each group.
            warped: the same under the input warping, each (m, o + c).
        """
        features = [np.full((len(inputs[0].inside), 1), np.sqrt(CONSTANT_VARIANCE))]
        for group, points, coordinates in zip(self.groups, inputs, warped, strict=True):
            spread = np.exp(0.5 * hyper.log_trend) * points.inside[:, None]
            if group.family is not None:
                features.append(spread)
            centred = coordinates.copy(order="K")
            centred[:, : len(group.ordinals)] -= 0.5
            features.append(spread * centred)
        return np.concatenate(features, axis=1)

    def ordinals(self) -> list[slice]:
        """Columns of the ordinals of each group."""
        found, end = [], 1
        for group in self.groups:
            end += len(group.names)
            last = end - len(group.codes)
            found.append(slice(last - len(group.ordinals), last))
        return found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matern:
    """s 1(x) 1(x') M(|e(x) - e(x')|^2) on one group of dimensions."""

    group: Group
    smoothness: float

    def inverse_lengthscales(self, scales: MaternScales) -> Floats:
        """Factors of the coordinates: sqrt(2 nu) / l, or sqrt(nu) / l for a category; (o + c,)."""
        return self.group.spread(np.sqrt(2.0 * self.smoothness) * np.exp(-scales.log_lengthscales))

    def cross(self, scales: MaternScales, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
        """Covariance of m points with n others, (m, n).

        Args:
            scales: of this kernel.
            a: e of m points, (m, o + c), and whether the group covers them, (m,).
            b: the same of n points.
        """
        (x, inside), (y, covered) = a, b
        covariance = correlation(squared_distances(x, y), self.smoothness)
        covariance *= np.exp(scales.log_outputscale)
        if self.group.family is not None:
            covariance *= inside[:, None] * covered
        return covariance

    def with_vjp(
        self, scales: MaternScales, warped: Floats, slopes: Floats, inside: Floats
    ) -> tuple[Floats, Callable[[Floats], tuple[MaternScales, float]]]:
        """Covariance of n points with themselves, and a function of W (n, n), symmetric: 0.5 tr(W dK) by the scales and by log w.

        With B = -2 W * s dM/d(a^2): 0.5 sum_ab B_ab (x_a - x_b)^2 = x' (r * x) - x' B x, x = e, r the row sums of B.

        Args:
            scales: of this kernel.
            warped: the points under the input warping, (n, o + c).
            slopes: U', (n, o).
            inside: 1 for the points that the group covers, (n,).
        """
        factors = self.inverse_lengthscales(scales)
        x, x_by_warping = warped * factors, slopes * factors[: slopes.shape[1]]
        squares = squared_distances(x, x)
        np.fill_diagonal(squares, 0.0)
        value, slope = MATERN[self.smoothness](squares)
        scale: Floats = np.asarray(np.exp(scales.log_outputscale))
        if self.group.family is not None:
            scale = scale * np.multiply.outer(inside, inside)
        covariance, slope = scale * value, scale * slope

        def vjp(weights: Floats) -> tuple[MaternScales, float]:
            products = weights * slope
            laplacian = products.sum(axis=1)[:, None] * x - products @ x
            lengthscales = self.group.gather(np.einsum("nq,nq->q", laplacian, x))
            outputscale = 0.5 * float(np.vdot(weights, covariance))
            warping = -float(np.vdot(laplacian[:, : x_by_warping.shape[1]], x_by_warping))
            return MaternScales(log_outputscale=outputscale, log_lengthscales=lengthscales), warping

        return covariance, vjp


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fidelity:
    """A(t, t') = (1 + r t) (1 + r t') + q min(t, t'): the kernel over fidelity gaps t that multiplies all others."""

    scales: FidelityScales

    def loading(self, gap: Floats) -> Floats:
        """1 + r t, the covariance with a training of the highest fidelity: how much of f is in the scores; (n,)."""
        loading: Floats = 1.0 + self.scales.ratio * gap
        return loading

    def cross(self, a: Floats, b: Floats) -> Floats:
        """A of trainings of the gaps a (m,) and b (n,), (m, n)."""
        covariance: Floats = np.multiply.outer(self.loading(a), self.loading(b))
        covariance += np.exp(self.scales.log_discrepancy) * np.minimum.outer(a, b)
        return covariance

    def slopes(self, gap: Floats) -> tuple[Floats, Floats]:
        """Derivatives of A by r and by log q, each (n, n)."""
        by_ratio = np.multiply.outer(gap, self.loading(gap))
        return by_ratio + by_ratio.T, np.exp(self.scales.log_discrepancy) * np.minimum.outer(gap, gap)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kernel:
    """The covariance function of a space at the highest fidelity: `Linear` plus a `Matern` of each group.

    Attributes:
        linear, materns: the kernels that are added, the Matern kernels on the groups of the linear one.
        has_fidelity: whether trainings have several lengths, so that `Fidelity` multiplies the sum.
    """

    linear: Linear
    materns: tuple[Matern, ...]
    has_fidelity: bool

    def phi(self, hyper: Hyperparameters, codes: Codes) -> Floats:
        """Features of the trend, (m, features)."""
        phi: Floats = self.embed(hyper, codes).phi / np.sqrt(self.linear.variances(hyper))
        return phi

    def inputs(self, codes: Codes) -> tuple[Inputs, ...]:
        """Points in each group."""
        return tuple(matern.group.inputs(codes) for matern in self.materns)

    def embed(self, hyper: Hyperparameters, codes: Codes) -> Embedded:
        """Points (m, columns) under hyperparameters."""
        inputs = self.inputs(codes)
        warped = [points.warped(hyper) for points in inputs]
        pairs = zip(self.materns, hyper.materns, inputs, warped, strict=True)
        materns = tuple((x * matern.inverse_lengthscales(scales), at.inside) for matern, scales, at, x in pairs)
        return Embedded(phi=self.linear.embed(hyper, inputs, warped), materns=materns)

    def cross(self, hyper: Hyperparameters, a: Embedded, b: Embedded) -> Floats:
        """k(a, b), (m, n), block by block.

        Args:
            hyper: of the process.
            a: m points.
            b: n points.
        """
        total, rows = np.empty((len(a.phi), len(b.phi))), block_rows(len(b.phi))
        for start in range(0, len(a.phi), rows):
            part = slice(start, start + rows)
            some = a.rows(part)
            total[part] = self.without_trend(hyper, some, b)
            total[part] += some.phi @ b.phi.T
        return total

    def without_trend(self, hyper: Hyperparameters, a: Embedded, b: Embedded) -> Floats:
        """The sum of the Matern kernels alone: the k of the GP-NAS paper, given w; (m, n). Arguments as in `cross`."""
        total = np.zeros((len(a.phi), len(b.phi)))
        for matern, scales, x, y in zip(self.materns, hyper.materns, a.materns, b.materns, strict=True):
            total += matern.cross(scales, x, y)
        return total

    def covariance(self, hyper: Hyperparameters, codes: Codes) -> Floats:
        """K of points with themselves, (m, m)."""
        embedded = self.embed(hyper, codes)
        return self.cross(hyper, embedded, embedded)

    def diagonal(self, hyper: Hyperparameters, points: Embedded) -> Floats:
        """k(x, x), (m,)."""
        variance: Floats = np.einsum("mp,mp->m", points.phi, points.phi)
        for scales, (_, inside) in zip(hyper.materns, points.materns, strict=True):
            variance += np.exp(scales.log_outputscale) * inside
        return variance

    def with_vjp(
        self, hyper: Hyperparameters, inputs: tuple[Inputs, ...]
    ) -> tuple[Floats, Callable[[Floats], Hyperparameters]]:
        """K of n points with themselves, and a function of W (n, n), symmetric: 0.5 tr(W dK) by each hyperparameter.

        In that gradient the parts of noise and fidelity, which K does not depend on, are 0 and None.

        Args:
            hyper: of the process.
            inputs: the points in each group.
        """
        warped = [points.warped(hyper) for points in inputs]
        phi = self.linear.embed(hyper, inputs, warped)
        slopes = [points.warped_slopes(hyper, x) for points, x in zip(inputs, warped, strict=True)]
        parts = [
            matern.with_vjp(scales, x, by_warping, points.inside)
            for matern, scales, x, by_warping, points in zip(
                self.materns, hyper.materns, warped, slopes, inputs, strict=True
            )
        ]
        total = phi @ phi.T
        for covariance, _ in parts:
            total += covariance

        def vjp(weights: Floats) -> Hyperparameters:
            weighted = weights @ phi
            warping, materns = 0.0, []
            for (_, part), points, slope, columns in zip(parts, inputs, slopes, self.linear.ordinals(), strict=True):
                scales, by_warping = part(weights)
                materns.append(scales)
                phi_by_warping = np.exp(0.5 * hyper.log_trend) * slope * points.inside[:, None]
                warping += by_warping + float(np.vdot(phi_by_warping, weighted[:, columns]))
            trend = 0.5 * float(np.vdot(phi[:, 1:], weighted[:, 1:]))
            return Hyperparameters(
                log_noise=0.0, log_trend=trend, log_warping=warping, materns=tuple(materns), fidelity=None
            )

        return total, vjp


def make_kernel(encoding: Encoding, smoothness: float = 2.5, *, has_fidelity: bool = False) -> Kernel:
    """The kernel of a space.

    Args:
        encoding: of the space.
        smoothness: nu of the Matern kernels, one of SMOOTHNESS.
        has_fidelity: whether trainings have several lengths.
    """
    groups = make_groups(encoding)
    return Kernel(
        linear=Linear(groups=groups),
        materns=tuple(Matern(group=group, smoothness=smoothness) for group in groups),
        has_fidelity=has_fidelity,
    )
