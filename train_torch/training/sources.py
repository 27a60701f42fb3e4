"""What to train, from what the user names: run folders, suite files, spec files, weights files, presets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UsageError
from shared.files import read_json
from shared.records.suite import NAME, SCHEMA, read_suite
from shared.records.weights import load_weights
from shared.spec import PRESETS, SpecFile, make_spec_file, parse, read_spec_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A network to train, and weights it may start from."""

    spec_file: SpecFile
    weights: Path | None


def find_sources(names: Sequence[str | Path], scale: int) -> tuple[Source, ...]:
    """The networks of all names, in order.

    Args:
        names: a folder with suite.json (a search run or a training run), a suite file, a spec file, a weights file
            (.safetensors), or the name of a preset.
        scale: of the data; presets take it.

    Raises:
        UsageError: nothing named, no such file or preset, a spec of another scale, or one network named twice.
        SpecError, WeightsError: a file that cannot be read as what it is.
    """
    sources = tuple(source for name in names for source in _sources(name, scale))
    if not sources:
        raise UsageError(
            "nothing to train: got no name, expected a run folder, suite, spec file, weights file or preset"
        )
    ids = [source.spec_file.id for source in sources]
    for source in sources:
        if source.spec_file.spec.scale != scale:
            raise UsageError(f"{source.spec_file.id}: got data of x{scale}, expected x{source.spec_file.spec.scale}")
        if ids.count(source.spec_file.id) > 1:
            raise UsageError(
                f"{source.spec_file.id} is named {ids.count(source.spec_file.id)} times; name each network once"
            )
    return sources


def _sources(name: str | Path, scale: int) -> list[Source]:
    if str(name) in PRESETS:
        return [Source(spec_file=make_spec_file(parse(str(name), scale=scale), None), weights=None)]
    path = Path(name)
    if path.suffix == ".safetensors":
        return [Source(spec_file=make_spec_file(load_weights(path).spec, None), weights=path)]
    if path.is_dir() or _is_suite(path):
        return _of_suite(path)
    if path.is_file():
        return [Source(spec_file=read_spec_file(path), weights=None)]
    raise UsageError(
        f"{name}: no such file or folder; expected a run folder, a suite, spec or weights file, or a preset: "
        + ", ".join(PRESETS)
    )


def _is_suite(path: Path) -> bool:
    if not path.is_file():
        return False
    value = read_json(path)
    return path.name == NAME or (isinstance(value, dict) and value.get("schema") == SCHEMA)


def _of_suite(path: Path) -> list[Source]:
    if path.is_dir() and not (path / NAME).is_file():
        raise UsageError(
            f"{path}: no {NAME} in it; expected the folder of a finished search or training, or name spec files"
        )
    return [
        Source(
            spec_file=make_spec_file(member.spec, None)
            if member.spec_path is None
            else read_spec_file(member.spec_path),
            weights=member.weights_path,
        )
        for member in read_suite(path).members
    ]
