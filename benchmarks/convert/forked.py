"""What worker.py does in a process of its own, done in a copy of this one: no start of an interpreter for each file."""

import faulthandler
import os
import tempfile
import traceback
from collections.abc import Callable

from shared.errors import WeightsError
from weights_convert.convert.foreign.files import Answer
from weights_convert.convert.foreign.worker import SECONDS, bound

Decode = Callable[[str, bytes], bytes]


def forked(file_format: str, data: bytes, decode: Decode, seconds: int = SECONDS) -> Answer:
    """Status of the copy, its answer, what it said."""
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            status = 1
            faulthandler.disable()  # a test's own: it would print the stack of a file that is meant to overflow it
            try:
                bound(len(data), seconds)
                answer.write(decode(file_format, data))
                answer.flush()
                status = 0
            except WeightsError as error:
                status = 2
                said.write(str(error).encode(errors="replace"))
            except BaseException:  # noqa: BLE001  # as the interpreter does at the end of a process
                said.write(traceback.format_exc().encode(errors="replace"))
            finally:
                said.flush()
                os._exit(status)
        _, code = os.waitpid(child, 0)
        answer.seek(0)
        said.seek(0)
        return os.waitstatus_to_exitcode(code), answer.read(), said.read().decode(errors="replace")
