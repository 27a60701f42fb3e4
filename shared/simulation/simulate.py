"""LR/HR pairs from clean photographs: a folder of pairs like a user's own, with a record.

    OUT/HR/<photograph>_<i>.png   a piece of the photograph
    OUT/LR/<photograph>_<i>.png   the same, as the camera model takes it from s times further away
    OUT/simulation.json           configuration, values of each pair, sources and licences, what was skipped

Pieces of one photograph look alike: keep them in one split with `data prepare --group '(.+)_'`, or name the photographs to
validate on: `--validation 'coffee_*'`.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from shared.config import read_toml, validated
from shared.data.pairs import SCALES
from shared.errors import UsageError
from shared.files import read_json, sha256_file, write_json
from shared.images.stream import write_image
from shared.metrics import psnr_rgb
from shared.progress import tracked
from shared.resize import bicubic_upscale, to_unit
from shared.simulation.camera import CameraConfig, draw, take, to_light
from shared.simulation.photographs import Photograph
from shared.simulation.pieces import Piece, cut, plan

SCHEMA = "gpnas-sr/simulation/1"
RECORD = "simulation.json"


class SimulationConfig(BaseModel):
    """How pairs are made from the photographs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of all random numbers. A pair depends on the seed, its name, its photograph and the camera, not on other pairs."""
    size: Annotated[int, Field(ge=48)] = 264
    """Side of a piece, HR px, rounded down to a multiple of the scale. 264 (ours) gives 35 pairs from the builtin photographs."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Number of pairs; the first piece of every photograph comes first. None: all pieces."""
    photo_reduction: Annotated[int, Field(ge=1, le=8)] = 2
    """A photograph whose shorter side is at least this many times `size` is first reduced by this factor: that hides the blur,
    noise and JPEG artefacts of its own camera. 1: never."""
    camera: CameraConfig = CameraConfig()
    """The camera of the LR images."""


def read_fields(path: Path) -> dict[str, Any]:
    """The fields in a TOML file, for `make_config`; those of the camera are under `[camera]`.

    Raises:
        UsageError: no such file, or not TOML.
    """
    return read_toml(path, expected="a TOML file with fields of the simulation")


def make_config(values: dict[str, Any], name: str) -> SimulationConfig:
    """A configuration from plain values; `name` leads the message of an error.

    Raises:
        UsageError: an unknown field or a value out of range.
    """
    return validated(SimulationConfig, values, name=name)


def simulate(photographs: Sequence[Photograph], out: Path, *, scale: int, config: SimulationConfig) -> dict[str, Any]:
    """Write the pairs and their record. If the same request was done before, nothing is changed.

    Args:
        photographs: from `find_photographs`.
        out: folder: new, empty, or with an unfinished or finished run of the same request.
        scale: 2, 3 or 4.
        config: what to make.

    Returns:
        The content of simulation.json, and "unchanged": whether it was there already.

    Raises:
        UsageError: the scale is out of range, the folder holds other files, or no photograph can be used.
    """
    if scale not in SCALES:
        raise UsageError(f"got scale {scale}, expected one of {SCALES}")
    request = _request(photographs, scale, config)
    if (before := _finished(out, request)) is not None:
        return {**before, "unchanged": True}
    pieces, skipped = plan(photographs, scale=scale, size=config.size, reduction=config.photo_reduction)
    pieces = pieces[: config.count]
    _check_free(out, [piece.name for piece in pieces])
    pairs = [_make(piece, out, scale, config) for piece in tracked(pieces, "simulating pairs", unit="pair")]
    used = {piece.photograph.name: piece.photograph.to_json() for piece in pieces}
    record = {
        "schema": SCHEMA,
        "scale": scale,
        "config": config.model_dump(mode="json"),
        "request_sha256": request,
        "photographs": list(used.values()),
        "skipped": [asdict(item) for item in skipped],
        "pairs": pairs,
    }
    write_json(out / RECORD, record)
    return {**record, "unchanged": False}


def generator(seed: int, name: str, stream: str) -> np.random.Generator:
    """Random numbers that depend only on the arguments: a counter-based generator (Philox) whose key is their SHA-256.

    Args:
        seed: of the configuration.
        name: of the pair.
        stream: what the numbers are for, such as "noise".
    """
    digest = hashlib.sha256(json.dumps([seed, name, stream]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], "<u8")))


def _make(piece: Piece, out: Path, scale: int, config: SimulationConfig) -> dict[str, Any]:
    """Write one pair; returns its entry in the record."""
    hr = cut(piece)
    camera = draw(config.camera, generator(config.seed, piece.name, "camera"))
    scene = to_light(to_unit(hr), camera.tone_curve, camera.gamma)
    lr = take(scene, camera, scale=scale, generator=generator(config.seed, piece.name, "noise"))
    paths = _paths(out, piece.name)
    for path, pixels in zip(paths, (lr, hr), strict=True):
        write_image(path, pixels, bits=8)
    bicubic = np.clip(bicubic_upscale(lr, scale), 0, 1)
    return {
        "name": piece.name,
        "photograph": piece.photograph.name,
        "piece": {name: getattr(piece, name) for name in ("reduction", "x", "y", "width", "height")},
        "camera": asdict(camera),
        "bicubic_psnr_rgb": psnr_rgb(bicubic, hr, crop=scale),
        "sha256": [sha256_file(path) for path in paths],
    }


def _paths(out: Path, name: str) -> tuple[Path, Path]:
    """The LR and the HR file of a pair."""
    return out / "LR" / f"{name}.png", out / "HR" / f"{name}.png"


def _request(photographs: Sequence[Photograph], scale: int, config: SimulationConfig) -> str:
    """SHA-256 of everything that decides the pairs."""
    files = [[photograph.name, sha256_file(photograph.path)] for photograph in photographs]
    text = json.dumps([SCHEMA, files, scale, config.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, request: str) -> dict[str, Any] | None:
    """The record of an earlier run of this request, if all its files are there and unchanged; else None.

    Raises:
        UsageError: `out` holds the pairs of another request.
    """
    if not (out / RECORD).exists():
        return None
    record = read_json(out / RECORD)
    if not isinstance(record, dict) or record.get("request_sha256") != request:
        raise UsageError(
            f"{out / RECORD}: made from other photographs, scale or configuration, expected the same or an empty folder; "
            "give another --out, or delete that folder"
        )
    assert isinstance(record["pairs"], list)
    whole = all(
        path.is_file() and sha256_file(path) == digest
        for pair in record["pairs"]
        for path, digest in zip(_paths(out, pair["name"]), pair["sha256"], strict=True)
    )
    return record if whole else None


def _check_free(out: Path, names: Iterable[str]) -> None:
    """Refuse a folder that holds other files."""
    own = {path for name in names for path in _paths(out, name)}
    for folder in (out / "LR", out / "HR"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path not in own and not path.name.startswith("."):
                raise UsageError(
                    f"{path}: got a file that is not of these pairs, expected an empty folder; "
                    "give another --out, or move the file"
                )
