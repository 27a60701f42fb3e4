"""Fixtures of every test, and the rule that keeps the two frameworks in separate processes."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("GPNAS_SR_DATA", Path(__file__).parents[2] / "shared" / "data"))
FRAMEWORKS = ("torch", "paddle")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on a busy machine two threads wait for each other: tenfold slower


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect `test_torch_*.py` under `-m torch` only, `test_paddle_*.py` under `-m paddle` only: they import a framework."""
    chosen = config.getoption("markexpr")
    for framework in FRAMEWORKS:
        if collection_path.name.startswith(f"test_{framework}_") and framework not in chosen.split():
            return True
        if collection_path.name.startswith(f"test_{framework}_") and f"not {framework}" in chosen:
            return True
    return None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pairs (GPNAS_SR_DATA, or ../shared/data). Absent: skip at home, fail in CI."""
    if not (DATA / "pairs").is_dir():
        message = f"{DATA}: no real pairs here; set GPNAS_SR_DATA to the data folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return DATA
