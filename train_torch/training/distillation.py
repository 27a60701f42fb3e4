"""Distillation: a network learns from a suite's results for the training images, mixed with the true HR images.

The suite's result for a camera pair has less noise than its HR image, and no misregistration: the target then lacks what the
network could not learn (Hinton et al. 2015, with images instead of logits). The suite runs once over each training image. The
result is a pack like any other, so training and checkpoints need no code for it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.pack import Pack, PackPair, write_pack
from shared.errors import UsageError
from shared.files import sha256_file
from shared.images.pixels import quantise, to_float
from shared.progress import Progress, track
from shared.records.suite import read_suite
from train_torch.ensemble import load_suite, upscale

Teacher = Callable[[NDArray[Any]], NDArray[np.float32]]  # LR (h, w, 3) -> (s·h, s·w, 3) in [0, 1]

QUALITY = "balanced"  # of the teacher: has transforms, which gain more than overlapping patches (docs/inference.md)


def distilled_pack(pack: Pack, suite: Path, out: Path, *, share: float) -> Path:
    """A pack whose HR images for training are (1 - share) · HR + share · the suite's result for LR, with 16 bits a sample.

    LR images and validation pairs stay as they are. An existing pack of the same pairs, suite and share is kept.

    Args:
        pack: the true pairs.
        suite: the teacher: a suite file, folder with one, or a weights file.
        out: the new pack; as large as the old one's HR images in 16 bits.
        share: of the suite, 0 to 1.

    Raises:
        UsageError: a suite of another scale or not trained, or another pack at `out`.
        NonFiniteError: a network's output is not finite.
    """
    provenance = {"distilled_from": pack.sha256, "suite": _identity(suite), "share": share, "quality": QUALITY}
    if out.exists():
        _check_same(out, provenance)
        return out
    networks, weights, scale = load_suite(suite)
    if scale != pack.scale:
        raise UsageError(
            f"{suite}: upscales x{scale}, the pairs are x{pack.scale}; expected a suite of the pairs' scale"
        )

    def teach(lr: NDArray[Any]) -> NDArray[np.float32]:
        return np.clip(upscale(networks, lr, scale, weights=weights, quality=QUALITY), 0, 1)

    with track(len(pack.pairs("train")), "distilling", unit="image") as progress:
        write_pack(out, _pairs(pack, teach, share, progress), scale=scale, provenance=provenance)
    return out


def _pairs(pack: Pack, teach: Teacher, share: float, progress: Progress) -> Iterator[PackPair]:
    for split in ("train", "validation"):
        for name in pack.pairs(split):
            lr, hr = pack.lr(name), pack.hr(name)
            if split == "train":
                hr = quantise((1 - share) * to_float(hr) + share * teach(lr), bits=16)
                progress.advance(1, note=name)
            yield PackPair(name=name, lr=lr, hr=hr, split=split, facts=pack.facts(name))


def _identity(suite: Path) -> list[dict[str, Any]]:
    """What decides a teacher's results: the weights files and ensemble weights of its members."""
    return [
        {"id": m.spec.id, "weights_sha256": sha256_file(m.weights_path) if m.weights_path else None, "share": m.weight}
        for m in read_suite(suite).members
    ]


def _check_same(path: Path, provenance: dict[str, Any]) -> None:
    with Pack(path) as there:
        differing = [name for name, value in provenance.items() if there.provenance.get(name) != value]
    if differing:
        raise UsageError(f"{path}: made with another {', '.join(differing)}; expected the same: use another folder")
