"""The covariance of architectures: GP-NAS's linear trend, integrated out, plus ARD Matern-5/2 terms on coded points.

    k(x, x') = phi(x)' S0 phi(x')  +  sum_t  s_t G_t(x, x') M(r2_t(x, x'))

    M(r2)  Matern 5/2: (1 + a + a^2/3) exp(-a), a = sqrt(5 r2)
    r2_t   sum_j d_j(x, x')^2 / l_tj^2; d_j: difference of positions on [0, 1] (ordinal), or 0 and 1 (categorical, Hamming)
    G_t    1 for the shared term; for the term of a family, 1 where both points belong to it, else 0
    phi    1, then a slope for each ordinal and an offset for each category; in a conditional space also for each family
    S0     diagonal: CONSTANT_VARIANCE for the constant, v for all else

A flat space has one term. A conditional space has a shared term on the dimensions that every family has, and one term a family
on all of its own: what a family lacks never counts as distance 0.

Hyperparameters are one vector of logarithms: log s2 (noise), log v (trend), then for each term log s, log l of each dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_paddle.gp_nas.encoding import Codes, Column, Encoding, Floats

CONSTANT_VARIANCE = 1.0  # of the constant mean of standardised scores
NOISE, TREND, FIRST = 0, 1, 2  # places of log s2, log v and the first term's log s


def matern52(r2: Floats) -> tuple[Floats, Floats]:
    """Matern 5/2 and its slope at squared scaled distances.

    M = (1 + a + a^2/3) exp(-a);  -2 dM/dr2 = (5/3) (1 + a) exp(-a), finite at 0 since no distance divides it.

    Returns:
        M and -2 dM/dr2, each of the shape of r2. By log l_j, M changes by the second times d_j^2 / l_j^2.
    """
    a = np.sqrt(5.0 * r2)
    decay = np.exp(-a)
    first = (1.0 + a) * decay
    return first + (5.0 / 3.0) * r2 * decay, (5.0 / 3.0) * first


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Term:
    """One Matern term.

    Attributes:
        family: the family that both points must belong to; None: any.
        columns: columns of the codes that count.
        tables: for each of them the squared distances between codes, (choices, choices).
        start: place of log s in the hyperparameters; the log l follow.
    """

    family: int | None
    columns: tuple[int, ...]
    tables: tuple[Floats, ...]
    start: int

    def gate(self, a: Codes, b: Codes) -> NDArray[np.bool_] | None:
        """Which pairs the term covers, (m, n); None: all."""
        return None if self.family is None else np.logical_and.outer(a[:, 0] == self.family, b[:, 0] == self.family)

    def distances(self, a: Codes, b: Codes) -> Floats:
        """Squared distance by dimension, (columns, m, n). Where the gate is closed it means nothing."""
        distances = np.empty((len(self.columns), len(a), len(b)))
        for place, (column, table) in enumerate(zip(self.columns, self.tables, strict=True)):
            distances[place] = table[:, b[:, column]][a[:, column]]
        return distances

    @property
    def lengths(self) -> slice:
        """Places of the log l in the hyperparameters."""
        return slice(self.start + 1, self.start + 1 + len(self.columns))

    def rates(self, theta: Floats) -> Floats:
        """1 / l^2 of each dimension."""
        return np.exp(-2.0 * theta[self.lengths])

    def covariance(self, theta: Floats, a: Codes, b: Codes) -> Floats:
        """The term, s G M, (m, n). Rows of small tables are copied, so distances cost no arithmetic by pair."""
        r2 = np.zeros((len(a), len(b)))
        for column, table, rate in zip(self.columns, self.tables, self.rates(theta), strict=True):
            r2 += (rate * table)[:, b[:, column]][a[:, column]]
        values = np.exp(theta[self.start]) * matern52(r2)[0]
        gate = self.gate(a, b)
        return values if gate is None else np.where(gate, values, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feature:
    """One entry of phi: `values[code of column]` for points of `family` (None: all), else 0; without a column it is 1 there."""

    name: str
    family: int | None
    column: int | None
    values: Floats

    def __call__(self, codes: Codes) -> Floats:
        """The feature of each point, (m,)."""
        values = np.ones(len(codes)) if self.column is None else self.values[codes[:, self.column]]
        return values if self.family is None else np.where(codes[:, 0] == self.family, values, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kernel:
    """The covariance function of a space; the formula opens this file."""

    features: tuple[Feature, ...]
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Number of hyperparameters."""
        return FIRST + sum(1 + len(term.columns) for term in self.terms)

    def phi(self, codes: Codes) -> Floats:
        """Features of the trend, (m, features)."""
        return np.stack([feature(codes) for feature in self.features], axis=1)

    def trend_variances(self, theta: Floats) -> Floats:
        """Diagonal of S0, (features,)."""
        variances = np.full(len(self.features), np.exp(theta[TREND]))
        variances[0] = CONSTANT_VARIANCE
        return variances

    def cross(self, theta: Floats, a: Codes, b: Codes) -> Floats:
        """k(a, b) without noise, (m, n)."""
        trend = (self.phi(a) * self.trend_variances(theta)) @ self.phi(b).T
        return trend + self.deviation(theta, a, b)

    def deviation(self, theta: Floats, a: Codes, b: Codes) -> Floats:
        """The sum of the Matern terms alone: the k of GP-NAS, given w; (m, n)."""
        total = np.zeros((len(a), len(b)))
        for term in self.terms:
            total += term.covariance(theta, a, b)
        return total

    def diagonal(self, theta: Floats, codes: Codes) -> Floats:
        """k(x, x) without noise, (m,)."""
        variance = self.phi(codes) ** 2 @ self.trend_variances(theta)
        for term in self.terms:
            variance += np.exp(theta[term.start]) * (1.0 if term.family is None else codes[:, 0] == term.family)
        return variance


def make_kernel(encoding: Encoding) -> Kernel:
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
    features, terms, start = [Feature(name="1", family=None, column=None, values=np.ones(0))], [], FIRST
    for family, places in groups:
        members = list(families) if family is None else [family]
        varied = [place for place in places if _choices(encoding.columns[place], members) > 1]
        label = "" if family is None else f"{encoding.space.branches[family].name}."
        if family is not None:
            features.append(Feature(name=f"{label}1", family=family, column=None, values=np.ones(0)))
        for place in varied:
            features += _features(encoding.columns[place], label, family, members, 1 + place)
        tables = tuple(_squared_distances(encoding.columns[place], members) for place in varied)
        terms.append(Term(family=family, columns=tuple(1 + place for place in varied), tables=tables, start=start))
        start += 1 + len(varied)
    return Kernel(features=tuple(features), terms=tuple(terms))


def _choices(column: Column, families: Sequence[int]) -> int:
    return len({int(code) for family in families for code in column.codes[family]})


def _squared_distances(column: Column, families: Sequence[int]) -> Floats:
    if not column.ordered:
        return 1.0 - np.eye(len(column.choices))
    return np.subtract.outer(column.positions(families), column.positions(families)) ** 2


def _features(column: Column, label: str, family: int | None, families: Sequence[int], place: int) -> list[Feature]:
    """A slope about the middle of an ordinal; an indicator for each category."""
    if column.ordered:
        return [Feature(name=label + column.name, family=family, column=place, values=column.positions(families) - 0.5)]
    used = sorted({int(code) for member in families for code in column.codes[member]})
    return [
        Feature(
            name=f"{label}{column.name}={column.choices[code]!r}",
            family=family,
            column=place,
            values=np.eye(len(column.choices))[code],
        )
        for code in used
    ]
