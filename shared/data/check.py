"""What a pack or a folder of pairs contains, and what is wrong with it; everything is measured from the pixels."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.alignment import NccName, measure_shift, ncc
from shared.data.pack import Pack
from shared.data.pairs import discover, read_pair
from shared.errors import PairError
from shared.progress import tracked

SHIFT_LIMIT = 0.5  # LR px, ours: the largest of 122 RealSR and DRealSR pairs is 0.37
SURE = 0.5  # ours: at a lower response, measured shifts are not real (DRealSR: 4.4 px at 0.24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One pair. Sizes are (width, height) in px; the shift is (x, y) in LR px."""

    name: str
    split: str | None
    lr_size: tuple[int, int]
    hr_size: tuple[int, int]
    bits: tuple[int, int]
    ncc_rgb_lr: float
    ncc_y_hr: float
    shift: tuple[float, float] | None
    shift_response: float | None


def check(
    path: Path, *, scale: int | None = None, definition: NccName = "ncc_rgb_lr", threshold: float = 0.99
) -> dict[str, Any]:
    """Measure every pair of a pack, or every pair that `data prepare` would find in a folder.

    Args:
        path: pack or folder.
        scale: 2, 3 or 4: of the pairs in a folder; None: found from their sizes.
        definition: the NCC that is judged. Both are listed.
        threshold: a pair whose NCC is lower is a problem.

    Returns:
        {"path", "kind": "pack" or "folder", "scale", "sha256" or null, "pairs": [Checked as dicts], "problems":
        [{"name", "reason"}]}.

    Raises:
        UsageError: no such file, or neither a pack nor a folder.
        PairError: a folder without any pair.
    """
    if path.is_dir():
        return _check_folder(path, scale, definition, threshold)
    with Pack(path) as pack:
        names = [(name, split) for split in ("train", "validation") for name in pack.pairs(split)]
        pairs = [
            measure(name, split, pack.lr(name), pack.hr(name))
            for name, split in tracked(names, "measuring pairs", unit="pair")
        ]
        damage = [
            (name, "damaged: its pixels are not the ones that were written; prepare the pack again")
            for name in pack.damage()
        ]
        return _result(path, "pack", pack.scale, pack.sha256, pairs, damage + _problems(pairs, definition, threshold))


def measure(name: str, split: str | None, lr: NDArray[Any], hr: NDArray[Any]) -> Checked:
    """Facts of one pair.

    Args:
        name: of the pair.
        split: "train" or "validation"; None: of a folder.
        lr: (h, w, 3) uint8 or uint16.
        hr: (s·h, s·w, 3), of the same dtype.
    """
    shift = measure_shift(lr, hr)
    return Checked(
        name=name,
        split=split,
        lr_size=(lr.shape[1], lr.shape[0]),
        hr_size=(hr.shape[1], hr.shape[0]),
        bits=(8 * lr.itemsize, 8 * hr.itemsize),
        ncc_rgb_lr=ncc(lr, hr, definition="ncc_rgb_lr"),
        ncc_y_hr=ncc(lr, hr, definition="ncc_y_hr"),
        shift=(shift.x, shift.y) if shift else None,
        shift_response=shift.response if shift else None,
    )


def _check_folder(path: Path, scale: int | None, definition: NccName, threshold: float) -> dict[str, Any]:
    found = discover([path], scale=scale)
    problems = [(item.name, item.reason) for item in found.skipped]
    pairs = []
    for pair in tracked(found.pairs, "measuring pairs", unit="pair"):
        try:
            pairs.append(measure(pair.name, None, *read_pair(pair, scale=found.scale)))
        except PairError as error:
            problems.append((pair.name, str(error)))
    return _result(path, "folder", found.scale, None, pairs, problems + _problems(pairs, definition, threshold))


def _problems(pairs: list[Checked], definition: NccName, threshold: float) -> list[tuple[str, str]]:
    problems = []
    for pair in pairs:
        score: float = getattr(pair, definition)
        if not score >= threshold:
            problems.append(
                (
                    pair.name,
                    f"got {definition} {score:.4f}, expected {threshold:g} or more; align the pair, or remove it",
                )
            )
        length = float(np.hypot(*pair.shift)) if pair.shift else 0.0
        if length > SHIFT_LIMIT and (pair.shift_response or 0) > SURE:
            problems.append(
                (pair.name, f"got a shift of {length:.2f} LR px, expected at most {SHIFT_LIMIT}; align the pair")
            )
    return problems


def _result(
    path: Path, kind: str, scale: int, sha256: str | None, pairs: list[Checked], problems: list[tuple[str, str]]
) -> dict[str, Any]:
    return {
        "path": str(path),
        "kind": kind,
        "scale": scale,
        "sha256": sha256,
        "pairs": [asdict(pair) for pair in pairs],
        "problems": [{"name": name, "reason": reason} for name, reason in problems],
    }
