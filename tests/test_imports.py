"""Each package in a clean process: what it must not load is not in sys.modules (the linter misses importlib)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "shared": {"torch", "paddle", "search_paddle", "train_torch", "weights_convert"},
    "search_paddle/gp_nas": {"torch", "paddle", "train_torch", "weights_convert"},
    "search_paddle": {"torch", "train_torch"},
    "train_torch": {"paddle", "search_paddle"},
}


def modules(folder: str) -> list[str]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def loaded(names: list[str]) -> set[str]:
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_package_loads_nothing_that_is_forbidden(folder):
    names = modules(folder)
    assert names
    assert not loaded(names) & FORBIDDEN[folder]


def test_the_check_would_see_a_forbidden_module():
    assert "torch" in loaded(["train_torch.network"])


def test_shared_is_ours():
    import shared

    assert Path(shared.__file__).parent == ROOT / "shared"
