"""One image through an ensemble: what its file keeps, against Pillow, OpenCV and tifffile, and the ensemble that was asked for.

A nearest-neighbour network repeats pixels, so the expected output is exact and needs none of our code.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps
from torch import nn

from shared.spec import parse
from tests.train_torch.upscale.pictures import (
    PROFILE,
    RGB8,
    RGB16,
    RNG,
    SCALE,
    Nearest,
    decoded,
    ensemble,
    levels,
    opencv,
    planned,
    pngs,
    through,
    upscaled,
    written,
)
from train_torch.ensemble import upscale
from train_torch.ensemble.plan import levels_plan
from train_torch.network import build
from train_torch.upscale.file_queue import queue_files
from train_torch.upscale.files import upscale_files
from train_torch.upscale.image import Ensemble

pytestmark = pytest.mark.torch


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
