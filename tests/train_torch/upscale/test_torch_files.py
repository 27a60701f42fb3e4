"""Files through the ensemble: what a file keeps, against Pillow, OpenCV and tifffile, and what happens to bad ones.

A nearest-neighbour network repeats pixels, so the expected output is exact and needs none of our code.
"""

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps
from torch import nn

from shared.errors import NonFiniteError, OutOfMemoryError, PairError, UsageError, WorkError
from shared.spec import parse
from train_torch.ensemble import upscale
from train_torch.ensemble.plan import PassPlan, levels_plan
from train_torch.network import build
from train_torch.upscale.file_queue import FileQueue, queue_files
from train_torch.upscale.files import upscale_files
from train_torch.upscale.image import Ensemble

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 255, (9, 14, 3), dtype=np.uint8)  # no 255, which `Diverging` takes badly
RGB16 = RNG.integers(0, 65535, (9, 14, 3), dtype=np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SCALE = 2


class Nearest(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)


class Diverging(Nearest):
    """NaN wherever the image is white."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.where(x == 1, torch.nan, x))


class Hungry(Nearest):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.empty(1 << 50)[0]


def levels(*, patch: int = 6, stride: int = 3, self_ensemble: bool = True, patch_ensemble: bool = True) -> PassPlan:
    return levels_plan(SCALE, patch=patch, stride=stride, self_ensemble=self_ensemble, patch_ensemble=patch_ensemble)


SMALL = levels()


def ensemble(*members: nn.Module, through: PassPlan = SMALL, fusion: str = "mean") -> Ensemble:
    members = members or (Nearest(),)
    return Ensemble(members=members, weights=[1.0] * len(members), plan=through, fusion=fusion)


def planned(source: Path, target: Path, **options) -> FileQueue:
    return queue_files([str(source)], str(target), **options)


def upscaled(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def through(source: Path, target: Path, **options) -> Path:
    """Upscale one file; its output."""
    made = planned(source, target, bits=options.get("bits"))
    (entry,) = upscale_files(ensemble(), made, **options)["done"]
    assert entry["input"] == str(source)
    return Path(entry["output"])


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def opencv(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def pngs(folder: Path, **images: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def written(folder: Path) -> list[str]:
    """Every file there is, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# ---- what a file keeps ---------------------------------------------------------------------------------------------


def test_8_bit_colour(tmp_path: Path):
    for name, options in (("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})):
        Image.fromarray(RGB8).save(tmp_path / name, **options)
        output = through(tmp_path / name, tmp_path / "out")
        assert output.name == name
        np.testing.assert_array_equal(decoded(output), upscaled(RGB8))


def test_16_bits_stay_16(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), RGB16)
    tifffile.imwrite(tmp_path / "a.tif", RGB16, photometric="rgb")
    np.testing.assert_array_equal(opencv(through(tmp_path / "a.png", tmp_path / "out")), upscaled(RGB16))
    np.testing.assert_array_equal(tifffile.imread(through(tmp_path / "a.tif", tmp_path / "out")), upscaled(RGB16))


def test_bits_can_be_asked_for(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "deep.png"), RGB16)
    shallow = opencv(through(tmp_path / "deep.png", tmp_path / "out", bits=8))
    np.testing.assert_array_equal(shallow, np.floor(upscaled(RGB16) / 65535 * 255 + 0.5).astype(np.uint8))
    Image.fromarray(RGB8).save(tmp_path / "a.webp", lossless=True)
    deep = through(tmp_path / "a.webp", tmp_path / "out", bits=16)
    assert deep.name == "a.png"
    np.testing.assert_array_equal(opencv(deep)[..., ::-1], upscaled(RGB8).astype(np.uint16) * 257)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_stays_grey(tmp_path: Path, dtype: type):
    grey = RNG.integers(0, np.iinfo(dtype).max, (8, 7), dtype=dtype)
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    output = opencv(through(tmp_path / "a.png", tmp_path / "out"))
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, upscaled(grey))  # two-dimensional: one channel


def test_alpha_is_kept_and_upscaled(tmp_path: Path):
    alpha = np.zeros(RGB8.shape[:2], np.uint8)
    alpha[:, 7:] = 200
    Image.fromarray(np.dstack([RGB8, alpha])).save(tmp_path / "a.png")
    output = decoded(through(tmp_path / "a.png", tmp_path / "out"))
    np.testing.assert_array_equal(output[..., :3], upscaled(RGB8))
    assert (output[:, :10, 3] == 0).all()
    assert (output[:, 18:, 3] == 200).all()
    grey = np.dstack([RGB8[..., 0], np.full_like(alpha, 77)])
    Image.fromarray(grey).save(tmp_path / "g.png")
    with Image.open(through(tmp_path / "g.png", tmp_path / "out")) as image:
        assert image.mode == "LA"
        np.testing.assert_array_equal(np.asarray(image), upscaled(grey))


def test_a_turned_jpeg_comes_out_upright_and_says_so(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    Image.fromarray(RGB8).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        upright, stored = np.asarray(ImageOps.exif_transpose(image)), np.asarray(image)
    assert upright.shape == (14, 9, 3)
    output = through(tmp_path / "a.jpg", tmp_path / "out")
    assert output.name == "a.png"
    with Image.open(output) as image:
        np.testing.assert_array_equal(np.asarray(image), upscaled(upright))
        assert image.size != (stored.shape[1] * SCALE, stored.shape[0] * SCALE)
        assert image.getexif()[0x0112] == 1
        assert image.getexif()[0x010F] == "camera"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_the_colour_profile_is_kept(tmp_path: Path, name: str):
    Image.fromarray(RGB8).save(tmp_path / name, icc_profile=PROFILE)
    with Image.open(through(tmp_path / name, tmp_path / "out")) as image:
        assert image.info["icc_profile"] == PROFILE


def test_a_named_output_says_its_format(tmp_path: Path):
    Image.fromarray(RGB8).save(tmp_path / "a.png")
    with Image.open(through(tmp_path / "a.png", tmp_path / "b.jpg")) as image:
        assert image.format == "JPEG"
        assert image.size == (28, 18)


def test_the_value_tells_size_and_time(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    (entry,) = value["done"]
    assert (entry["width"], entry["height"]) == (28, 18)
    assert entry["seconds"] > 0
    assert {**value, "done": []} == {"scale": 2, "done": [], "skipped": [], "failed": [], "ignored": []}


# ---- the ensemble that was asked for -------------------------------------------------------------------------------

SPECS = [
    {"family": "drn", "scale": SCALE, "features": 16, "blocks": 1, "stages": 1},
    {"family": "rcan", "scale": SCALE, "features": 16, "groups": 1, "blocks": 1},
]


@pytest.mark.parametrize(
    "given", [{}, {"self_ensemble": False, "patch_ensemble": False}, {"patch": 8, "stride": 8}], ids=str
)
def test_the_output_is_that_of_the_ensemble_rounded(tmp_path: Path, given: dict):
    members = [build(parse(spec), seed) for seed, spec in enumerate(SPECS)]
    asked = Ensemble(members=members, weights=[3.0, 1.0], plan=levels(**given))
    upscale_files(asked, planned(pngs(tmp_path / "in", a=RGB8), tmp_path / "out"))
    lr = (RGB8 / 255).astype(np.float32)
    sr = upscale(members, lr, SCALE, [3.0, 1.0], **{"patch": 6, "stride": 3} | given)
    expected = np.floor(np.clip(sr.astype(np.float64), 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(decoded(tmp_path / "out/a.png"), expected)
    other = upscale(members, lr, SCALE, [1.0, 3.0], patch=6, stride=3)  # control: another ensemble
    assert (np.floor(np.clip(other, 0, 1) * 255 + 0.5) != expected).any()


def test_networks_are_left_as_they_were(tmp_path: Path):
    network = build(parse(SPECS[0])).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    upscale_files(ensemble(network), planned(pngs(tmp_path / "in", a=RGB8), tmp_path / "out"))
    assert network.training
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    "through", [SMALL, levels(self_ensemble=False, patch_ensemble=False)], ids=["patches", "whole"]
)
def test_progress_counts_the_megapixels_of_every_output(tmp_path: Path, capsys, through: PassPlan):
    source = pngs(tmp_path / "in", a=RGB8.repeat(8, axis=1).repeat(8, axis=0))
    (source / "bad.png").write_bytes((source / "a.png").read_bytes()[:-60])  # its header tells pixels that never come
    tifffile.imwrite(source / "deep.tif", RGB16.transpose(1, 0, 2), photometric="rgb")
    value = upscale_files(ensemble(Nearest(), Nearest(), through=through), planned(source, tmp_path / "out"))
    assert (len(value["done"]), len(value["failed"])) == (2, 1)
    megapixels = 4 * 9 * 14 * (64 + 64 + 1) / 1e6
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"upscaling: {megapixels:.2f}/{megapixels:.2f} megapixels, ")
    assert " megapixels a second, 0 s left" in last


def test_the_disagreement_is_written_beside_the_image(tmp_path: Path):
    class Darker(Nearest):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 0.5

    Image.fromarray(np.dstack([RGB8, RGB8[..., 0]])).save(tmp_path / "a.png", icc_profile=PROFILE)
    cv2.imwrite(str(tmp_path / "b.tif"), RGB16)
    queue = queue_files([str(tmp_path / "a.png"), str(tmp_path / "b.tif")], str(tmp_path / "out"), uncertainty=True)
    value = upscale_files(ensemble(Nearest(), Darker()), queue)
    assert [entry["uncertainty"] for entry in value["done"]] == [
        str(tmp_path / "out" / name) for name in ("a.uncertainty.png", "b.uncertainty.tif")
    ]
    for name, lr in (("a.uncertainty.png", RGB8 / 255), ("b.uncertainty.tif", RGB16[..., ::-1] / 65535)):
        grey = opencv(tmp_path / "out" / name)
        assert grey.dtype == np.uint16
        spread = np.sqrt(np.square(upscaled(lr) / 4).mean(-1))  # two members: half their distance, x - x/2
        np.testing.assert_allclose(grey / 65535, np.minimum(4 * spread, 1), rtol=0, atol=2e-5)
    assert written(tmp_path / "out") == ["a.png", "a.uncertainty.png", "b.tif", "b.uncertainty.tif"]
    with Image.open(tmp_path / "out/a.uncertainty.png") as image:
        assert "icc_profile" not in image.info  # a colour profile is none of grey


def test_the_fusion_that_was_asked_for(tmp_path: Path):
    class Black(Nearest):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 0

    source = pngs(tmp_path / "in", a=RGB8)
    members = [Nearest(), Nearest(), Black()]
    for fusion in ("mean", "robust"):
        upscale_files(ensemble(*members, fusion=fusion), planned(source, tmp_path / fusion))
    np.testing.assert_allclose(decoded(tmp_path / "mean/a.png"), upscaled(RGB8) * (2 / 3), rtol=0, atol=0.51)
    assert np.abs(decoded(tmp_path / "robust/a.png").astype(int) - upscaled(RGB8)).mean() < 2


class Times(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_tiny_and_odd_images_at_every_scale(tmp_path: Path, scale: int):
    sizes = [(height, width) for height in (1, 2, 5, 9) for width in (1, 3, 9)]
    alpha = np.full((9, 9), 200, np.uint8)
    rgba = np.dstack([RGB8[:9, :9], alpha])
    source = pngs(tmp_path / "in", **{f"{h}x{w}": rgba[:h, :w] for h, w in sizes})
    plan = levels_plan(scale, patch=6, stride=3, self_ensemble=True, patch_ensemble=True)
    asked = Ensemble(members=[Times(scale)], weights=[1.0], plan=plan)
    assert len(upscale_files(asked, planned(source, tmp_path / "out"))["done"]) == len(sizes)
    for h, w in sizes:
        expected = rgba[:h, :w].repeat(scale, axis=0).repeat(scale, axis=1)
        np.testing.assert_array_equal(decoded(tmp_path / f"out/{h}x{w}.png"), expected)


# ---- bad files, and going on ---------------------------------------------------------------------------------------


def test_a_bad_file_is_reported_and_the_others_are_done(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8, c=RGB8)
    (source / "d.png").write_bytes(b"no image")
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:-60])
    (source / "notes.txt").touch()
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["output"]).name for entry in value["done"]] == ["a.png", "c.png"]
    reasons = {Path(entry["input"]).name: entry["reason"] for entry in value["failed"]}
    assert set(reasons) == {"b.png", "d.png"}
    assert "expected a whole image: copy it again" in reasons["b.png"]
    assert "not recognised" in reasons["d.png"]
    assert value["ignored"] == [str(source / "notes.txt")]
    assert written(tmp_path / "out") == ["a.png", "c.png"]
    np.testing.assert_array_equal(decoded(tmp_path / "out/c.png"), upscaled(RGB8))


def test_not_one_good_image_is_wrong_input(tmp_path: Path):
    source = pngs(tmp_path / "in")
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(b"no image")
    with pytest.raises(PairError, match=r"none of 2 images can be used.*a\.png.*b\.png"):
        upscale_files(ensemble(), planned(source, tmp_path / "out"))
    with pytest.raises(PairError, match="not recognised"):
        upscale_files(ensemble(), planned(source / "a.png", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nothing_that_is_not_finite_is_written(tmp_path: Path):
    white = RGB8.copy()
    white[4, 4, 1] = 255
    source = pngs(tmp_path / "in", a=RGB8, white=white)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/white.png").write_bytes(b"older")
    value = upscale_files(ensemble(Diverging()), planned(source, tmp_path / "out"), overwrite=True)
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["white.png"]
    assert "not finite" in value["failed"][0]["reason"]
    assert (tmp_path / "out/white.png").read_bytes() == b"older"
    assert written(tmp_path / "out") == ["a.png", "white.png"]
    with pytest.raises(NonFiniteError):
        upscale_files(ensemble(Diverging()), planned(source / "white.png", tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_failed_work_on_every_good_image_is_not_wrong_input(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    (source / "b.png").write_bytes(b"no image")
    value = upscale_files(ensemble(Hungry()), planned(source, tmp_path / "out"))
    assert value["done"] == []
    reasons = [entry["reason"] for entry in value["failed"]]
    assert "can't allocate memory" in reasons[0]
    assert "by patches" in reasons[0]
    with pytest.raises(OutOfMemoryError, match="can't allocate memory"):
        upscale_files(ensemble(Hungry()), planned(source / "a.png", tmp_path / "out"))


def test_other_faults_of_a_network_are_not_taken_for_memory(tmp_path: Path):
    class Faulty(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program") as caught:
        upscale_files(ensemble(Faulty()), planned(pngs(tmp_path / "in", a=RGB8), tmp_path / "out"))
    assert not isinstance(caught.value, WorkError)


def test_a_place_that_cannot_be_written_fails_that_file_alone(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    pngs(source / "sub", b=RGB8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").write_bytes(b"a file where a folder should be")
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["b.png"]
    assert os.strerror(errno.EEXIST) in value["failed"][0]["reason"]
    with pytest.raises(WorkError, match="expected a place with room"):
        upscale_files(ensemble(), planned(source / "a.png", tmp_path / "out/sub/deeper/a.png"))


@pytest.mark.parametrize(
    ("target", "message"), [("a.jpg", "JPEG lacks"), ("wide.webp", "16386x4 pixels; WebP holds 16383")]
)
def test_what_the_format_cannot_hold_is_refused_before_the_networks_run(tmp_path: Path, target: str, message: str):
    wide = np.zeros((2, 8193, 4), np.uint8) if target == "wide.webp" else np.dstack([RGB8, RGB8[..., 0]])
    Image.fromarray(wide).save(tmp_path / "in.png")
    network = Hungry()
    with pytest.raises(UsageError, match=message):
        upscale_files(ensemble(network), planned(tmp_path / "in.png", tmp_path / target))


def test_what_exists_is_skipped_unless_asked_for(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8, b=RGB8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_bytes(b"mine")
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert value["skipped"] == [{"input": str(source / "a.png"), "output": str(tmp_path / "out/a.png")}]
    assert (tmp_path / "out/a.png").read_bytes() == b"mine"
    again = upscale_files(ensemble(Hungry()), planned(source, tmp_path / "out"))
    assert (len(again["skipped"]), again["done"], again["failed"]) == (2, [], [])
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"), overwrite=True)
    assert (len(value["done"]), value["skipped"]) == (2, [])
    np.testing.assert_array_equal(decoded(tmp_path / "out/a.png"), upscaled(RGB8))


def test_an_output_folder_inside_the_input_is_not_upscaled_again(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    for _ in range(2):
        upscale_files(ensemble(), planned(source, source / "out"), overwrite=True)
    assert written(source) == ["a.png", "out/a.png"]


def test_a_file_that_the_system_refuses_to_read_fails_alone(tmp_path: Path):
    source = pngs(tmp_path / "in", a=RGB8)
    (source / "loop.png").symlink_to("loop.png")  # permissions would not stop root, a link to itself does
    value = upscale_files(ensemble(), planned(source, tmp_path / "out"))
    assert [Path(entry["input"]).name for entry in value["failed"]] == ["loop.png"]
    assert os.strerror(errno.ELOOP) in value["failed"][0]["reason"]
    assert "expected a file that can be read" in value["failed"][0]["reason"]
