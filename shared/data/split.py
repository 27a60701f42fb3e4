"""Which pairs are used for validation. Names and a seed decide it, so order and machine do not matter."""

import fnmatch
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from shared.errors import UsageError


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that match one or more shell patterns (`Canon_*`); upper and lower case differ."""
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def hashed_validation(names: Sequence[str], *, fraction: float, seed: int, group: str | None = None) -> frozenset[str]:
    """The names kept for validation: those n whose SHA-256 of (seed, name) is smallest.

    n = round(fraction · number of names), and at least 1 if fraction > 0 and there are two or more names. One more name changes
    the split of at most one other name.

    Args:
        names: of the pairs, each once.
        fraction: of the names, in [0, 1).
        seed: another seed gives another split.
        group: regular expression; names in which its first group matches the same text stay together, and that text is hashed.
            Whole groups are taken until n pairs are reached, but never the last one. A name without a match is its own group.

    Raises:
        UsageError: `group` is not a regular expression, or has no group in parentheses.
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
        raise UsageError(f"got group {group!r} without a group in parentheses, expected one such as '(.+)_'")
    return match[1]
