"""Tabular architecture spaces (the data folder's nas/): the space of a table and the score of each of its points."""

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.space import SearchSpace


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """One table.

    Attributes:
        name: folder and column of the scores.
        space: its space.
        scores: number of a point -> score, the larger the better.
    """

    name: str
    space: SearchSpace
    scores: dict[int, float]

    def rank(self, score: float) -> int:
        """1 + the number of points with a better score."""
        return 1 + sum(other > score for other in self.scores.values())


def read_table(data: Path, folder: str, metric: str) -> Table:
    """A table of the data folder whose `metric` is to be maximised."""
    path = next((data / "nas" / folder).glob("*.csv*"))
    facts = json.loads(path.with_name(path.name.removesuffix(".gz").replace(".csv", ".json")).read_text())
    assert facts["metrics"][metric] == "max", f"{folder}: {metric} is not to be maximised"
    space = SearchSpace.from_choices(facts["choices"], tuple(facts["categorical"]))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file))
    points = [{name: _number(row[name]) for name in facts["choices"]} for row in rows]
    scores = {space.index(point): float(row[metric]) for point, row in zip(points, rows, strict=True)}
    assert np.isfinite(list(scores.values())).all()
    return Table(name=f"{folder} {metric}", space=space, scores=scores)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
