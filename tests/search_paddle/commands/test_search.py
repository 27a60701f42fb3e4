"""`gpnas-sr search` where it cannot work, and its table."""

import subprocess
import sys
from pathlib import Path

from search_paddle.commands import search


def test_without_paddle_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['paddle'] = None; from shared.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["search", "pack.h5", "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'gpnas-sr[search]'" in done.stderr
    assert not (tmp_path / "run").exists()


def trial(number: int, score: float | None) -> dict[str, object]:
    reason = None if score else "step 3: loss is nan"
    status = "done" if score else "failed"
    return {
        "id": f"drn-x2-{number}",
        "architecture": {},
        "score": score,
        "status": status,
        "reason": reason,
        "parameters": 12_345,
    }


def test_the_table_shows_the_best_ten_and_why_the_others_failed_or_stopped() -> None:
    trials = [trial(number, 28 + number / 10) for number in range(12)] + [trial(12, None)]
    trials.append(trial(13, None) | {"status": "stopped", "reason": "27.1 dB, below 28.0"})
    value = {
        "trials": trials,
        "bicubic": 28.5,
        "stopped": "minutes",
        "suite": "run/suite.json",
        "members": ["drn-x2-11"],
    }
    text = search.render({**value, "run": "run", "data": "pack.h5"})
    lines = text.splitlines()
    assert lines[1].split() == ["bicubic", "28.50"]
    assert lines[2].split() == ["drn-x2-11", "12,345", "29.10", "+0.60"]
    assert len([line for line in lines if line.startswith("drn-x2-")]) == 10
    assert "and 2 more" in lines
    assert "failed: drn-x2-12: step 3: loss is nan" in lines
    assert "stopped: drn-x2-13: 27.1 dB, below 28.0" in lines
    assert "14 trials; the time is over" in text
    assert lines[-1] == "  gpnas-sr train run --data pack.h5 --out run-trained"
