"""A child process that trains one member.

It reads the task as JSON from stdin, and writes its progress to stderr and the reason of a failure to stdout. It ends with
status 0 (done), 1 (failed), 2 (wrong input) or 130 (interrupted, state saved).
"""

import json
import logging
import sys
from pathlib import Path

from shared.errors import UsageError, WorkError
from shared.spec import SpecFile
from train_torch.config import make_config
from train_torch.training.interruption import interruptible
from train_torch.training.jobs import INTERRUPTED
from train_torch.training.member import MemberTask
from train_torch.training.run_folder import RunFolder
from train_torch.training.trainer import train_member


def main() -> int:
    """Train the member named on stdin; returns the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    request = json.load(sys.stdin)
    task = MemberTask(
        spec_file=SpecFile.model_validate(request["spec_file"]),
        init=None if request["init"] is None else Path(request["init"]),
        pack=Path(request["pack"]),
        out=RunFolder(Path(request["out"])),
        config=make_config(request["config"]),
    )
    try:
        with interruptible(parent=request["parent"]) as interruption:
            train_member(task, interruption)
    except (UsageError, WorkError) as error:
        sys.stdout.write(str(error))
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
