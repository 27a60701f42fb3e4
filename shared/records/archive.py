"""The archive of architectures: a folder of spec files, each named by its content id. Files are added, never changed."""

from pathlib import Path
from typing import Any

from shared.errors import SpecError, UsageError
from shared.files import write_json
from shared.spec import SpecFile, read_spec_file


class Archive:
    """A folder of spec files.

    Example:
        >>> Archive(Path("runs/demo/search/archive")).ids()  # doctest: +SKIP
        ['drn-x4-5b0f3e0c1a2d', 'rcan-x4-90fa6c7d8e1b']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, spec_id: str) -> Path:
        """Where the spec file of an id stands."""
        return self.folder / f"{spec_id}.json"

    def ids(self) -> list[str]:
        """The ids of all spec files, sorted.

        Raises:
            UsageError: the folder does not exist.
        """
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no such folder; expected an archive of spec files")
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def add(self, spec_file: SpecFile) -> Path:
        """Put a spec file in. A file of the same architecture that is there stays, because others may refer to it.

        Returns:
            Path of the file.

        Raises:
            SpecError: the file of this name that is there cannot be read.
        """
        path = self.path(spec_file.id)
        if path.exists():
            read_spec_file(path)
        else:
            write_json(path, spec_file.to_json())
        return path

    def read(self, spec_id: str) -> SpecFile:
        """The spec file of an id.

        Raises:
            UsageError: not in the archive.
            SpecError: it is broken.
        """
        return read_spec_file(self.path(spec_id))

    def verify(self) -> list[str]:
        """Every problem of every file: unreadable, edited (id or cost no longer fit), or under another name than its id."""
        return [problem for spec_id in self.ids() if (problem := self._problem(spec_id))]

    def _problem(self, spec_id: str) -> str:
        try:
            found = self.read(spec_id).id
        except (SpecError, UsageError) as error:
            return str(error)
        return "" if found == spec_id else f"{self.path(spec_id)}: holds {found}, expected the name {found}.json"


def diff(a: SpecFile, b: SpecFile) -> dict[str, dict[str, Any]]:
    """Fields in which two architectures differ: field -> {"a": value, "b": value}; null where a family has no such field."""
    fields = dict.fromkeys([*a.architecture, *b.architecture])
    pairs = {field: {"a": a.architecture.get(field), "b": b.architecture.get(field)} for field in fields}
    return {field: pair for field, pair in pairs.items() if pair["a"] != pair["b"]}
