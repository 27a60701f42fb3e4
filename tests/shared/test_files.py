"""Files are whole or not there, also when the process is killed while writing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shared.errors import PairError, UsageError
from shared.files import read_bytes, read_json, remove_strays, replacing, sha256_file, write_bytes, write_json

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


def test_what_is_written_piece_by_piece_replaces_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"ne")
        assert path.read_bytes() == b"old"
        file.write(b"w!")
        file.seek(0)
        assert file.read(2) == b"ne"
    assert path.read_bytes() == b"new!"
    with pytest.raises(TypeError), replacing(path) as file:
        file.write(b"newer" + None)
    assert path.read_bytes() == b"new!"
    assert os.listdir(tmp_path) == ["a"]


HOLDER = """
import sys, time
from pathlib import Path
from shared.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("there", flush=True)
    time.sleep(60)
"""


def test_strays_of_the_killed_go_and_files_of_the_living_stay(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "a b.png")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"there\n"
    (stray,) = tmp_path.iterdir()
    for name in (".a b.png.abcdefgh.tmp", ".b.png.abcdefgh.tmp", ".a b.png.abc.tmp", "a b.png.abcdefgh.tmp", "a b.png"):
        (tmp_path / name).touch()
    paths = [tmp_path / "a b.png", tmp_path / "none" / "c.png"]
    assert remove_strays(paths) == [tmp_path / ".a b.png.abcdefgh.tmp"]
    assert stray.read_bytes() == b"half"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert remove_strays(paths) == [stray]
    assert len(os.listdir(tmp_path)) == 4


def test_a_file_that_cannot_be_read_is_told_by_its_kind(tmp_path):
    with pytest.raises(PairError, match=r"none.png: no such file; expected an image"):
        read_bytes(tmp_path / "none.png", expected="an image", error=PairError)
    with pytest.raises(UsageError, match="this is a folder; expected a list"):
        read_bytes(tmp_path, expected="a list")
    with pytest.raises(UsageError, match="File name too long"):
        read_bytes(tmp_path / ("x" * 300), expected="a list")
