"""Make one pack from folders of LR/HR pairs: pairs that are not aligned are dropped and listed, the others get facts and a split.

The files are read twice, because large sets do not fit into memory: first to judge every pair, then to write.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import h5py

from shared.config import validated
from shared.data.alignment import measure_shift, ncc
from shared.data.pack import Pack, PackPair, write_pack
from shared.data.pairs import Discovery, FoundPair, Skipped, discover, first_reasons, read_pair
from shared.data.split import hashed_validation, matching
from shared.errors import PairError, UsageError
from shared.files import sha256_file, write_json
from shared.progress import tracked
from shared.records.preparation import SCHEMA, DroppedPair, KeptPair, PreparationReport, PrepareConfig
from shared.records.record import read_record
from shared.spec import software

__all__ = ["PreparationReport", "PrepareConfig", "make_config", "prepare", "report_path"]


def prepare(
    sources: Sequence[Path], out: Path, *, config: PrepareConfig, scale: int | None = None
) -> PreparationReport:
    """Write the pack `out` and its report. If both are there already, from the same files and configuration, nothing is changed.

    Args:
        sources: folders of pairs (`shared.data.pairs.discover`).
        out: path of the pack. An earlier pack is replaced; any other file is not.
        config: which pairs to keep.
        scale: 2, 3 or 4; None: found from the sizes.

    Raises:
        UsageError: a pattern matches no name, or `out` exists and is not a pack.
        PairError: no pair is kept.
    """
    if out.exists() and not (out.is_file() and h5py.is_hdf5(out)):
        raise UsageError(f"{out}: there is something else than a pack, expected a pack or nothing; give another --out")
    found = _selected(discover(sources, scale=scale), config)
    inputs = _inputs(found, config)
    if (before := _finished(out, inputs)) is not None:
        return before.model_copy(update={"unchanged": True})
    images, dropped = _judge(found, config)
    images = _split(images, config)
    provenance = {
        "inputs_sha256": inputs,
        "layout": found.layout,
        "config": config.model_dump(mode="json"),
        "software": software(),
    }
    sha256 = write_pack(out, _entries(found, images, config), scale=found.scale, provenance=provenance)
    report = _report(out, sha256, inputs, found, config, images, dropped)
    write_json(report_path(out), report.to_json())
    return report


def report_path(pack: Path) -> Path:
    """Path of the report of a pack."""
    return pack.with_name(f"{pack.name}.report.json")


def make_config(values: dict[str, Any]) -> PrepareConfig:
    """A configuration from plain values.

    Raises:
        UsageError: an unknown field or a value out of range.
    """
    return validated(PrepareConfig, values, name="options")


def _selected(found: Discovery, config: PrepareConfig) -> Discovery:
    names = [pair.name for pair in found.pairs]
    wanted = set(matching(names, config.include)) - set(matching(names, config.exclude))
    if not wanted:
        raise UsageError(
            f"got include {list(config.include)} and exclude {list(config.exclude)}, which leave none of "
            f"{len(names)} pairs; "
            f"expected patterns of names such as {', '.join(names[:3])}"
        )
    skipped = [item.name for item in found.skipped]
    left_out = set(skipped) - (set(matching(skipped, config.include)) - set(matching(skipped, config.exclude)))
    return Discovery(
        pairs=tuple(pair for pair in found.pairs if pair.name in wanted),
        scale=found.scale,
        skipped=tuple(item for item in found.skipped if item.name not in left_out),
        layout=found.layout,
    )


def _inputs(found: Discovery, config: PrepareConfig) -> str:
    """SHA-256 of everything that decides the content of pack and report."""
    files = [[pair.name, sha256_file(pair.lr), sha256_file(pair.hr)] for pair in found.pairs]
    skipped = [[item.name, item.reason] for item in found.skipped]
    text = json.dumps([SCHEMA, found.scale, files, skipped, config.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, inputs: str) -> PreparationReport | None:
    """The report of an earlier run on the same inputs, if its pack is still there and undamaged."""
    if not (out.exists() and report_path(out).exists()):
        return None
    try:
        report = read_record(PreparationReport, report_path(out))
        with Pack(out) as pack:
            whole = pack.sha256 == report.sha256 and not pack.damage()
    except UsageError:
        return None  # broken, or of another version: written again
    return report if whole and report.inputs_sha256 == inputs else None


def _judge(found: Discovery, config: PrepareConfig) -> tuple[list[KeptPair], list[Skipped]]:
    """Facts of the pairs to keep; and the pairs that are dropped, with those that `discover` skipped.

    Raises:
        PairError: no pair is kept.
    """
    kept: list[KeptPair] = []
    dropped = list(found.skipped)
    for pair in tracked(found.pairs, "checking pairs", unit="pair"):
        try:
            kept.append(_examine(pair, found.scale, config))
        except PairError as error:
            dropped.append(Skipped(name=pair.name, reason=str(error)))
    dropped.sort(key=lambda item: (item.name, item.reason))
    if not kept:
        raise PairError(
            f"got no pair that can be kept ({len(dropped)} found); no pack is written. {first_reasons(dropped)}"
        )
    return kept, dropped


def _examine(pair: FoundPair, scale: int, config: PrepareConfig) -> KeptPair:
    lr, hr = read_pair(pair, scale=scale)
    score = ncc(lr, hr, definition=config.ncc)
    if not score >= config.ncc_threshold:
        raise PairError(
            f"got {config.ncc} {score:.4f}, expected {config.ncc_threshold:g} or more: the images differ in position, "
            "colour or sharpness; align them, or lower the threshold (--ncc-threshold)"
        )
    shift = measure_shift(lr, hr)
    return KeptPair(
        name=pair.name,
        lr_size=(lr.shape[1], lr.shape[0]),
        hr_size=(hr.shape[1], hr.shape[0]),
        ncc=score,
        shift=(round(shift.x, 4), round(shift.y, 4)) if shift else None,  # its error is about 0.09
        shift_response=round(shift.response, 4) if shift else None,
    )


def _split(images: list[KeptPair], config: PrepareConfig) -> list[KeptPair]:
    names = [image.name for image in images]
    if config.validation is None:
        chosen = hashed_validation(names, fraction=config.validation_fraction, seed=config.seed, group=config.group)
    else:
        chosen = frozenset(matching(names, config.validation))
        if not chosen:
            raise UsageError(
                f"got validation {list(config.validation)}, which matches none of {len(names)} kept pairs; "
                f"expected patterns of names such as {', '.join(names[:3])}"
            )
    return [image.model_copy(update={"split": "validation"}) if image.name in chosen else image for image in images]


def _entries(found: Discovery, images: Sequence[KeptPair], config: PrepareConfig) -> Iterator[PackPair]:
    files = {pair.name: pair for pair in found.pairs}
    for image in tracked(images, "writing pack", unit="pair"):
        pair = files[image.name]
        lr, hr = read_pair(pair, scale=found.scale)
        facts = {
            config.ncc: image.ncc,
            "shift": image.shift,
            "shift_response": image.shift_response,
            "files": [pair.lr.name, pair.hr.name],
        }
        yield PackPair(name=image.name, lr=lr, hr=hr, split=image.split, facts=facts)


def _report(
    out: Path,
    sha256: str,
    inputs: str,
    found: Discovery,
    config: PrepareConfig,
    images: Sequence[KeptPair],
    dropped: Sequence[Skipped],
) -> PreparationReport:
    scores = [image.ncc for image in images]
    shifts = [float(abs(complex(*image.shift))) for image in images if image.shift is not None]
    validation = sum(image.split == "validation" for image in images)
    return PreparationReport(
        pack=out.name,
        sha256=sha256,
        inputs_sha256=inputs,
        scale=found.scale,
        layout=found.layout,
        config=config,
        pairs=len(images) + len(dropped),
        kept=len(images),
        rescued=0,
        train=len(images) - validation,
        validation=validation,
        ncc={"min": min(scores), "median": median(scores)},
        shift={"median": median(shifts), "max": max(shifts)} if shifts else None,
        dropped=tuple(DroppedPair(name=item.name, reason=item.reason) for item in dropped),
        images=tuple(images),
    )
