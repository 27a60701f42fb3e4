"""One process at a time trains a member."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import WorkError
from train_torch.training.run_folder import RunFolder

HOLD = """
import sys, time
from pathlib import Path
from train_torch.training.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked("a"):
    sys.stdout.write("locked\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


def test_a_member_in_training_is_left_alone_until_its_process_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(WorkError, match="another process is training this member"), _lock(tmp_path, "a"):
            pytest.fail("two processes hold one lock")
        with _lock(tmp_path, "b"):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with _lock(tmp_path, "a"):
        pass


def _lock(folder: Path, spec_id: str):
    return RunFolder(folder).locked(spec_id, seconds=0.3)
