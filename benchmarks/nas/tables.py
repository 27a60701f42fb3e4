"""Tabular architecture spaces (the data folder's nas/): the space of a table, and the columns of its measurements."""

import csv
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.space import SearchSpace


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """One table of trained architectures; in a complete one, row and number of a point are the same.

    Attributes:
        name: the file's, without suffix.
        space: its space.
        complete: whether every point has been trained.
        indices: number of each row's point in the space, list (n): it may exceed 64 bits.
        codes: place of each choice, int64 (n, d), the dimensions in the order of the space.
        columns: metric -> float64 (n,), the larger the better: a metric to be minimised is negated.
    """

    name: str
    space: SearchSpace
    complete: bool
    indices: list[int]
    codes: np.ndarray
    columns: Mapping[str, np.ndarray]


def read_table(data: Path, folder: str, file: str | None = None) -> Table:
    """The table of a folder of the data folder's nas/; `file`: its name without suffix, where the folder has several."""
    name = file or folder
    path = next((data / "nas" / folder).glob(f"{name}.csv*"))
    facts = json.loads((path.parent / f"{name}.json").read_text())
    space = SearchSpace.from_choices(facts["choices"], tuple(facts["categorical"]))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        rows = list(csv.DictReader(stream))
    indices = [space.index({name: _number(row[name]) for name in facts["choices"]}) for row in rows]
    if facts["grid"]:
        rows = [row for _, row in sorted(zip(indices, rows, strict=True), key=lambda pair: pair[0])]
        indices = list(range(space.size))
    sign = {"max": 1.0, "min": -1.0}
    return Table(
        name=name,
        space=space,
        complete=facts["grid"],
        indices=indices,
        codes=np.array([space.digits(index)[1] for index in indices]),
        columns={
            metric: sign[way] * np.array([float(row[metric]) for row in rows])
            for metric, way in facts["metrics"].items()
        },
    )


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
