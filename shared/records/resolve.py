"""What a user's word stands for: a preset, a spec file, a weights file, a suite file, or the folder of a run.

Every command that takes networks asks here, so that each takes the same words and refuses with the same messages.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shared.errors import SpecError, UsageError, nearest
from shared.files import read_json
from shared.network.architecture import ArchSpec
from shared.records.suite import NAME, SCHEMA, Member, read_suite
from shared.records.weights import WeightsFile, load_weights
from shared.spec import PRESETS, SpecFile, make_spec_file, parse, read_spec_file

Kind = Literal["spec", "weights", "suite"]
KIND = SCHEMA.rpartition("/")[0]  # also of suites of a newer version, which `read_suite` refuses
TRAINED = "the folder of a run, a suite file, or a weights file (.safetensors)"
ANY = (
    f"the folder of a run, a suite file, a weights file (.safetensors), a spec file, or a preset: {', '.join(PRESETS)}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """The networks that a word stands for.

    Attributes:
        word: as the user gave it.
        kind: "spec": an architecture alone, also from a preset; its initial weights are meant.
        members: the networks, at least one. An architecture, and a suite that is not trained yet, have no weights.
    """

    word: str
    kind: Kind
    members: tuple[Member, ...]

    def one(self) -> Member:
        """The network, where a command takes a single one.

        Raises:
            UsageError: the word stands for several networks.
        """
        if len(self.members) > 1:
            ids = ", ".join(member.spec.id for member in self.members)
            raise UsageError(
                f"{self.word}: got a suite of {len(self.members)} networks ({ids}), expected one; name a spec or weights file"
            )
        return self.members[0]


def resolve(word: str | Path, *, scale: int | None = None, trained: bool = False) -> Resolved:
    """The networks that a word stands for.

    Args:
        word: the name of a preset, a spec file (or a JSON file with an architecture alone), a weights file, a suite file, or a
            folder with suite.json.
        scale: 2, 3 or 4: of a preset. The others have their own.
        trained: the networks are to be run, so presets are not names here.

    Raises:
        UsageError: no such file, folder or preset; a folder without a suite; a preset without a scale; a file of another kind.
        SpecError, WeightsError: a file that is damaged, or does not fit itself.
    """
    path, expected = Path(word), TRAINED if trained else ANY
    if str(word) in PRESETS and not trained:
        if scale is None:
            raise UsageError(
                f"preset {word} has no scale of its own; got none, expected --scale 2, 3 or 4; a command without --scale takes a "
                "spec file"
            )
        return _architecture(word, parse(str(word), scale=scale))
    if path.is_dir() or path.suffix == ".safetensors":
        if path.is_dir() and not (path / NAME).is_file():
            raise UsageError(
                f"{path}: no {NAME} in it; expected the folder of a finished search or training; or name spec files"
            )
        return Resolved(word=str(word), kind="suite" if path.is_dir() else "weights", members=read_suite(path).members)
    if not path.exists():
        close = "" if trained else nearest(word, PRESETS)
        raise UsageError(f"{word}: no such file or folder; expected {expected}{close}")
    value = _json(path, expected)
    if str(value.get("schema")).startswith(KIND) or path.name == NAME:
        return Resolved(word=str(word), kind="suite", members=read_suite(path).members)
    if "schema" not in value and "family" in value:
        try:
            return _architecture(word, parse(value))
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from None
    return _architecture(word, read_spec_file(path).spec, path)


def spec_file(member: Member) -> SpecFile:
    """The content of a network's spec file; made now where its spec came without one."""
    return make_spec_file(member.spec) if member.spec_path is None else read_spec_file(member.spec_path)


def load_member(member: Member) -> WeightsFile:
    """The weights of a network.

    Raises:
        UsageError: it is not trained yet, or the file holds the weights of another network.
        WeightsError: the file is missing, damaged, or does not fit its spec.
    """
    if member.weights_path is None:
        raise UsageError(
            f"{member.spec.id} has no weights yet; expected a trained suite: `gpnas-sr train RUN --data PACK.h5 --out …` first"
        )
    file = load_weights(member.weights_path)
    if file.spec != member.spec:
        raise UsageError(
            f"{member.weights_path}: holds weights of {file.spec.id}, the suite names {member.spec.id}; one was replaced"
        )
    return file


def _architecture(word: str | Path, spec: ArchSpec, path: Path | None = None) -> Resolved:
    member = Member(spec=spec, spec_path=path, weights_path=None, weight=1.0)
    return Resolved(word=str(word), kind="spec", members=(member,))


def _json(path: Path, expected: str) -> dict[str, Any]:
    try:
        value = read_json(path)
    except UsageError:
        if path.suffix == ".json":
            raise
        raise UsageError(
            f"{path}: no JSON and not named .safetensors; expected {expected}; other checkpoints: `gpnas-sr convert` first"
        ) from None
    if not isinstance(value, dict):
        raise SpecError(f"{path}: got a JSON {type(value).__name__}, expected the object of a spec or suite file")
    return value
