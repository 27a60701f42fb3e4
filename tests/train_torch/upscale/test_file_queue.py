"""Which file becomes which: no pixel is read, so empty files will do."""

import os
from pathlib import Path

import pytest

from shared.errors import UsageError
from train_torch.upscale.file_queue import FileQueue, FileTask, queue_files


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def planned(source: Path, target: Path, **options) -> FileQueue:
    return queue_files([str(source)], str(target), **options)


def outputs(folder: Path, target: Path, **options) -> dict[str, str]:
    tasks = planned(folder, target, **options).tasks
    return {task.source.relative_to(folder).as_posix(): task.target.relative_to(target).as_posix() for task in tasks}


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
    made = planned(tmp_path / "in", tmp_path / "out")
    assert [task.source.name for task in made.tasks] == ["a.png"]
    assert [path.name for path in made.ignored] == ["notes.txt", "raw.heic"]


def test_an_output_folder_inside_the_input_is_not_read(tmp_path: Path, monkeypatch):
    touch(*(tmp_path / "in" / name for name in ("a.png", "sub/b.png", "sub/out/a.png", "sub/out/sub/b.png")))
    assert outputs(tmp_path / "in", tmp_path / "in/sub/out") == {"a.png": "a.png", "sub/b.png": "sub/b.png"}
    monkeypatch.chdir(tmp_path / "in")
    assert [str(task.source) for task in planned(Path(), Path("sub/out")).tasks] == ["a.png", "sub/b.png"]
    (tmp_path / "link").symlink_to(tmp_path / "in/sub/out")
    assert len(planned(tmp_path / "in", tmp_path / "link").tasks) == 2
    assert len(planned(tmp_path / "in", tmp_path / "elsewhere").tasks) == 4  # without that rule all four are inputs


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
        (task,) = planned(source, tmp_path / target).tasks
        assert task.target == tmp_path / expected
    assert planned(bare, tmp_path / "new").tasks[0].target == tmp_path / "new/bare.png"


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none", "out", "no such file or folder; expected an image"),
        ("no*e", "out", "a pattern that fits 0 files and no image"),
        ("fil?", "out", "a pattern that fits 1 files and no image"),
        ("empty", "out", "got 1 files and no image; expected PNG"),
        ("in", "out.png", "a single output; expected a folder"),
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
        planned(tmp_path / source, tmp_path / target)


def test_equal_names_in_two_folders_do_not_clash(tmp_path: Path):
    touch(tmp_path / "in/one/a.jpg", tmp_path / "in/two/a.png")
    assert outputs(tmp_path / "in", tmp_path / "out") == {"one/a.jpg": "one/a.png", "two/a.png": "two/a.png"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path):
    touch(tmp_path / "in/a.png", tmp_path / "in/locked/b.png")
    (tmp_path / "in/locked").chmod(0)
    try:
        with pytest.raises(UsageError, match="expected a folder that can be read"):
            planned(tmp_path / "in", tmp_path / "out")
    finally:
        (tmp_path / "in/locked").chmod(0o755)


def test_several_inputs_and_patterns_go_into_one_folder(tmp_path: Path):
    touch(
        *(
            tmp_path / name
            for name in ("a.jpg", "b.png", "in/c.tif", "in/sub/d.webp", "in/x.txt", "g/1.png", "g/2.tif", "g/x")
        )
    )
    words = [str(tmp_path / word) for word in ("b.png", "a.jpg", "in", "g/*.*", "b.png", "in/c.tif")]
    made = queue_files(words, str(tmp_path / "out"))
    assert [task.source.relative_to(tmp_path).as_posix() for task in made.tasks] == [
        "b.png",
        "a.jpg",
        "in/c.tif",
        "in/sub/d.webp",
        "g/1.png",
        "g/2.tif",
    ]
    assert [task.target.relative_to(tmp_path / "out").as_posix() for task in made.tasks] == [
        "b.png",
        "a.png",
        "c.tif",
        "sub/d.webp",
        "1.png",
        "2.tif",
    ]
    assert made.ignored == (tmp_path / "in/x.txt",)
    assert not made.single


def test_patterns_reach_any_depth_and_a_name_with_brackets_is_a_name(tmp_path: Path):
    touch(*(tmp_path / name for name in ("in/a.png", "in/sub/b.png", "in/[1].png")))
    found = queue_files([str(tmp_path / "in/**/*.png")], str(tmp_path / "out")).tasks
    assert [task.target.name for task in found] == ["[1].png", "a.png", "b.png"]
    (task,) = queue_files([str(tmp_path / "in/[1].png")], str(tmp_path / "one.png")).tasks
    assert task.source == tmp_path / "in/[1].png"
    assert (
        queue_files([str(tmp_path / "in/s*")], str(tmp_path / "out")).tasks[0].target == tmp_path / "out/b.png"
    )  # a folder


def test_standard_input_and_output(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("a.tif"), Path("./-"))
    assert queue_files(["-"], "-") == FileQueue(tasks=(FileTask(source=Path("-"), target=Path("-")),), single=True)
    assert queue_files(["-"], "x.tif").tasks == (FileTask(source=Path("-"), target=Path("x.tif")),)
    assert queue_files(["a.tif"], "-").tasks == (FileTask(source=Path("a.tif"), target=Path("-")),)
    assert queue_files(["./-"], "x.png").tasks[0].source == tmp_path / "-"  # a file of that name
    assert queue_files(["a.tif"], "-").tasks[0].outputs == ()


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["-", "a.png"], "out", "expected - alone"),
        (["-"], "out", "expected a file or - for the image from standard input"),
        (["a.png", "b.png"], "-", "a single output; expected a folder"),
        (["a.png", "b.png"], "x.png", "a single output; expected a folder for a.png, b.png"),
        (["a.png", "sub/a.jpg"], "out", "would both become out/a.png"),
        (["a.png", "none.png"], "out", "none.png: no such file"),
        (["a.png", "b.png"], ".", "both input and output"),
        (["a.png", "sub"], "sub", "would lie among the inputs|both input and output"),
    ],
)
def test_what_cannot_work_with_several_inputs(tmp_path: Path, monkeypatch, inputs, output, message):
    monkeypatch.chdir(tmp_path)
    touch(*(Path(name) for name in ("a.png", "b.png", "sub/a.jpg")))
    with pytest.raises(UsageError, match=message):
        queue_files(inputs, output)


def test_the_uncertainty_stands_beside_each_output(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(*(Path("in", name) for name in ("a.jpg", "b.TIF", "c.webp")))
    tasks = queue_files(["in"], "out", uncertainty=True).tasks
    assert [task.uncertainty.as_posix() for task in tasks] == [
        "out/a.uncertainty.png",
        "out/b.uncertainty.TIF",
        "out/c.uncertainty.png",
    ]
    assert tasks[0].outputs == (Path("out/a.png"), Path("out/a.uncertainty.png"))
    touch(Path("in/a.uncertainty.png"))
    with pytest.raises(UsageError, match=r"would both become out/a\.uncertainty\.png"):
        queue_files(["in"], "out", uncertainty=True)
    with pytest.raises(UsageError, match="expected a file as output"):
        queue_files(["in/a.jpg"], "-", uncertainty=True)
