"""The sampler: a pure function of its arguments, aligned in LR and HR, fair over places and turns."""

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.pack import Pack, PackPair, write_pack
from shared.data.sampler import PatchDraw, PatchSampler, turned
from shared.errors import UsageError

SCALE = 2
SIZES = {"a": (9, 12), "b": (8, 8), "c": (11, 8), "deep": (8, 10)}


def nearest(lr: np.ndarray, scale: int) -> np.ndarray:
    return lr.repeat(scale, axis=0).repeat(scale, axis=1)


@pytest.fixture(scope="module")
def pack_path(tmp_path_factory) -> Path:
    """Pairs whose HR is LR upscaled by repetition, one of 16 bits; one more to validate."""
    rng = np.random.default_rng(0)
    pairs = []
    for name, size in (SIZES | {"v": (8, 8)}).items():
        dtype = np.uint16 if name == "deep" else np.uint8
        lr = rng.integers(0, np.iinfo(dtype).max + 1, (*size, 3), dtype=dtype)
        split = "validation" if name == "v" else "train"
        pairs.append(PackPair(name=name, lr=lr, hr=nearest(lr, SCALE), split=split, facts={}))
    path = tmp_path_factory.mktemp("sampler") / "pack.h5"
    write_pack(path, pairs, scale=SCALE, provenance={})
    return path


@pytest.fixture
def pack(pack_path: Path) -> Iterator[Pack]:
    with Pack(pack_path) as opened:
        yield opened


def make(pack: Pack, **options) -> PatchSampler:
    return PatchSampler(pack, **{"patch": 4, "batch": 3, "seed": 7} | options)


def test_batches_are_contiguous_float32_in_range(pack: Pack):
    lr, hr = make(pack).batch(0)
    assert (lr.shape, hr.shape) == ((3, 3, 4, 4), (3, 3, 8, 8))
    for images in (lr, hr):
        assert images.dtype == np.float32
        assert images.flags.c_contiguous
        assert images.flags.writeable
        assert 0 <= images.min() < images.max() <= 1


def test_lr_and_hr_show_the_same_place_turned_alike(pack: Pack):
    sampler = make(pack)
    for step in range(40):
        lr, hr = sampler.batch(step)
        np.testing.assert_array_equal(lr.repeat(SCALE, axis=2).repeat(SCALE, axis=3), hr)
        mirrored = lr[..., ::-1].repeat(SCALE, axis=2).repeat(SCALE, axis=3)
        assert np.any(mirrored != hr)  # control: the comparison sees a flip of one side


def test_a_batch_is_what_its_draws_say(pack: Pack):
    sampler = make(pack, batch=8)
    lr, _ = sampler.batch(5)
    assert sampler.names(5) == tuple(draw.pair for draw in sampler.draws(5))
    for image, draw in zip(lr, sampler.draws(5), strict=True):
        whole = pack.lr(draw.pair)
        cut = whole[draw.top : draw.top + 4, draw.left : draw.left + 4]
        expected = turned(cut, draw) / np.float32(np.iinfo(whole.dtype).max)
        np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))


def test_turning_flips_first_and_transposes_last():
    pixels = np.arange(4).reshape(2, 2, 1)
    fields = {"pair": "a", "top": 0, "left": 0}

    def turn(horizontal: bool, vertical: bool, transpose: bool) -> list[int]:
        draw = PatchDraw(**fields, flip_horizontal=horizontal, flip_vertical=vertical, transpose=transpose)
        return turned(pixels, draw).ravel().tolist()

    assert turn(False, False, False) == [0, 1, 2, 3]
    assert turn(True, False, False) == [1, 0, 3, 2]
    assert turn(False, True, False) == [2, 3, 0, 1]
    assert turn(False, False, True) == [0, 2, 1, 3]
    assert turn(True, False, True) == [1, 3, 0, 2]


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.integers(0, 10**12), min_size=1, max_size=5), seed=st.integers(0, 2**64 - 1))
def test_a_step_does_not_depend_on_what_was_asked_before(pack_path: Path, steps: list[int], seed: int):
    with Pack(pack_path) as pack:
        used = make(pack, seed=seed)
        for step in steps:
            used.batch(step)
        fresh = make(pack, seed=seed)
        assert used.draws(steps[0]) == fresh.draws(steps[0])
        for got, expected in zip(used.batch(steps[0]), fresh.batch(steps[0]), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_the_batch_size_only_cuts_the_stream(pack: Pack):
    small = [draw for step in range(12) for draw in make(pack, batch=2).draws(step)]
    large = [draw for step in range(4) for draw in make(pack, batch=6).draws(step)]
    assert small == large


def test_another_process_gives_the_same_bytes(pack: Pack, pack_path: Path):
    code = (
        "import sys, hashlib; from pathlib import Path; from shared.data.pack import Pack\n"
        "from shared.data.sampler import PatchSampler\n"
        "with Pack(Path(sys.argv[1])) as pack:\n"
        "    sampler = PatchSampler(pack, patch=4, batch=3, seed=7)\n"
        "    print(hashlib.sha256(b''.join(x.tobytes() for s in range(20) for x in sampler.batch(s))).hexdigest())"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code, str(pack_path)], cwd=root, capture_output=True, text=True, check=True
    )
    ours = b"".join(images.tobytes() for step in range(20) for images in make(pack).batch(step))
    assert result.stdout.strip() == hashlib.sha256(ours).hexdigest()


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64-10 as in the paper, figure 2 and table 2."""
    mask = 2**64 - 1
    for _ in range(10):
        first, second = counter[0] * 0xD2E7470EE14C6C93, counter[2] * 0xCA5A826395121157
        counter = [second >> 64 ^ counter[1] ^ key[0], second & mask, first >> 64 ^ counter[3] ^ key[1], first & mask]
        key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
    return counter


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_draws_follow_the_documented_stream(pack: Pack, seed: int):
    """A change here changes what every recorded run has seen."""
    names = sorted(SIZES)
    for number in (0, 5, 1001):
        epoch, index = divmod(number, len(names))
        ranks = philox([1, 0, epoch, 0], [seed, 1])
        pair = names[sorted(range(len(names)), key=ranks.__getitem__)[index]]
        top, left, turns, _ = philox([number + 1, 0, 0, 0], [seed, 2])
        (draw,) = make(pack, seed=seed, batch=1).draws(number)
        assert (draw.pair, draw.top) == (pair, top % (SIZES[pair][0] - 3))
        assert (draw.left, draw.transpose) == (left % (SIZES[pair][1] - 3), bool(turns & 4))


def test_each_epoch_takes_every_pair_once_in_an_order_of_its_own(pack: Pack):
    names = [draw.pair for step in range(60) for draw in make(pack, batch=len(SIZES)).draws(step)]
    epochs = [tuple(names[i : i + len(SIZES)]) for i in range(0, len(names), len(SIZES))]
    assert all(sorted(epoch) == sorted(SIZES) for epoch in epochs)
    assert len(set(epochs)) > 15  # of 24 orders, 60 epochs meet about 22


def test_seeds_and_splits_are_streams_of_their_own(pack: Pack):
    draws = [make(pack, seed=seed, batch=64).draws(0) for seed in (0, 1, 2**63, 2**63 + 1, 2**64 - 1)]
    assert len(set(draws)) == len(draws)
    assert set(make(pack, split="validation").names(0)) == {"v"}


def test_places_and_turns_are_uniform(pack: Pack):
    draws = [draw for step in range(60) for draw in make(pack, batch=100).draws(step)]
    turns = Counter((draw.flip_horizontal, draw.flip_vertical, draw.transpose) for draw in draws)
    assert len(turns) == 8
    assert chi_square(turns.values()) < 24.3  # 0.1 % point, 7 degrees of freedom
    places = Counter((draw.top, draw.left) for draw in draws if draw.pair == "a")
    assert set(places) == {(top, left) for top in range(6) for left in range(9)}
    assert chi_square(places.values()) < 91.0  # 53 degrees
    lopsided = Counter((min(draw.top, 4), draw.left) for draw in draws if draw.pair == "a")
    assert chi_square([*lopsided.values(), *[0] * 9]) > 91.0  # control: a border row that is never the first


def chi_square(counts) -> float:
    counts = np.array(list(counts), dtype=float)
    return float(((counts - counts.mean()) ** 2 / counts.mean()).sum())


def test_without_augmentation_the_same_places_stand_upright(pack: Pack):
    plain, turning = (make(pack, augment=augment, batch=50).draws(0) for augment in (False, True))
    assert not any(draw.flip_horizontal or draw.flip_vertical or draw.transpose for draw in plain)
    assert [(d.pair, d.top, d.left) for d in plain] == [(d.pair, d.top, d.left) for d in turning]


def test_a_patch_may_fill_a_pair(pack: Pack):
    sampler = make(pack, patch=8, batch=len(SIZES))
    assert {(draw.top, draw.left) for draw in sampler.draws(0) if draw.pair == "b"} == {(0, 0)}
    sampler.batch(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 9}, "pair 'b': LR 8x8; expected sides of at least 9, the patch: take a smaller patch"),
        ({"patch": 0}, "patch 0"),
        ({"batch": 0}, "batch 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**64}, "up to 18446744073709551615"),
        ({"split": "test"}, "split 'test'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_at_once(pack: Pack, options, message):
    with pytest.raises(UsageError, match=message):
        make(pack, **options)


def test_an_empty_split_is_refused(tmp_path: Path):
    lr = np.zeros((8, 8, 3), np.uint8)
    pair = PackPair(name="a", lr=lr, hr=nearest(lr, SCALE), split="train", facts={})
    write_pack(tmp_path / "pack.h5", [pair], scale=SCALE, provenance={})
    with Pack(tmp_path / "pack.h5") as pack, pytest.raises(UsageError, match="no validation pair"):
        make(pack, split="validation")
