"""Which image file becomes which, and every check that needs no pixel.

An output has the format of its input, with two exceptions. JPEG becomes PNG, because a second JPEG would lose more. WebP becomes
PNG where 16 bits are asked for, because WebP holds 8. Where the output is a single file, its suffix decides the format.
"""

import glob
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shared.errors import UsageError
from shared.images.encode import FORMATS, TIFF
from shared.images.pixels import Bits

STREAM = "-"  # standard input or output


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTask:
    """One image file and what becomes of it.

    Attributes:
        source: the image; `-` for standard input.
        target: the output; `-` for standard output.
        uncertainty: the output of the members' disagreement, if it is asked for.
    """

    source: Path
    target: Path
    uncertainty: Path | None = None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that are made."""
        written = () if self.target == Path(STREAM) else (self.target,)
        return written if self.uncertainty is None else (*written, self.uncertainty)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileQueue:
    """The files to make.

    Attributes:
        tasks: at least one; no two have the same output, and no output is among the sources.
        single: one image was named, not a folder or several; its failure is the failure of the command.
        ignored: files of the folders whose suffix is none of an image.
    """

    tasks: tuple[FileTask, ...]
    single: bool
    ignored: tuple[Path, ...] = ()


def queue_files(
    inputs: Sequence[str], output: str, *, bits: Bits | None = None, uncertainty: bool = False
) -> FileQueue:
    """Find the images and name their outputs.

    Args:
        inputs: image files, folders, patterns such as `photos/**/*.png`, or `-` alone for standard input. Of a folder the
            images at any depth: hidden files are left out, links to folders are not followed, and images under `output` are
            left out where that lies inside the folder.
        output: for a single image a file with a known suffix, a folder, or `-` for a PNG on standard output; else a folder,
            which gets the structure of each input folder.
        bits: the depth of the outputs; None: that of each input.
        uncertainty: also plan a picture of the members' disagreement beside each output.

    Raises:
        UsageError: no such file or folder, no image in it, an output of the wrong kind, two images that would become one
            file, or an output among the inputs.
    """
    sources = _expanded(inputs)
    single = len(sources) == 1 and not sources[0].is_dir()
    found = _single(sources[0], output, bits) if single else _several(sources, output, bits)
    tasks = tuple(replace(task, uncertainty=_uncertainty(task.target)) if uncertainty else task for task in found.tasks)
    _check_distinct(tasks)
    _check_no_input(tasks)
    return replace(found, tasks=tasks)


def _path(word: str) -> Path:
    """A path as it was given; `./-` means a file of that name."""
    return Path(word).absolute() if Path(word) == Path(STREAM) else Path(word)


def _expanded(inputs: Sequence[str]) -> list[Path]:
    """Files and folders that are there, or `-`, each once."""
    if STREAM in inputs:
        if len(inputs) > 1:
            raise UsageError(f"got {' '.join(inputs)}; expected - alone: standard input is one image")
        return [Path(STREAM)]
    found: dict[str, Path] = {}
    for word in inputs:
        for path in _matches(word):
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _matches(word: str) -> list[Path]:
    if os.path.lexists(word):
        return [_path(word)]
    paths = [Path(match) for match in sorted(glob.glob(word, recursive=True))] if glob.has_magic(word) else []
    images = [path for path in paths if path.is_dir() or path.suffix.lower() in FORMATS]
    if not images:
        what = (
            f"a pattern that fits {len(paths)} files and no image" if glob.has_magic(word) else "no such file or folder"
        )
        raise UsageError(f"{word}: {what}; expected an image, a folder of images, or a pattern of them")
    return images


def _single(source: Path, output: str, bits: Bits | None) -> FileQueue:
    target = Path(STREAM) if output == STREAM else _single_target(source, _path(output), bits)
    return FileQueue(tasks=(FileTask(source=source, target=target),), single=True)


def _single_target(source: Path, target: Path, bits: Bits | None) -> Path:
    if target.suffix.lower() in FORMATS and not target.is_dir():
        return target
    if target.suffix and not target.is_dir():
        raise UsageError(
            f"{target}: suffix {target.suffix!r}; expected one of {', '.join(FORMATS)}, or a folder: make such a folder first"
        )
    if source == Path(STREAM):
        raise UsageError(
            f"{target}: a folder; expected a file or - for the image from standard input, which has no name"
        )
    _check_folder(target)
    return target / _name(source, bits)


def _several(sources: Sequence[Path], output: str, bits: Bits | None) -> FileQueue:
    target = _path(output)
    if (target.suffix.lower() in FORMATS and not target.is_dir()) or output == STREAM:
        raise UsageError(f"{output}: a single output; expected a folder for {', '.join(map(str, sources[:3]))}")
    _check_folder(target)
    tasks: dict[str, FileTask] = {}
    ignored: list[Path] = []
    for source in sources:
        files = list(_files(source, leave_out=target.resolve())) if source.is_dir() else [source]
        images = [path for path in files if path.suffix.lower() in FORMATS or path == source]
        if not images:
            raise UsageError(f"{source}: got {len(files)} files and no image; expected PNG, TIFF, JPEG or WebP files")
        root = source if source.is_dir() else source.parent
        for path in images:
            named = FileTask(source=path, target=target / path.relative_to(root).with_name(_name(path, bits)))
            tasks.setdefault(os.path.abspath(path), named)
        ignored += [path for path in files if path not in images]
    for source in sources:
        if source.is_dir() and source.resolve() not in target.resolve().parents:
            _check_outside(source, list(tasks.values()))
    return FileQueue(tasks=tuple(tasks.values()), single=False, ignored=tuple(ignored))


def _name(source: Path, bits: Bits | None) -> str:
    """Name of an output whose format follows the input's."""
    known = FORMATS.get(source.suffix.lower())
    if known is None:
        return f"{source.name}.png"
    lossy = known.name == "JPEG"
    return f"{source.stem}.png" if lossy or (bits is not None and bits not in known.bits) else source.name


def _uncertainty(target: Path) -> Path:
    """The picture of the disagreement beside an output: 16 bits, so TIFF beside TIFF and PNG beside all others."""
    if target == Path(STREAM):
        raise UsageError(
            "an image on standard output and its uncertainty; expected a file as output, to put both beside"
        )
    tiff = FORMATS[target.suffix.lower()] is TIFF
    return target.with_name(f"{target.stem}.uncertainty{target.suffix if tiff else '.png'}")


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


def _check_distinct(tasks: Sequence[FileTask]) -> None:
    sources: dict[Path, list[Path]] = defaultdict(list)
    for task in tasks:
        for output in task.outputs:
            sources[output].append(task.source)
    for target, paths in sources.items():
        if len(paths) > 1:
            raise UsageError(
                f"{' and '.join(map(str, paths))} would both become {target}; expected one image for each output: "
                "rename one, or upscale it to another folder"
            )


def _check_no_input(tasks: Sequence[FileTask]) -> None:
    sources = {os.path.realpath(task.source) for task in tasks}
    for task in tasks:
        for output in task.outputs:
            if os.path.realpath(output) in sources:
                raise UsageError(
                    f"{output}: would be both input and output; expected another name or folder for the output"
                )


def _check_outside(source: Path, tasks: Sequence[FileTask]) -> None:
    folder = source.resolve()
    for task in tasks:
        if task.target.resolve().is_relative_to(folder):
            raise UsageError(
                f"{task.target}: would lie among the inputs, and be upscaled by the next run; expected another folder"
            )
