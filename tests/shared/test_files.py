"""Files are whole or not there, also when the process is killed while writing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shared.errors import UsageError
from shared.files import read_json, sha256_file, write_bytes, write_json

WRITER = """
import sys
from pathlib import Path
from shared.files import write_bytes
path = Path(sys.argv[1])
for n in range(10**6):
    write_bytes(path, bytes([n % 251]) * 300_000)
"""


@pytest.mark.parametrize("delay", [0.15, 0.4, 0.7])
def test_a_killed_writer_leaves_a_whole_file(tmp_path, delay):
    path = tmp_path / "file"
    write_bytes(path, bytes([7]) * 300_000)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    data = path.read_bytes()
    assert len(data) == 300_000
    assert len(set(data)) == 1


def test_a_failed_write_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    write_bytes(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="expected one JSON value"):
        read_json(tmp_path / "a")


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
