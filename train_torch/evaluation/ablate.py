"""The paper's Table 1 for any suite: singles, all pairs, all members; then all members with each level of the ensemble off.

Each member is run once per image and set of levels, and its image is used in every row it belongs to. Results are kept image by
image under `partial/`, so that a killed ablation goes on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from shared.data.source import Pair, PairSource
from shared.files import read_json, sha256_file, write_json
from shared.images.pixels import quantise, to_float
from shared.images.stream import write_image
from shared.progress import track
from shared.records.suite import Suite
from shared.spec import software
from train_torch.ensemble import upscale_one
from train_torch.ensemble.fusion import weighted_mean
from train_torch.ensemble.modules import PreparedMember, prepare
from train_torch.evaluation.evaluate import Levels, Scores, bicubic, chosen, mean_scores, score, score_bicubic, select
from train_torch.evaluation.intervals import compare

SCHEMA = "gpnas-sr/ablation/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: positions of the members in the suite, and the levels that are on."""

    members: tuple[int, ...]
    levels: Levels

    def key(self) -> str:
        """Name of the row in a partial result."""
        return f"{','.join(map(str, self.members))}|{','.join(self.levels.names)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """What is measured.

    Attributes:
        suite: the members' specs and files.
        networks: the members as modules, or `prepare`d, in the suite's order.
        levels: geometry of the patches, and the levels that are on where a row does not say otherwise.
        crop: HR px cut off each side before a metric.
    """

    suite: Suite
    networks: Sequence[nn.Module | PreparedMember]
    levels: Levels
    crop: int

    def rows(self) -> list[Row]:
        """Singles, pairs, all; all with one level off, and with every level off; each single in one plain pass. No row twice."""
        count = len(self.networks)
        everyone = tuple(range(count))
        subsets = [subset for size in (1, 2) for subset in combinations(everyone, size)]
        subsets += [everyone] if count > 2 else []
        rows = [Row(members=subset, levels=self.levels) for subset in subsets]
        off = [replace(self.levels, **{name: False}) for name in self.levels.names]
        one_pass = replace(self.levels, self_ensemble=False, patch_ensemble=False)
        rows += [Row(members=everyone, levels=levels) for levels in (*off, one_pass)]
        return list(dict.fromkeys([*rows, *(Row(members=(member,), levels=one_pass) for member in everyone)]))

    def names(self) -> list[str]:
        """The members' ids, made unlike where one architecture stands twice."""
        ids = [member.spec.id for member in self.suite.members]
        return [f"{name}-{ids[:i].count(name) + 1}" if ids[:i].count(name) else name for i, name in enumerate(ids)]


def ablate(
    ablation: Ablation, pairs: PairSource, out: Path, *, include: Sequence[str] = (), examples: int = 4
) -> dict[str, Any]:
    """Measure every row on every pair, and write `ablation.json` and the pictures of some pairs into `out`.

    Args:
        ablation: what is measured.
        pairs: what it is measured on.
        out: folder; an earlier, unfinished ablation in it goes on.
        include: patterns of pair names to keep; empty: all.
        examples: pairs whose pictures are kept, evenly spread.

    Returns:
        The value of `ablation.json` (docs/architecture.md).

    Raises:
        UsageError: no pair has such a name.
        NonFiniteError: a network's output is not finite.
    """
    names = select(pairs.names, include)
    shown = {names[index * len(names) // min(examples, len(names))] for index in range(min(examples, len(names)))}
    fingerprint = _fingerprint(ablation)
    results: dict[str, dict[str, Any]] = {}
    ablation = replace(ablation, networks=prepare(ablation.networks, ablation.suite.scale))
    with track(len(names), "ablating", unit="image") as progress:
        for pair in chosen(pairs, names):
            results[pair.name] = _measure(ablation, pair, out, fingerprint, with_pictures=pair.name in shown)
            progress.advance(1, note=pair.name)
    value = _table(ablation, results) | {"examples": sorted(shown)}
    write_json(out / "ablation.json", value)
    return value


def _measure(ablation: Ablation, pair: Pair, out: Path, fingerprint: str, *, with_pictures: bool) -> dict[str, Any]:
    """Scores of every row on one pair: {"bicubic": scores, "rows": {row key: scores}}; kept, and read back if kept."""
    key = hashlib.sha256(b"".join([fingerprint.encode(), pair.name.encode(), pair.lr.tobytes(), pair.hr.tobytes()]))
    path = out / "partial" / f"{key.hexdigest()[:32]}-{'pictures' if with_pictures else 'scores'}.json"
    kept = dict(read_json(path)) if path.exists() else {"rows": {}}
    missing = [row for row in ablation.rows() if row.key() not in kept["rows"]]
    if not missing:
        return kept
    baseline = score_bicubic(pair, ablation.suite.scale, ablation.crop)
    images: dict[tuple[int, Levels], np.ndarray] = {}
    scores: dict[str, Scores] = {}
    for row in missing:
        sr = quantise(_row_image(ablation, row, pair, images))
        scores[row.key()] = score(sr, pair.hr, ablation.crop)
        if with_pictures and row.levels == ablation.levels and len(row.members) in (1, len(ablation.networks)):
            name = "ensemble" if len(row.members) > 1 else ablation.names()[row.members[0]]
            write_image(out / "images" / pair.name / f"{name}.png", sr, bits=8)
    if with_pictures:
        pictures = {"lr": quantise(pair.lr), "bicubic": bicubic(pair, ablation.suite.scale), "hr": quantise(pair.hr)}
        for name, image in pictures.items():
            write_image(out / "images" / pair.name / f"{name}.png", image, bits=8)
    value = {"bicubic": baseline, "rows": kept["rows"] | scores}
    write_json(path, value)
    return value


def _row_image(ablation: Ablation, row: Row, pair: Pair, images: dict[tuple[int, Levels], np.ndarray]) -> np.ndarray:
    """The ensemble's image of a row; members' images are taken from `images`, or computed and put there."""
    for member in row.members:
        if (member, row.levels) not in images:
            images[member, row.levels] = upscale_one(
                ablation.networks[member], to_float(pair.lr), ablation.suite.scale, **row.levels.arguments()
            )
    weights = [ablation.suite.members[member].weight for member in row.members]
    weights = weights if sum(weights) > 0 else [1.0] * len(weights)  # a member of weight 0, on its own
    mean = weighted_mean([images[member, row.levels] for member in row.members], weights)
    return mean.astype(np.float32)  # as `upscale` returns it, so that both round to the same 8 bits


def _table(ablation: Ablation, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    names = ablation.names()
    rows = [
        {
            "members": [names[member] for member in row.members],
            "levels": list(row.levels.names),
            **mean_scores([result["rows"][row.key()] for result in results.values()]),
            "images": [{"name": name, **result["rows"][row.key()]} for name, result in results.items()],
        }
        for row in ablation.rows()
    ]
    images = [{"name": name, **result["bicubic"]} for name, result in results.items()]
    baseline = {**mean_scores(images), "images": images}
    return {
        "schema": SCHEMA,
        "scale": ablation.suite.scale,
        "crop": ablation.crop,
        "patch": ablation.levels.patch,
        "stride": ablation.levels.stride,
        "bicubic": baseline,
        "rows": rows,
        "software": software(),
        "comparisons": compare(rows, baseline, suite=names),
    }


def _fingerprint(ablation: Ablation) -> str:
    """Changes with anything that changes a number: members, their weights files and shares, patches, crop."""
    members = [
        {"id": m.spec.id, "weights": sha256_file(m.weights_path) if m.weights_path else None, "weight": m.weight}
        for m in ablation.suite.members
    ]
    value = {"schema": SCHEMA, "members": members, "levels": ablation.levels.arguments(), "crop": ablation.crop}
    return json.dumps(value, sort_keys=True)
