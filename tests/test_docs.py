"""What the pages name is there: links, files, folders, modules and their names, commands and their options."""

import io
import re
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import pytest

from shared.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
PACKAGES = ("shared", "search_paddle", "train_torch", "weights_convert", "tests", "benchmarks")
FOLDERS = (*PACKAGES, "docs")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))],
    key=lambda page: page.relative_to(ROOT),
)
FILES = [path.relative_to(ROOT).as_posix() for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]
# files of other projects and of users; a path with NAME in it is the place of a new file
FOREIGN = {"model/rcan.py", "model/edsr.py", "model/drn.py", "my_net.py", "file.py"}
FOREIGN |= {"basicsr/archs/rcan_arch.py", "basicsr/archs/edsr_arch.py"}  # of other projects

README_LINES = 10

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)
PYTHON_FILE = re.compile(r"(?<![\w/.{}*-])((?:[\w-]+/)*[\w-]+\.py)\b")
PLACE = re.compile(rf"(?<![\w/.-])((?:{'|'.join(FOLDERS)})(?:/[\w.{{}}*-]+)+/?)")
DOTTED = re.compile(rf"(?<![\w/.-])((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?![\w/(]*\.(?:py|md)\b)")
IMPORT = re.compile(r"from ([\w.]+) import ([\w, ]+)")
CODE = re.compile(r"```.*?```|^ {4}[^\n]*|`[^`]+`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"gpnas-sr ([a-z][^`#\n]*)")
OPTION = re.compile(r"--(\[no-\])?([a-z][a-z-]*)")
LONE_OPTION = re.compile(r"`(--[^`]*)`")


def missing_links(text: str, folder: Path) -> list[str]:
    """Relative links of a page in `folder` that lead nowhere."""
    targets = [link.partition("#")[0] for link in LINK.findall(FENCE.sub("", text)) if "://" not in link]
    return [target for target in targets if target and not (folder / target).exists()]


def missing_places(text: str) -> list[str]:
    """Files and folders of the repository that are named and not there; a file may be named by the end of its path."""
    files = [name for name in PYTHON_FILE.findall(text) if name not in FOREIGN and "NAME" not in name]
    absent = [name for name in files if not any(f"/{file}".endswith(f"/{name}") for file in FILES)]
    places = [place.rstrip(".") for place in PLACE.findall(text) if not re.search(r"[{}*]|NAME", place)]
    return absent + [place for place in places if place not in absent and not (ROOT / place).exists()]


def missing_names(text: str) -> list[str]:
    """Dotted names of modules, and of what is in them, that do not exist."""
    named = DOTTED.findall(text)
    for module, names in IMPORT.findall(text):
        if module.split(".")[0] in PACKAGES:
            named += [f"{module}.{name.strip()}" for name in names.split(",")]
    return [name for name in named if not _is_defined(name)]


def _is_defined(name: str) -> bool:
    """Whether a dotted name is a module, or stands as a word in the module before it."""
    path, parts = ROOT, name.split(".")
    while parts and (path / parts[0]).is_dir():
        path, parts = path / parts[0], parts[1:]
    if parts and path.joinpath(parts[0]).with_suffix(".py").is_file():
        path, parts = path.joinpath(parts[0]).with_suffix(".py"), parts[1:]
    source = path if path.is_file() else path / "__init__.py"
    return not parts or (source.is_file() and re.search(rf"\b{parts[0]}\b", source.read_text()) is not None)


@cache
def options(command: tuple[str, ...]) -> frozenset[str]:
    """The options that `--help` of a command shows."""
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main([*command, "--help"])
    return frozenset(re.findall(r"--[a-z][a-z-]*", text.getvalue().partition("\nexample:")[0]))


def wrong_commands(text: str) -> list[str]:
    """Commands in code that do not exist, or lack an option that is written after them; `a|b` stands for both."""
    code = "\n".join(CODE.findall(text)).replace("\\|", "|")
    return [call for call in COMMAND.findall(code) if not all(map(_exists, _alternatives(call)))]


def _alternatives(call: str) -> list[list[str]]:
    first, *rest = call.split()
    if rest and "|" in rest[0] and rest[0].islower():
        return [[first, choice, *rest[1:]] for choice in rest[0].split("|")]
    return [[first, *rest]]


def _exists(words: list[str]) -> bool:
    clean = [word.rstrip(".,;:)") for word in words]
    command = next((command for command in COMMANDS if tuple(clean[: len(command)]) == command), None)
    return command is not None and _named_options(" ".join(words)) <= options(command)


def _named_options(text: str) -> set[str]:
    return {form for no, name in OPTION.findall(text) for form in {f"--{name}", f"--{'no-' if no else ''}{name}"}}


def unknown_options(text: str) -> list[str]:
    """Options in code spans of their own that no command has."""
    known = frozenset().union(*map(options, COMMANDS))
    return [span for span in LONE_OPTION.findall(text) if not _named_options(span) <= known]


def folders_without_a_short_readme(root: Path) -> list[str]:
    """Folders under `root`, itself included, whose README.md is missing or longer than ten lines.

    A folder without files does not count: an earlier version can leave one behind.
    """
    found = {path.parent for path in root.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    pages = {folder: folder / "README.md" for folder in found}
    return [
        folder.relative_to(root.parent).as_posix()
        for folder, page in sorted(pages.items())
        if not page.is_file() or not 0 < len(page.read_text(encoding="utf-8").splitlines()) <= README_LINES
    ]


@pytest.mark.parametrize("package", PACKAGES[:4])
def test_every_folder_says_in_ten_lines_what_is_there(package):
    assert folders_without_a_short_readme(ROOT / package) == []


def test_a_folder_without_a_readme_and_one_with_a_long_one_are_found(tmp_path):
    pages = {"right": 10, "long": 11, "right/empty": 0, "right/missing": None}
    for name, lines in {"": 1, **pages}.items():
        (tmp_path / "package" / name).mkdir(parents=True)
        (tmp_path / "package" / name / "module.py").touch()
        if lines is not None:
            (tmp_path / "package" / name / "README.md").write_text("line\n" * lines)
    (tmp_path / "package" / "__pycache__").mkdir()
    assert folders_without_a_short_readme(tmp_path / "package") == [
        "package/long",
        "package/right/empty",
        "package/right/missing",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    assert missing_links(text, page.parent) == []
    assert missing_places(text) == []
    assert missing_names(text) == []
    assert wrong_commands(text) == []
    if page.parent == ROOT / "docs" or page.parent == ROOT:
        assert unknown_options(text) == []


def test_the_walk_finds_the_pages():
    names = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert {"README.md", "docs/search.md", "benchmarks/nas/results.md", "train_torch/README.md"} <= names


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (lambda text: missing_links(text, ROOT / "docs"), "see [this](serach.md)"),
        (lambda text: missing_links(text, ROOT / "docs"), "![picture](../docs/absent.png#part)"),
        (missing_places, "in `shared/network/families/rcna.py`"),
        (missing_places, "start with `absent_file.py`"),
        (missing_places, "the folder shared/netwrok/families"),
        (missing_places, "the table benchmarks/nas/absent.h5 holds"),
        (missing_names, "`train_torch.ensembel.upscale`"),
        (missing_names, "`train_torch.ensemble.upscale_everything`"),
        (missing_names, "from shared.spec import parse, prase"),
        (wrong_commands, "`gpnas-sr trian runs/search`"),
        (wrong_commands, "    gpnas-sr archive add|lits DIR"),
        (wrong_commands, "    gpnas-sr search pack.h5 --out runs/search --trails 32  # a comment"),
        (wrong_commands, "`gpnas-sr upscale S IN OUT --[no-]self-ensembel`"),
        (unknown_options, "use `--memroy 2GB`"),
    ],
)
def test_a_false_name_is_found(check, text):
    assert len(check(text)) == 1


def test_right_names_pass():
    text = """[design](search.md), `shared/network/families/rcan.py`, rcan.py, shared/network/, `my_net.py:make`,
    `shared.spec.parse`
    from train_torch.ensemble import load_suite, upscale
    gpnas-sr archive add|list DIR; `gpnas-sr upscale S IN OUT --[no-]self-ensemble --memory 2GB`, `--jobs`, ../shared/data/pairs
    """
    assert missing_links(text, ROOT / "docs") == missing_places(text) == missing_names(text) == []
    assert wrong_commands(text) == unknown_options(text) == []
