"""The errors of the project. A message says what was got, what was expected, and what to do."""

import difflib
from collections.abc import Iterable


class GpnasError(Exception):
    """Base of every error that this project raises on purpose."""


class UsageError(GpnasError, ValueError):
    """The input or the usage was wrong: the command ends with status 2."""


class WorkError(GpnasError, RuntimeError):
    """The input was right and the work failed: the command ends with status 1."""


class SpecError(UsageError):
    """An architecture spec, a search space or a suite file that is not valid."""


class PairError(UsageError):
    """An image or an LR/HR pair that cannot be used."""


class WeightsError(UsageError):
    """A weights file whose names, shapes or dtypes do not fit its network."""


class OutOfMemoryError(WorkError):
    """There is not enough memory; the message names needed and available bytes."""


class NonFiniteError(WorkError):
    """A NaN or an infinity appeared where numbers must be finite."""


def nearest(name: object, known: Iterable[object]) -> str:
    """For the end of a message: the known name that a misspelt one resembles, or nothing.

    Example:
        >>> nearest("blcks", ["features", "blocks"])
        " (did you mean 'blocks'?)"
    """
    near = difflib.get_close_matches(str(name), [str(item) for item in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
