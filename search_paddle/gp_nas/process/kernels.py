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

from dataclasses import dataclass
from itertools import chain

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Encoding, Floats
from search_paddle.gp_nas.process.groups import Group, Inputs, make_groups
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
        variances = np.full(len(self.names), hyper.trend_variance)
        variances[0] = CONSTANT_VARIANCE
        return variances

    def embed(self, hyper: Hyperparameters, inputs: tuple[Inputs, ...], warped: list[Floats]) -> Floats:
        """S0^(1/2) phi: features times their prior standard deviation, (m, features); their products are the covariance."""
        features = [np.full((len(inputs[0].inside), 1), np.sqrt(CONSTANT_VARIANCE))]
        for group, points, coordinates in zip(self.groups, inputs, warped, strict=True):
            spread = hyper.trend_std * points.inside[:, None]
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
        """Covariance of points a and b, each their e (m, o + c) and whether they are inside (m,); (m, n)."""
        (x, inside), (y, covered) = a, b
        covariance = correlation(squared_distances(x, y), self.smoothness)
        covariance *= scales.outputscale
        if self.group.family is not None:
            covariance *= inside[:, None] * covered
        return covariance

    def with_slopes(
        self, hyper: Hyperparameters, scales: MaternScales, inputs: Inputs, warped: Floats
    ) -> "MaternSlopes":
        """Covariance of points with themselves, and what its gradient needs."""
        factors = self.inverse_lengthscales(scales)
        x = warped * factors
        squares = squared_distances(x, x)
        np.fill_diagonal(squares, 0.0)
        value, slope = MATERN[self.smoothness](squares)
        scale: Floats = np.asarray(scales.outputscale)
        if self.group.family is not None:
            scale = scale * np.multiply.outer(inputs.inside, inputs.inside)
        slopes = inputs.warped_slopes(hyper, warped)
        return MaternSlopes(
            covariance=scale * value,
            slope=scale * slope,
            x=x,
            warped_slopes=slopes,
            x_by_warping=slopes * factors[: slopes.shape[1]],
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaternSlopes:
    """A Matern kernel of n points: s M and -2 s dM/d(a^2), (n, n); e, U' and U' embedded."""

    covariance: Floats
    slope: Floats
    x: Floats
    warped_slopes: Floats
    x_by_warping: Floats

    def gradient(self, weights: Floats) -> tuple[Floats, float]:
        """0.5 tr(W dC) by log l, for each coordinate of e, and by log w; weights: W, (n, n), symmetric.

        With B = W * slope: 0.5 sum_ab B_ab (x_a - x_b)^2 = x' (r * x) - x' B x, r the row sums of B.
        """
        products = weights * self.slope
        laplacian = products.sum(axis=1)[:, None] * self.x - products @ self.x
        warping = -float(np.vdot(laplacian[:, : self.x_by_warping.shape[1]], self.x_by_warping))
        lengthscales: Floats = np.einsum("nq,nq->q", laplacian, self.x)
        return lengthscales, warping


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
        covariance += self.scales.discrepancy * np.minimum.outer(a, b)
        return covariance

    def slopes(self, gap: Floats) -> tuple[Floats, Floats]:
        """Derivatives of A by r and by log q, each (n, n)."""
        by_ratio = np.multiply.outer(gap, self.loading(gap))
        return by_ratio + by_ratio.T, self.scales.discrepancy * np.minimum.outer(gap, gap)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedded:
    """m points as the kernels see them under certain hyperparameters.

    Attributes:
        phi: S0^(1/2) phi, (m, features).
        materns: for each Matern kernel e (m, o + c) and whether it covers the points (m,).
    """

    phi: Floats
    materns: tuple[tuple[Floats, Floats], ...]

    def rows(self, part: slice) -> "Embedded":
        """The points of a slice."""
        return Embedded(phi=self.phi[part], materns=tuple((x[part], inside[part]) for x, inside in self.materns))

    def joined(self, other: "Embedded") -> "Embedded":
        """These points and, after them, others."""
        pairs = zip(self.materns, other.materns, strict=True)
        materns = tuple(
            (np.concatenate([x, y]), np.concatenate([inside, covered])) for (x, inside), (y, covered) in pairs
        )
        return Embedded(phi=np.concatenate([self.phi, other.phi]), materns=materns)


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

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the trend's features."""
        return self.linear.names

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
        """k(a, b), (m, n), block by block."""
        total, rows = np.empty((len(a.phi), len(b.phi))), block_rows(len(b.phi))
        for start in range(0, len(a.phi), rows):
            part = slice(start, start + rows)
            some = a.rows(part)
            total[part] = self.without_trend(hyper, some, b)
            total[part] += some.phi @ b.phi.T
        return total

    def without_trend(self, hyper: Hyperparameters, a: Embedded, b: Embedded) -> Floats:
        """The sum of the Matern kernels alone: the k of the GP-NAS paper, given w; (m, n)."""
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
            variance += scales.outputscale * inside
        return variance

    def with_slopes(self, hyper: Hyperparameters, inputs: tuple[Inputs, ...]) -> "KernelSlopes":
        """K of points with themselves, and what its gradient needs; inputs: of the points."""
        warped = [points.warped(hyper) for points in inputs]
        phi = self.linear.embed(hyper, inputs, warped)
        pairs = zip(self.materns, hyper.materns, inputs, warped, strict=True)
        materns = [matern.with_slopes(hyper, scales, at, x) for matern, scales, at, x in pairs]
        covariance = phi @ phi.T
        for each in materns:
            covariance += each.covariance
        return KernelSlopes(kernel=self, hyper=hyper, inputs=inputs, covariance=covariance, phi=phi, materns=materns)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KernelSlopes:
    """K of n points at certain hyperparameters, with its gradient."""

    kernel: Kernel
    hyper: Hyperparameters
    inputs: tuple[Inputs, ...]
    covariance: Floats
    phi: Floats
    materns: list[MaternSlopes]

    def gradient(self, weights: Floats, *, noise: float, fidelity: FidelityScales | None) -> Hyperparameters:
        """0.5 tr(W dK) by each hyperparameter.

        Args:
            weights: W, (n, n), symmetric.
            noise: the part of the gradient by log s2, which does not come from K; it is passed on.
            fidelity: the same of the fidelity kernel.
        """
        weighted = weights @ self.phi
        warping, found = 0.0, []
        parts = zip(self.kernel.materns, self.materns, self.inputs, self.kernel.linear.ordinals(), strict=True)
        for matern, slopes, points, columns in parts:
            lengthscales, by_warping = slopes.gradient(weights)
            phi_by_warping = self.hyper.trend_std * slopes.warped_slopes * points.inside[:, None]
            warping += by_warping + float(np.vdot(phi_by_warping, weighted[:, columns]))
            by_outputscale = 0.5 * float(np.vdot(weights, slopes.covariance))
            found.append(
                MaternScales(log_outputscale=by_outputscale, log_lengthscales=matern.group.gather(lengthscales))
            )
        return Hyperparameters(
            log_noise=noise,
            log_trend=0.5 * float(np.vdot(self.phi[:, 1:], weighted[:, 1:])),
            log_warping=warping,
            materns=tuple(found),
            fidelity=fidelity,
        )


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
