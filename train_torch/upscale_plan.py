"""Which image file becomes which, and every refusal that needs no pixel.

An output has the format of its input, but for JPEG, whose losses would be added to: it becomes PNG. So does WebP where 16 bits
are asked for, as it holds 8. Where the output is a single file, its suffix says the format.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.data.encode import FORMATS
from shared.data.images import Bits
from shared.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One image file and what becomes of it."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        source: the image or folder that was given.
        jobs: at least one; no two have one target, no target is among the sources.
        ignored: files of the folder that no known suffix tells to be images.
    """

    source: Path
    jobs: tuple[Job, ...]
    ignored: tuple[Path, ...] = ()


def plan(source: Path, target: Path, *, bits: Bits | None = None) -> Plan:
    """Which files become which.

    Args:
        source: an image file, or a folder: then the images at any depth. Hidden files are left out, links to folders are not
            followed, and images under `target` are left out where that lies inside the folder.
        target: for a folder, the folder that gets the same structure. For a file, a file with a known suffix, or a folder.
        bits: the depth of the outputs; None: that of each input.

    Raises:
        UsageError: no such file or folder, no image in it, a target of the wrong kind, two images that would become one
            file, or an output among the inputs.
    """
    if source.is_dir():
        return _plan_folder(source, target, bits)
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder; expected an image, or a folder of images")
    job = Job(source=source, target=_single_target(source, target, bits))
    if job.target.resolve() == source.resolve():
        raise UsageError(f"{source}: would be both input and output; expected another name or folder for the output")
    return Plan(source=source, jobs=(job,))


def _plan_folder(source: Path, target: Path, bits: Bits | None) -> Plan:
    if target.suffix.lower() in FORMATS and not target.is_dir():
        raise UsageError(f"{target}: named like an image; expected a folder, as {source} is one")
    _check_folder(target)
    files = list(_files(source, leave_out=target.resolve()))
    images = [path for path in files if path.suffix.lower() in FORMATS]
    if not images:
        raise UsageError(f"{source}: got {len(files)} files and no image; expected PNG, TIFF, JPEG or WebP files")
    jobs = tuple(Job(source=p, target=target / p.relative_to(source).with_name(_name(p, bits))) for p in images)
    _check_distinct(jobs)
    if source.resolve() not in target.resolve().parents:
        _check_outside(source, jobs)
    return Plan(source=source, jobs=jobs, ignored=tuple(p for p in files if p.suffix.lower() not in FORMATS))


def _single_target(source: Path, target: Path, bits: Bits | None) -> Path:
    if target.suffix.lower() in FORMATS and not target.is_dir():
        return target
    if target.suffix and not target.is_dir():
        raise UsageError(
            f"{target}: suffix {target.suffix!r}; expected one of {', '.join(FORMATS)}, or a folder: make such a folder first"
        )
    _check_folder(target)
    return target / _name(source, bits)


def _name(source: Path, bits: Bits | None) -> str:
    """Name of an output whose format follows the input's."""
    known = FORMATS.get(source.suffix.lower())
    if known is None:
        return f"{source.name}.png"
    lossy = known.name == "JPEG"
    return f"{source.stem}.png" if lossy or (bits is not None and bits not in known.bits) else source.name


def _files(folder: Path, *, leave_out: Path) -> Iterator[Path]:
    """Files at any depth, in a fixed order, but for hidden ones and those under `leave_out`, a resolved path."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"{error.filename}: {error.strerror}; expected a folder that can be read: allow it, or move it away"
        )

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and Path(root, n).resolve() != leave_out)
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _check_folder(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target}: this is a file; expected a folder: give another name")


def _check_distinct(jobs: Sequence[Job]) -> None:
    sources: dict[Path, list[Path]] = defaultdict(list)
    for job in jobs:
        sources[job.target].append(job.source)
    for target, paths in sources.items():
        if len(paths) > 1:
            raise UsageError(
                f"{' and '.join(map(str, paths))} would both become {target}; expected one image for each output: "
                "rename one, or upscale it to another folder"
            )


def _check_outside(source: Path, jobs: Sequence[Job]) -> None:
    folder = source.resolve()
    for job in jobs:
        if job.target.resolve().is_relative_to(folder):
            raise UsageError(
                f"{job.target}: would lie among the inputs, and be upscaled by the next run; expected another folder"
            )
