"""One BLAS thread for small matrices: more are slower, and beside busy workers far slower (measured: minutes for seconds)."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Limits BLAS to one thread while entered; what was set before holds again afterwards."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> ThreadpoolController:
    """Looks for the loaded libraries once: that takes milliseconds."""
    return ThreadpoolController()
