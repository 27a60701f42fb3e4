"""How the scripts of this folder write a result: OUT.json with the numbers, OUT.md with the table."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.files import write_bytes, write_json


def versions() -> str:
    return f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"


def write(out: Path | None, value: dict[str, Any], table: str) -> None:
    """Print the table; with `out` also write both files."""
    if out is not None:
        write_json(out.with_suffix(".json"), value)
        write_bytes(out.with_suffix(".md"), table.encode())
    print(table)
