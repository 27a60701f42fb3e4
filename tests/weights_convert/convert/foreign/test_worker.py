"""Files made to do harm end in an error, in bounded time and memory, with nothing run; and the caller lives on."""

import json
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.convert.hostile import archive, hostile_files, pickles, tensor
from shared.errors import WeightsError
from shared.processes import worker_environment
from weights_convert.convert.foreign.files import read_checkpoint, select
from weights_convert.convert.foreign.worker import MEMORY

LIMIT_S = 1  # instead of the ten of worker.py: the files that run for ever are stopped sooner


# In a fresh process, see `rows`
ROWS = f"""
import json, sys
from pathlib import Path
from benchmarks.convert.hostile import rows
from weights_convert.convert.foreign.worker import decode
print(json.dumps([row._asdict() for row in rows(Path(sys.argv[1]), decode, {LIMIT_S})]))
"""


def test_hostile_files_give_nothing_run_nothing_and_cost_little(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ROWS, str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
        env=worker_environment(),
    )
    rows = json.loads(done.stdout)
    assert len(rows) == len(hostile_files(tmp_path / "marker"))
    for row in rows:
        assert row["outcome"] != "READ", row
        assert row["memory"] <= MEMORY / 2**20 + 64, row
        assert row["seconds"] <= LIMIT_S + 2, row
        assert not row["ran"], row
    pickle.loads(pickles(tmp_path / "marker")["code by GLOBAL"])  # noqa: S301  # known-wrong control: the code is live
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x04}r\xff\xff\xff\xff.", "more memory or time"),  # a memo of 2^32 entries, 32 GiB
        (
            b"\x80\x04})" + b"\x85" * 1_000_000 + b"Ns.",
            "stopped by SIGSEGV|more memory or time",
        ),  # the hash of a key a million tuples deep
        (b"\x80\x04" + b"}" * 1000, "no whole file: .*UnpicklingError|EOFError"),
        (b"\x80\x3f}.", "unsupported pickle protocol: 63"),
        (b"not a pickle", "no whole file"),
        (b"", "no whole file"),
        (struct.pack("<Q", 9) + b"{not json", "no whole file: .*SafetensorError"),
        (b"PK\x03\x04" + bytes(100), "no whole file: zipfile.BadZipFile: File is not a zip file; was the file cut"),
    ],
)
def test_the_end_of_the_process_becomes_a_message(tmp_path, data, message):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(path)


def test_an_honest_file_near_the_hostile_ones_is_read(tmp_path):
    numbers = np.arange(6, dtype=np.float32)
    (tmp_path / "x").write_bytes(archive(tensor((3, 2), (1, 3)), numbers.tobytes()))
    assert np.array_equal(select(read_checkpoint(tmp_path / "x")).arrays["w"], numbers.reshape(2, 3).T)


def test_a_large_file_fits_into_the_bounds(tmp_path):
    half = {f"w{index}": np.full((1000, 1000), index, np.float16) for index in range(50)}  # 100 MB, which widen to 200
    (tmp_path / "x").write_bytes(pickle.dumps(half, protocol=4))
    found = select(read_checkpoint(tmp_path / "x")).arrays
    assert all(np.array_equal(found[name], array) for name, array in half.items())
