"""Distillation: what is in the pack, against a teacher that is known, and what training makes of it."""

from pathlib import Path

import numpy as np
import pytest

from shared.data.pack import Pack, PackPair, write_pack
from shared.errors import UsageError
from shared.files import read_json
from shared.records.weights import load_weights, save_weights
from shared.resize import bicubic_upscale
from shared.spec import parse
from train_torch.config import TrainConfig
from train_torch.network import build, get_weights
from train_torch.training.distillation import distilled_pack
from train_torch.training.run import train_suite

pytestmark = pytest.mark.torch

SPEC = {"family": "rcan", "scale": 2, "features": 4, "groups": 1, "blocks": 1, "reduction": 4, "image_skip": "bicubic"}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Three pairs to train on, one to validate, LR 16 x 14; targets that no upscaling gives."""
    rng = np.random.default_rng(0)
    pairs = [
        PackPair(
            name=f"pair_{index}",
            lr=rng.integers(0, 256, (16, 14, 3), dtype=np.uint8),
            hr=rng.integers(0, 256, (32, 28, 3), dtype=np.uint8),
            split="validation" if index == 3 else "train",
            facts={"index": index},
        )
        for index in range(4)
    ]
    path = tmp_path / "pack.h5"
    write_pack(path, pairs, scale=2, provenance={})
    return path


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A network at its first step: the bicubic upscaling, exactly."""
    path = tmp_path / "teacher.safetensors"
    save_weights(path, get_weights(build(parse(SPEC))), parse(SPEC), {})
    return path


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_targets_are_the_mixture_and_validation_stays(pack, teacher, tmp_path, share):
    with Pack(pack) as true, Pack(distilled_pack(true, teacher, tmp_path / "d.h5", share=share)) as made:
        for name in true.pairs("train"):
            taught = np.clip(bicubic_upscale(true.lr(name), 2), 0, 1)
            expected = (1 - share) * true.hr(name) / 255 + share * taught
            error = np.abs(made.hr(name) / 65535 - expected).max()
            assert error < 1e-5
            if share > 0:
                assert np.abs(made.hr(name) / 65535 - true.hr(name) / 255).max() > 0.1  # the pack itself is not it
            assert np.array_equal(made.lr(name), true.lr(name))
            assert made.facts(name) == true.facts(name)
        (name,) = made.pairs("validation")
        assert np.array_equal(made.hr(name), true.hr(name))
        assert made.provenance["distilled_from"] == true.sha256


def test_a_pack_that_is_there_is_kept_and_another_is_refused(pack, teacher, tmp_path):
    out = tmp_path / "d.h5"
    with Pack(pack) as true:
        distilled_pack(true, teacher, out, share=0.5)
        before = out.stat().st_mtime_ns
        distilled_pack(true, teacher, out, share=0.5)
        assert out.stat().st_mtime_ns == before
        with pytest.raises(UsageError, match="another share;"):
            distilled_pack(true, teacher, out, share=0.4)


def test_a_teacher_of_another_scale_is_refused(pack, tmp_path):
    spec = parse({**SPEC, "scale": 4})
    save_weights(tmp_path / "x4.safetensors", get_weights(build(spec)), spec, {})
    with Pack(pack) as true, pytest.raises(UsageError, match="x4, the pairs are x2"):
        distilled_pack(true, tmp_path / "x4.safetensors", tmp_path / "d.h5", share=0.5)


def test_training_from_a_teacher_goes_another_way_and_goes_on(pack, teacher, tmp_path):
    config = TrainConfig(
        steps=3, batch=2, patch=12, ms_ssim_weight=0, validate_every=3, threads=1, tensorboard=False, distill_share=1.0
    )
    weights = {}
    for name, distill in (("with", teacher), ("without", None)):
        out = tmp_path / name
        for _ in range(2):  # the second time nothing is left to do
            trained = train_suite([teacher], pack=pack, out=out, config=config, distill=distill)
        weights[name] = load_weights(trained.members[0].weights).weights
    assert any(not np.array_equal(array, weights["without"][key]) for key, array in weights["with"].items())
    with Pack(tmp_path / "with" / "distilled.h5") as made:
        assert read_json(tmp_path / "with" / "train.json")["data_sha256"] == made.sha256
    with pytest.raises(UsageError, match="data_sha256"):
        train_suite([teacher], pack=pack, out=tmp_path / "with", config=config)
