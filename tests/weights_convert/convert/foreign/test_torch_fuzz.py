"""Three hundred damaged files of every form: benchmarks/convert/fuzz.py does ten thousand."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[4]
# in a process of its own, which bounds its memory
CODE = """
import json, sys
from benchmarks.convert.fuzz import fuzz
print(json.dumps([result for _, result, _ in fuzz(int(sys.argv[2]), 7, sys.argv[1])]))
"""


def outcomes(reader, count):
    command = [sys.executable, "-c", CODE, reader, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def test_damaged_files_end_in_a_clear_error_or_a_right_load():
    found = outcomes("ours", 300)
    counts = Counter(found)
    assert set(counts) <= {"refused", "refused by a limit", "right load"}, [r for r in found if "index" in r][:3]
    assert min(counts["refused"], counts["right load"]) > 30  # both ends are reached


def test_the_fuzzer_finds_a_careless_reader():
    found = outcomes("naive", 60)
    assert any("Error" in result for result in found)
    assert any("wrong load" in result for result in found)
