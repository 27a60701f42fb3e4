"""Which pairs validate: fixed by their names and a seed, so that neither order nor machine changes it."""

import fnmatch
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from shared.errors import UsageError


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that match at least one shell pattern (`Canon_*`; upper and lower case differ)."""
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def hashed_validation(names: Sequence[str], *, fraction: float, seed: int, group: str | None = None) -> frozenset[str]:
    """The part of `names` kept for validation: those whose SHA-256 of (seed, name) is smallest.

    With n = round(fraction · number of names), at least 1 if fraction > 0 and there are two names. A name added later
    moves at most one other: it may push out the last of the n, or let one more in.

    Args:
        names: of the pairs, without repeats.
        fraction: in [0, 1).
        seed: another seed is another split.
        group: regular expression whose first bracket, searched in the name, is hashed in the name's place. Whole groups
            are taken until n pairs are reached, but never the last group. A name it does not match is its own group.

    Raises:
        UsageError: `group` is no regular expression, or has no bracket.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_key(name, group)].append(name)
    wanted = 0 if fraction == 0 else max(1, math.floor(fraction * len(names) + 0.5))
    chosen: list[str] = []
    for key in sorted(groups, key=lambda key: _digest(seed, key))[:-1]:
        if len(chosen) >= wanted:
            break
        chosen += groups[key]
    return frozenset(chosen)


def _digest(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode()).digest()


def _key(name: str, group: str | None) -> str:
    if group is None:
        return name
    try:
        match = re.search(group, name)
    except re.error as error:
        raise UsageError(f"got group {group!r} ({error}), expected a regular expression such as '(.+)_'") from None
    if match is None:
        return name
    if match.re.groups < 1 or match[1] is None:
        raise UsageError(f"got group {group!r} without a bracket for the key, expected one such as '(.+)_'")
    return match[1]
