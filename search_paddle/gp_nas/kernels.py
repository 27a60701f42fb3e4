"""The covariance of architectures: GP-NAS's linear trend, integrated out, plus ARD Matern terms on bent positions.

    k(x, x') = phi(x)' S0 phi(x')  +  sum_t  s_t G_t(x, x') M(a_t(x, x'))

    p      position of an ordinal's choice on [0, 1], evenly spaced by its place in their order
    u      p^exp(bend): one bend for all ordinals. Effects of width and depth saturate; a bent axis makes them straight
    a_t^2  2 nu sum_j d_j(x, x')^2 / l_tj^2; d_j: difference of u (ordinal), or 0 and 1 (categorical, Hamming)
    M      Matern of smoothness nu (SMOOTHNESS)
    G_t    1 for the shared term; for the term of a family, 1 where both points belong to it, else 0
    phi    1, then u - 1/2 for each ordinal and an offset for each category; in a conditional space also for each family
    S0     diagonal: CONSTANT_VARIANCE for the constant, v for all else

A flat space has one term. A conditional space has a shared term on the dimensions that every family has, and one term a family
on all of its own: what a family lacks never counts as distance 0.

Distances are Euclidean ones between embedded points: u sqrt(2 nu) / l for an ordinal, an indicator of each category times
sqrt(nu) / l for a categorical. So they cost one matrix product, and no loop over dimensions.

Hyperparameters are one vector: log s2 (noise), log v (trend), bend, then for each term log s, log l of each
dimension (ordinals first); at the end r, log q and log v of fidelity.py, where short trainings stand beside long ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from search_paddle.gp_nas.encoding import Codes, Column, Encoding, Floats

CONSTANT_VARIANCE = 1.0  # of the constant mean of standardised scores
CHUNK = 2**16  # entries of a covariance, half a megabyte
NOISE, TREND, BEND, FIRST = 0, 1, 2, 3  # places of log s2, log v, the bend and the first term's log s


def matern12(a2: Floats) -> tuple[Floats, Floats]:
    """exp(-a), and exp(-a) / a: rough."""
    a = np.sqrt(a2)
    value = np.exp(-a)
    return value, np.divide(value, a, out=np.zeros_like(a), where=a > 0)


def matern32(a2: Floats) -> tuple[Floats, Floats]:
    """(1 + a) exp(-a), and exp(-a)."""
    a = np.sqrt(a2)
    decay = np.exp(-a)
    return (1.0 + a) * decay, decay


def matern52(a2: Floats) -> tuple[Floats, Floats]:
    """(1 + a + a^2/3) exp(-a), and (1 + a) exp(-a) / 3: smooth."""
    a = np.sqrt(a2)
    decay = np.exp(-a)
    first = (1.0 + a) * decay
    return first + a2 * decay / 3.0, first / 3.0


# nu -> M and -2 dM/d(a^2) at squared distances a^2; by log l_j, M changes by the second times its part of a^2
MATERN: dict[float, Callable[[Floats], tuple[Floats, Floats]]] = {0.5: matern12, 1.5: matern32, 2.5: matern52}
SMOOTHNESS = tuple(MATERN)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Term:
    """One Matern term.

    Attributes:
        family: the family that both points must belong to; None: any.
        ordinals: their columns of the codes, (o,).
        positions: p of each code of each ordinal, (o, choices).
        columns, codes, owners: for each category its column, its code and the place of its dimension's log l, from 0, (c,).
        dimensions: number of length-scales.
        names: of the features that the trend has for this term: ordinals, then categories.
        start: place of log s in the hyperparameters; the log l follow.
    """

    family: int | None
    ordinals: Codes
    positions: Floats
    columns: Codes
    codes: Codes
    owners: Codes
    dimensions: int
    names: tuple[str, ...]
    start: int

    @property
    def lengths(self) -> slice:
        """Places of the log l in the hyperparameters."""
        return slice(self.start + 1, self.start + 1 + self.dimensions)

    def inside(self, codes: Codes) -> Floats:
        """1 for the points that the term covers, else 0; (m,)."""
        return np.ones(len(codes)) if self.family is None else (codes[:, 0] == self.family).astype(np.float64)

    def places(self, codes: Codes) -> Floats:
        """P of each ordinal, (m, o)."""
        places: Floats = self.positions[np.arange(len(self.ordinals)), codes[:, self.ordinals]]
        return places

    def indicators(self, codes: Codes) -> Floats:
        """Which categories a point has, (m, c)."""
        present: Floats = (codes[:, self.columns] == self.codes).astype(np.float64)
        return present

    def rates(self, theta: Floats, smoothness: float) -> Floats:
        """What an embedded coordinate is multiplied by: sqrt(2 nu) / l, or for a category sqrt(nu) / l; (o + c,)."""
        rates = np.sqrt(2.0 * smoothness) * np.exp(-theta[self.lengths])
        count = len(self.ordinals)
        return np.concatenate([rates[:count], rates[self.owners] * np.sqrt(0.5)]) if len(self.owners) else rates

    def by_dimension(self, parts: Floats) -> Floats:
        """Sums of parts (o + c,) over the coordinates of each dimension."""
        if not len(self.owners):
            return parts
        count = len(self.ordinals)
        return np.concatenate([parts[:count], np.bincount(self.owners, parts[count:], self.dimensions)[count:]])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedded:
    """m points as the kernel sees them under certain hyperparameters.

    Attributes:
        phi: features times their prior standard deviation, (m, p): their products are the trend's covariance.
        terms: for each term the embedded points (m, o + c) and whether it covers them (m,).
    """

    phi: Floats
    terms: tuple[tuple[Floats, Floats], ...]

    def rows(self, part: slice) -> "Embedded":
        """Some of the points."""
        return Embedded(phi=self.phi[part], terms=tuple((x[part], inside[part]) for x, inside in self.terms))

    def joined(self, other: "Embedded") -> "Embedded":
        """These points and, after them, others."""
        pairs = zip(self.terms, other.terms, strict=True)
        return Embedded(
            phi=np.concatenate([self.phi, other.phi]),
            terms=tuple(
                (np.concatenate([x, y]), np.concatenate([inside, covered])) for (x, inside), (y, covered) in pairs
            ),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kernel:
    """The covariance function of a space; the formula opens this file."""

    smoothness: float
    terms: tuple[Term, ...]
    families: tuple[str, ...]
    has_short: bool

    @property
    def size(self) -> int:
        """Number of hyperparameters."""
        return FIRST + sum(1 + term.dimensions for term in self.terms) + 3 * self.has_short

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the trend's features."""
        names = ["1"]
        for term in self.terms:
            names += [] if term.family is None else [f"{self.families[term.family]}.1"]
            names += term.names
        return tuple(names)

    def trend_variances(self, theta: Floats) -> Floats:
        """Diagonal of S0, (features,)."""
        variances = np.full(len(self.features), np.exp(theta[TREND]))
        variances[0] = CONSTANT_VARIANCE
        return variances

    def phi(self, theta: Floats, codes: Codes) -> Floats:
        """Features of the trend, (m, features)."""
        phi: Floats = self.embed(theta, codes).phi / np.sqrt(self.trend_variances(theta))
        return phi

    def embed(self, theta: Floats, codes: Codes) -> Embedded:
        """Points under hyperparameters."""
        phi, terms = [np.full((len(codes), 1), np.sqrt(CONSTANT_VARIANCE))], []
        spread = np.exp(0.5 * theta[TREND])
        for term in self.terms:
            inside, straight = term.inside(codes), bent(term.places(codes), theta)
            coordinates = np.concatenate([straight, term.indicators(codes)], axis=1)
            terms.append((coordinates * term.rates(theta, self.smoothness), inside))
            if term.family is not None:
                phi.append(spread * inside[:, None])
            coordinates[:, : len(term.ordinals)] -= 0.5
            phi.append(spread * inside[:, None] * coordinates)
        return Embedded(phi=np.concatenate(phi, axis=1), terms=tuple(terms))

    def cross(self, theta: Floats, a: Embedded, b: Embedded) -> Floats:
        """k(a, b) without noise, (m, n)."""
        total, rows = np.empty((len(a.phi), len(b.phi))), chunk(len(b.phi))
        for start in range(0, len(a.phi), rows):
            part = slice(start, start + rows)
            some = a.rows(part)
            total[part] = self.deviation(theta, some, b)
            total[part] += some.phi @ b.phi.T
        return total

    def deviation(self, theta: Floats, a: Embedded, b: Embedded) -> Floats:
        """The sum of the Matern terms alone: the k of GP-NAS, given w; (m, n)."""
        total = np.zeros((len(a.phi), len(b.phi)))
        for term, (x, inside), (y, covered) in zip(self.terms, a.terms, b.terms, strict=True):
            part = correlation(squared_distances(x, y), self.smoothness)
            part *= np.exp(theta[term.start])
            if term.family is not None:
                part *= inside[:, None] * covered
            total += part
        return total

    def covariance(self, theta: Floats, codes: Codes) -> Floats:
        """K of points with themselves, without noise, (m, m)."""
        embedded = self.embed(theta, codes)
        return self.cross(theta, embedded, embedded)

    def diagonal(self, theta: Floats, points: Embedded) -> Floats:
        """k(x, x) without noise, (m,)."""
        variance: Floats = np.einsum("mp,mp->m", points.phi, points.phi)
        for term, (_, inside) in zip(self.terms, points.terms, strict=True):
            variance += np.exp(theta[term.start]) * inside
        return variance


def chunk(columns: int) -> int:
    """Rows of a covariance with so many columns that are worked on at once: they stay in the cache."""
    return max(CHUNK // max(columns, 1), 1)


def bent(places: Floats, theta: Floats) -> Floats:
    """Bent positions: p^exp(bend)."""
    straight: Floats = places ** np.exp(theta[BEND])
    return straight


def squared_distances(x: Floats, y: Floats) -> Floats:
    """|x - y|^2 of all pairs, (m, n), by one matrix product.

    Rounding would make some negative and put equal points apart, so all are taken smaller by the size of that error.
    """
    norms = np.einsum("mq,mq->m", x, x), np.einsum("nq,nq->n", y, y)
    error = 1e-14 * (norms[0].max(initial=0.0) + norms[1].max(initial=0.0))
    squares: Floats = x @ (-2.0 * y.T)
    squares += (norms[0] - error)[:, None]
    squares += norms[1]
    return np.maximum(squares, 0.0, out=squares)


def correlation(a2: Floats, smoothness: float) -> Floats:
    """M at squared distances, without the slope of MATERN; overwrites its argument, for speed."""
    a: Floats = np.sqrt(a2)
    decay: Floats = np.exp(-a)
    if smoothness == 0.5:
        return decay
    if smoothness == 1.5:
        a += 1.0
    else:
        a2 *= 1.0 / 3.0
        a += a2
        a += 1.0
    a *= decay
    return a


def make_kernel(encoding: Encoding, smoothness: float = 2.5, *, has_short: bool = False) -> Kernel:
    """The kernel of a space. Dimensions with a single choice take no part."""
    families = range(encoding.families)
    shared = [
        place for place, column in enumerate(encoding.columns) if all(family in column.codes for family in families)
    ]
    groups: list[tuple[int | None, list[int]]] = [(None, shared)]
    if encoding.families > 1:
        owned = [
            [place for place, column in enumerate(encoding.columns) if family in column.codes] for family in families
        ]
        groups += list(enumerate(owned))
    terms, start = [], FIRST
    for family, places in groups:
        terms.append(_make_term(encoding, family, places, start))
        start += 1 + terms[-1].dimensions
    names = tuple(str(branch.name) for branch in encoding.space.branches)
    return Kernel(smoothness=smoothness, terms=tuple(terms), families=names, has_short=has_short)


def _make_term(encoding: Encoding, family: int | None, places: Sequence[int], start: int) -> Term:
    members = list(range(encoding.families)) if family is None else [family]
    label = "" if family is None else f"{encoding.space.branches[family].name}."
    varied = [(1 + place, encoding.columns[place]) for place in places]
    varied = [(at, column) for at, column in varied if len(_used(column, members)) > 1]
    ordinals = [(at, column) for at, column in varied if column.ordered]
    categories = [
        (at, column, code, len(ordinals) + owner)
        for owner, (at, column) in enumerate((at, column) for at, column in varied if not column.ordered)
        for code in _used(column, members)
    ]
    positions = np.zeros((len(ordinals), max((len(column.choices) for _, column in ordinals), default=0)))
    for row, (_, column) in zip(positions, ordinals, strict=True):
        row[: len(column.choices)] = column.positions(members)
    return Term(
        family=family,
        ordinals=np.array([at for at, _ in ordinals], dtype=np.int64),
        positions=positions,
        columns=np.array([at for at, _, _, _ in categories], dtype=np.int64),
        codes=np.array([code for _, _, code, _ in categories], dtype=np.int64),
        owners=np.array([owner for _, _, _, owner in categories], dtype=np.int64),
        dimensions=len(varied),
        names=tuple(
            [label + column.name for _, column in ordinals]
            + [f"{label}{column.name}={column.choices[code]!r}" for _, column, code, _ in categories]
        ),
        start=start,
    )


def _used(column: Column, families: Sequence[int]) -> list[int]:
    return sorted({int(code) for family in families for code in column.codes[family]})
