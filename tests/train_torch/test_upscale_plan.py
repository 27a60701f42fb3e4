"""Which file becomes which: no pixel is read, so empty files will do."""

import os
from pathlib import Path

import pytest

from shared.errors import UsageError
from train_torch.upscale_plan import plan


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def outputs(folder: Path, target: Path, **options) -> dict[str, str]:
    jobs = plan(folder, target, **options).jobs
    return {job.source.relative_to(folder).as_posix(): job.target.relative_to(target).as_posix() for job in jobs}


def test_a_folder_keeps_structure_and_formats_but_jpeg_becomes_png(tmp_path: Path):
    names = ("a.png", "b.JPG", "deep/er/a.tif", "deep/c.v2.jpeg", "d.webp", "E.PNG")
    touch(*(tmp_path / "in" / name for name in names))
    assert outputs(tmp_path / "in", tmp_path / "out") == {
        "a.png": "a.png",
        "b.JPG": "b.png",
        "deep/er/a.tif": "deep/er/a.tif",
        "deep/c.v2.jpeg": "deep/c.v2.png",
        "d.webp": "d.webp",
        "E.PNG": "E.PNG",
    }


def test_at_16_bits_webp_becomes_png(tmp_path: Path):
    touch(tmp_path / "in/d.webp", tmp_path / "in/a.png")
    assert outputs(tmp_path / "in", tmp_path / "out", bits=16) == {"a.png": "a.png", "d.webp": "d.png"}
    assert outputs(tmp_path / "in", tmp_path / "out", bits=8)["d.webp"] == "d.webp"


def test_hidden_files_and_temporary_ones_are_no_inputs_and_others_are_told(tmp_path: Path):
    touch(*(tmp_path / "in" / n for n in ("a.png", ".b.png", ".cache/c.png", ".d.png.x1.tmp", "notes.txt", "raw.heic")))
    made = plan(tmp_path / "in", tmp_path / "out")
    assert [job.source.name for job in made.jobs] == ["a.png"]
    assert [path.name for path in made.ignored] == ["notes.txt", "raw.heic"]


def test_an_output_folder_inside_the_input_is_not_read(tmp_path: Path, monkeypatch):
    touch(*(tmp_path / "in" / name for name in ("a.png", "sub/b.png", "sub/out/a.png", "sub/out/sub/b.png")))
    assert outputs(tmp_path / "in", tmp_path / "in/sub/out") == {"a.png": "a.png", "sub/b.png": "sub/b.png"}
    monkeypatch.chdir(tmp_path / "in")
    assert [str(job.source) for job in plan(Path(), Path("sub/out")).jobs] == ["a.png", "sub/b.png"]
    (tmp_path / "link").symlink_to(tmp_path / "in/sub/out")
    assert len(plan(tmp_path / "in", tmp_path / "link").jobs) == 2
    assert len(plan(tmp_path / "in", tmp_path / "elsewhere").jobs) == 4  # without that rule all four are inputs


def test_a_single_image_goes_to_a_file_or_into_a_folder(tmp_path: Path):
    source, bare = tmp_path / "a.jpg", tmp_path / "bare"
    touch(source, bare)
    (tmp_path / "folder.v2").mkdir()
    for target, expected in (
        ("b.jpg", "b.jpg"),
        ("b.TIFF", "b.TIFF"),
        ("new", "new/a.png"),
        ("folder.v2", "folder.v2/a.png"),
    ):
        (job,) = plan(source, tmp_path / target).jobs
        assert job.target == tmp_path / expected
    assert plan(bare, tmp_path / "new").jobs[0].target == tmp_path / "new/bare.png"


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none", "out", "no such file or folder; expected an image"),
        ("empty", "out", "got 1 files and no image; expected PNG"),
        ("in", "out.png", "named like an image; expected a folder"),
        ("in", "file", "this is a file; expected a folder"),
        ("in/a.png", "file", "this is a file; expected a folder"),
        ("in/a.png", "out.bmp", "suffix '.bmp'; expected one of .png, .tif"),
        ("in/a.png", "in/a.png", "both input and output; expected another"),
        ("in/a.png", "in", "both input and output; expected another"),
        ("in/a.png", "link.png", "both input and output; expected another"),
        ("clash", "out", "would both become"),
        ("in", "in", "would lie among the inputs"),
        ("nest/in", "nest", "would lie among the inputs"),
    ],
)
def test_what_cannot_work_is_refused_before_work(tmp_path: Path, source: str, target: str, message: str):
    touch(
        *(tmp_path / n for n in ("in/a.png", "empty/x.txt", "file", "clash/a.jpg", "clash/a.png", "nest/in/in/a.png"))
    )
    (tmp_path / "link.png").symlink_to(tmp_path / "in/a.png")
    with pytest.raises(UsageError, match=message):
        plan(tmp_path / source, tmp_path / target)


def test_equal_names_in_two_folders_do_not_clash(tmp_path: Path):
    touch(tmp_path / "in/one/a.jpg", tmp_path / "in/two/a.png")
    assert outputs(tmp_path / "in", tmp_path / "out") == {"one/a.jpg": "one/a.png", "two/a.png": "two/a.png"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path):
    touch(tmp_path / "in/a.png", tmp_path / "in/locked/b.png")
    (tmp_path / "in/locked").chmod(0)
    try:
        with pytest.raises(UsageError, match="expected a folder that can be read"):
            plan(tmp_path / "in", tmp_path / "out")
    finally:
        (tmp_path / "in/locked").chmod(0o755)
