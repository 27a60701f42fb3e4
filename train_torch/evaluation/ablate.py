"""The paper's Table 1 for any suite: singles, all pairs, all members; then all members with each level of the ensemble off.

Each member is run once per image and set of levels, and its image is used in every row it belongs to. Results are kept image by
image under `partial/`: an ablation that was killed continues from them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import Field
from torch import nn

from shared.data.source import Pair, PairSource
from shared.data.validation import score, spread
from shared.files import sha256_file, write_json
from shared.images.pixels import quantise, to_float
from shared.images.stream import write_image
from shared.progress import track
from shared.records.ablation import NAME, AblationTable, BicubicScores, TableRow
from shared.records.record import Record, read_record
from shared.records.scores import ImageScores, Scores
from shared.records.suite import Suite
from shared.spec import software
from train_torch.ensemble import upscale_one
from train_torch.ensemble.fusion import weighted_mean
from train_torch.ensemble.modules import PreparedMember, prepare
from train_torch.evaluation.evaluate import Levels, bicubic, chosen, mean_scores, score_bicubic, select
from train_torch.evaluation.intervals import compare


@dataclass(frozen=True, kw_only=True, slots=True)
class Combination:
    """What one row of the table measures: positions of the members in the suite, and the levels that are on."""

    members: tuple[int, ...]
    levels: Levels

    def key(self) -> str:
        """Its name in a partial result."""
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

    def combinations(self) -> list[Combination]:
        """Singles, pairs, all; all with one level off, and with every level off; each single in one plain pass. None twice."""
        count = len(self.networks)
        everyone = tuple(range(count))
        subsets = [subset for size in (1, 2) for subset in combinations(everyone, size)]
        subsets += [everyone] if count > 2 else []
        found = [Combination(members=subset, levels=self.levels) for subset in subsets]
        off = [replace(self.levels, **{name: False}) for name in self.levels.names]
        one_pass = replace(self.levels, self_ensemble=False, patch_ensemble=False)
        found += [Combination(members=everyone, levels=levels) for levels in (*off, one_pass)]
        found += [Combination(members=(member,), levels=one_pass) for member in everyone]
        return list(dict.fromkeys(found))

    def names(self) -> list[str]:
        """The members' ids; `-2`, `-3` … are appended where one architecture stands in the suite again."""
        ids = [member.spec.id for member in self.suite.members]
        return [f"{name}-{ids[:i].count(name) + 1}" if ids[:i].count(name) else name for i, name in enumerate(ids)]


class _Partial(Record):
    """What is kept of one image: scores of bicubic, and of each combination by its key."""

    bicubic: Scores
    rows: dict[str, Scores] = Field(default_factory=dict)


def ablate(
    ablation: Ablation, pairs: PairSource, out: Path, *, include: Sequence[str] = (), examples: int = 4
) -> AblationTable:
    """Measure every row on every pair, and write `ablation.json` and the pictures of some pairs into `out`.

    Args:
        ablation: what is measured.
        pairs: what it is measured on.
        out: folder; an earlier, unfinished ablation in it is continued.
        include: patterns of pair names to keep; empty: all.
        examples: pairs whose pictures are kept, evenly spread.

    Raises:
        UsageError: no pair has such a name.
        NonFiniteError: a network's output is not finite.
    """
    names = select(pairs.names, include)
    shown = set(spread(names, examples))
    fingerprint = _fingerprint(ablation)
    results: dict[str, _Partial] = {}
    ablation = replace(ablation, networks=prepare(ablation.networks, ablation.suite.scale))
    with track(len(names), "ablating", unit="image") as progress:
        for pair in chosen(pairs, names):
            results[pair.name] = _measure(ablation, pair, out, fingerprint, with_pictures=pair.name in shown)
            progress.advance(1, note=pair.name)
    table = _table(ablation, results, examples=sorted(shown))
    write_json(out / NAME, table.to_json())
    return table


def _measure(ablation: Ablation, pair: Pair, out: Path, fingerprint: str, *, with_pictures: bool) -> _Partial:
    """Scores of every combination on one pair; they are kept, and read back if they were kept before."""
    key = hashlib.sha256(b"".join([fingerprint.encode(), pair.name.encode(), pair.lr.tobytes(), pair.hr.tobytes()]))
    path = out / "partial" / f"{key.hexdigest()[:32]}-{'pictures' if with_pictures else 'scores'}.json"
    kept = read_record(_Partial, path) if path.exists() else None
    rows = {} if kept is None else kept.rows
    missing = [each for each in ablation.combinations() if each.key() not in rows]
    if kept is not None and not missing:
        return kept
    baseline = score_bicubic(pair, ablation.suite.scale, ablation.crop)
    images: dict[tuple[int, Levels], np.ndarray] = {}
    scores: dict[str, Scores] = {}
    for each in missing:
        sr = quantise(_ensemble_image(ablation, each, pair, images))
        scores[each.key()] = Scores(**score(sr, pair.hr, ablation.crop))
        if with_pictures and each.levels == ablation.levels and len(each.members) in (1, len(ablation.networks)):
            name = "ensemble" if len(each.members) > 1 else ablation.names()[each.members[0]]
            write_image(out / "images" / pair.name / f"{name}.png", sr, bits=8)
    if with_pictures:
        pictures = {"lr": quantise(pair.lr), "bicubic": bicubic(pair, ablation.suite.scale), "hr": quantise(pair.hr)}
        for name, image in pictures.items():
            write_image(out / "images" / pair.name / f"{name}.png", image, bits=8)
    partial = _Partial(bicubic=baseline, rows=rows | scores)
    write_json(path, partial.to_json())
    return partial


def _ensemble_image(
    ablation: Ablation, combination: Combination, pair: Pair, images: dict[tuple[int, Levels], np.ndarray]
) -> np.ndarray:
    """The image of a combination; members' images are taken from `images`, or computed and put there."""
    levels = combination.levels
    for member in combination.members:
        if (member, levels) not in images:
            images[member, levels] = upscale_one(
                ablation.networks[member], to_float(pair.lr), ablation.suite.scale, **levels.arguments()
            )
    weights = [ablation.suite.members[member].weight for member in combination.members]
    weights = weights if sum(weights) > 0 else [1.0] * len(weights)  # a member of weight 0, on its own
    mean = weighted_mean([images[member, levels] for member in combination.members], weights)
    return mean.astype(np.float32)  # as `upscale` returns it, so that both round to the same 8 bits


def _table(ablation: Ablation, results: Mapping[str, _Partial], *, examples: Sequence[str]) -> AblationTable:
    names = ablation.names()
    rows = []
    for each in ablation.combinations():
        images = _images({name: result.rows[each.key()] for name, result in results.items()})
        members = tuple(names[member] for member in each.members)
        rows.append(TableRow(members=members, levels=each.levels.names, images=images, **mean_scores(images)))
    images = _images({name: result.bicubic for name, result in results.items()})
    baseline = BicubicScores(images=images, **mean_scores(images))
    return AblationTable(
        scale=ablation.suite.scale,
        crop=ablation.crop,
        patch=ablation.levels.patch,
        stride=ablation.levels.stride,
        bicubic=baseline,
        rows=tuple(rows),
        software=software(),
        comparisons=compare(rows, baseline, suite=names),
        examples=tuple(examples),
    )


def _images(scores: Mapping[str, Scores]) -> tuple[ImageScores, ...]:
    return tuple(ImageScores(name=name, **dict(each)) for name, each in scores.items())


def _fingerprint(ablation: Ablation) -> str:
    """Changes with anything that changes a number: members, their weights files and ensemble weights, patches, crop."""
    members = [
        {"id": m.spec.id, "weights": sha256_file(m.weights_path) if m.weights_path else None, "weight": m.weight}
        for m in ablation.suite.members
    ]
    value = {
        "schema": "gpnas-sr/ablation/1",
        "members": members,
        "levels": ablation.levels.arguments(),
        "crop": ablation.crop,
    }
    return json.dumps(value, sort_keys=True)
