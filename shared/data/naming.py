"""What the name of a file or folder says: LR or HR, which partner, which set. No file is opened here.

Known layouts: LR/ and HR/ folders with equal stems; RealSR V3
(`Canon_001_HR.png` beside `Canon_001_LR4.png`); DRealSR (`train_HR/NAME_x4.png`, `train_LR/NAME_x1.png`); DIV2K
(`DIV2K_train_LR_bicubic/X2/0001x2.png`); BasicSR (`gt/`, `lq/`); benchmarks (`GTmod12/`, `LRbicx4/`).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["lr", "hr"]

SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp"})

# In `TestLRX2` capitals mark the word; `dataroot_lq` has none
_FOLDER_ROLE = (
    re.compile(r"(?<![A-Z])(LR|LQ|HR|GT)(?=$|[^A-Z]|X\d)"),
    re.compile(r"(?<![a-z])(lr|lq|hr|gt)(?=$|[^a-z]|x\d|bic|mod)"),
)
_FLAT = re.compile(r"^(?P<base>.+)[_-](?P<role>LR|HR|LQ|GT)(?:x?[2-8])?$", re.IGNORECASE)
_STEM_SUFFIX = re.compile(r"(?:[_-](?:LR|HR|LQ|GT)(?:x?[1-8])?|[_-]?x[1-8])$", re.IGNORECASE)
# Words of a folder name that name the degradation, not the part of the set
_DEGRADATION = re.compile(r"^(?:x?\d|bicx?\d?|bicubic|mod\d+|unknown|mild|wild|difficult|)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedImage:
    """One image file and what its name says.

    Attributes:
        path: the file.
        role: "lr" or "hr".
        scope: folder in which its partner is searched.
        part: words of the LR or HR folder's name besides the role, such as `train`.
        stem: name of the file without its suffix.
        base: the stem without what differs between partners, such as `_LR4`.
        layout: kind of folder, for the report.
    """

    path: Path
    role: Role
    scope: Path
    part: tuple[str, ...]
    stem: str
    base: str
    layout: str


def read_name(path: Path, source: Path) -> NamedImage | None:
    """What the name of `path`, a file under the folder `source`, says; None if it says neither LR nor HR.

    The names of the folders count first, from the nearest up to `source` itself: `LR/Canon_001_LR4.png` and
    `HR/Canon_001_LR4.png` are a pair, whatever the names of the files say.
    """
    for folder in path.parents:
        if (role := folder_role(folder.name)) is not None:
            return NamedImage(
                path=path,
                role=role,
                scope=folder.parent,
                part=_part(folder.name),
                stem=path.stem,
                base=_STEM_SUFFIX.sub("", path.stem) or path.stem,
                layout="LR and HR folders",
            )
        if folder == source:
            break
    if (match := _FLAT.match(path.stem)) is not None:
        return NamedImage(
            path=path,
            role=_role(match["role"]),
            scope=path.parent,
            part=(),
            stem=path.stem,
            base=match["base"],
            layout="_HR and _LR names in one folder",
        )
    return None


def folder_role(name: str) -> Role | None:
    """Whether a folder of this name holds LR or HR images; None if it says neither or both.

    Example:
        >>> [folder_role(name) for name in ("train_HR", "TestLRX2", "LRbicx4", "dataroot_lq", "Three")]
        ['hr', 'lr', 'lr', 'lr', None]
    """
    found = _FOLDER_ROLE[0].findall(name) or _FOLDER_ROLE[1].findall(name.lower())
    roles = {_role(word) for word in found}
    return roles.pop() if len(roles) == 1 else None


def _role(word: str) -> Role:
    return "lr" if word.lower() in ("lr", "lq") else "hr"


def _part(folder: str) -> tuple[str, ...]:
    for pattern, name in zip(_FOLDER_ROLE, (folder, folder.lower()), strict=True):
        if pattern.search(name):
            rest = pattern.sub(" ", name).lower()
            return tuple(word for word in re.split(r"[^a-z0-9]+", rest) if not _DEGRADATION.match(word))
    return ()
