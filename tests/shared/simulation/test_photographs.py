"""The photographs of the packages, and a user's own."""

import subprocess
import sys

import pytest
from PIL import Image

from shared.errors import UsageError
from shared.simulation.photographs import builtin, find_photographs


def test_builtin_photographs_are_there_in_colour_with_their_licences():
    found = builtin()
    assert [photograph.name for photograph in found] == [
        "astronaut",
        "chelsea",
        "china",
        "coffee",
        "flower",
        "ihc",
        "retina",
        "rocket",
    ]
    for photograph in found:
        with Image.open(photograph.path) as image:
            assert image.mode == "RGB"
            assert min(image.size) >= 300
        assert photograph.licence
        assert photograph.credit
        assert str(photograph.path) not in str(photograph.to_json())
    assert {p.name for p in found if p.licence.startswith("CC BY 2.0")} == {"china", "flower"}


def test_neither_package_is_imported():
    code = (
        "import sys; from shared.simulation.photographs import builtin; builtin(); "
        "sys.exit(bool({'skimage', 'sklearn'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_own_photographs_are_named_by_their_paths(tmp_path):
    for name in ("b.png", "sub/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert [photograph.name for photograph in find_photographs(tmp_path)] == ["b", "sub_a"]
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg")
    with pytest.raises(UsageError, match="2 photographs that would be named 'b'"):
        find_photographs(tmp_path)
    assert find_photographs("builtin") == builtin()


def test_a_folder_without_photographs_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the word 'builtin'"):
        find_photographs(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        find_photographs(tmp_path / "missing")
