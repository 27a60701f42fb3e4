"""Clean photographs for simulated pairs: the user's own, or those in scikit-image and scikit-learn.

Nothing is downloaded. The two packages (extra `photos`) are not imported: only their image files are read.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from shared.data.pairs import list_images
from shared.errors import UsageError

BUILTIN = "builtin"  # the word that stands for these photographs on the command line


@dataclass(frozen=True, kw_only=True, slots=True)
class Photograph:
    """A photograph and where it comes from. For the user's own only `name` and `path` are known."""

    name: str
    path: Path
    source: str = ""
    licence: str = ""
    credit: str = ""

    def to_json(self) -> dict[str, str]:
        """What the record of a simulated set says about it. The path is left out: it holds on one machine only."""
        return {"name": self.name, "source": self.source, "licence": self.licence, "credit": self.credit}


class _Entry(NamedTuple):
    """A photograph in a package; licence and credit in the words of the package's documentation."""

    package: str
    file: str
    licence: str
    credit: str


# Package as it is imported -> its name, folder of its photographs
_PACKAGES = {"skimage": ("scikit-image", "data"), "sklearn": ("scikit-learn", "datasets/images")}

# Left out: the stereo pair `motorcycle` (its documentation names no licence); the Hubble field (its stars are so small that no
# pair reaches an NCC of 0.99); grey pictures; drawings.
_ENTRIES = (
    _Entry(
        "skimage",
        "astronaut.png",
        "public domain: no known copyright restrictions, released into the public domain",
        "Eileen Collins; NASA Great Images database, https://flic.kr/p/r9qvLn",
    ),
    _Entry("skimage", "chelsea.png", "CC0 by the photographer", "Chelsea the cat; Stefan van der Walt"),
    _Entry(
        "sklearn",
        "china.jpg",
        "CC BY 2.0, https://creativecommons.org/licenses/by/2.0/",
        "danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/sizes/z/in/photostream/",
    ),
    _Entry(
        "skimage",
        "coffee.png",
        "CC0 by the photographer",
        "Coffee cup, courtesy of Pikolo Espresso Bar; Rachel Michetti",
    ),
    _Entry(
        "sklearn",
        "flower.jpg",
        "CC BY 2.0, https://creativecommons.org/licenses/by/2.0/",
        "attributed to danielbuechele, retrieved from https://www.flickr.com/photos/vultilion/6056698931/sizes/z/in/photostream/",
    ),
    _Entry(
        "skimage",
        "ihc.png",
        "no known copyright restrictions",
        "Colonic glands, immunohistochemical staining; Center for Microscopy And Molecular Imaging (CMMI)",
    ),
    _Entry(
        "skimage",
        "retina.jpg",
        "CC0 1.0",
        "Mikael Häggström, https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg",
    ),
    _Entry(
        "skimage",
        "rocket.jpg",
        "released in the public domain",
        "DSCOVR on Falcon 9; SpaceX Photos, https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/",
    ),
)


def builtin() -> tuple[Photograph, ...]:
    """The photographs of the installed packages, by name.

    Raises:
        UsageError: a package, or a file of it, is missing.
    """
    return tuple(_photograph(entry) for entry in _ENTRIES)


def find_photographs(source: Path | str) -> tuple[Photograph, ...]:
    """The photographs of a folder and its sub-folders, named by their paths in it; or, for `builtin`, those of the packages.

    Raises:
        UsageError: no such folder, no image in it, or two images of one name.
    """
    if str(source) == BUILTIN:
        return builtin()
    folder = Path(source)
    found = tuple(
        Photograph(name="_".join(path.relative_to(folder).with_suffix("").parts), path=path)
        for path in list_images(folder)
    )
    if not found:
        raise UsageError(
            f"{folder}: got no images, expected PNG, TIFF, JPEG or WebP photographs, or the word {BUILTIN!r}"
        )
    name, times = Counter(photograph.name for photograph in found).most_common(1)[0]
    if times > 1:
        raise UsageError(
            f"{folder}: got {times} photographs that would be named {name!r}, expected one; rename the others"
        )
    return found


def _photograph(entry: _Entry) -> Photograph:
    name, folder = _PACKAGES[entry.package]
    path, source = _package_folder(entry.package) / folder / entry.file, f"{name}, {entry.package}/{folder}"
    if not path.is_file():
        raise UsageError(
            f"{path}: no such photograph in {source}; expected scikit-image >= 0.24 and scikit-learn >= 1.4: "
            "pip install 'gpnas-sr[photos]'"
        )
    return Photograph(
        name=path.stem, path=path, source=f"{source}/{entry.file}", licence=entry.licence, credit=entry.credit
    )


def _package_folder(package: str) -> Path:
    spec = find_spec(package)  # locates without importing: importing scikit-learn costs a second
    locations: Iterable[str] = (spec and spec.submodule_search_locations) or ()
    for location in locations:
        return Path(location)
    raise UsageError(
        f"got no package {package}, expected scikit-image and scikit-learn, which hold the builtin photographs: "
        "pip install 'gpnas-sr[photos]', or pass a folder of your own photographs"
    )
