"""Packs: what is written is read, the content id, and files that are none."""

import hashlib
import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared.data.pack import Pack, PackPair, write_pack
from shared.errors import UsageError


def make_pair(name: str, *, split: str = "train", scale: int = 2, size=(6, 8), dtype=np.uint8, **facts) -> PackPair:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
    top = np.iinfo(dtype).max + 1
    lr, hr = (rng.integers(0, top, (k * size[0], k * size[1], 3), dtype=dtype) for k in (1, scale))
    return PackPair(name=name, lr=lr, hr=hr, split=split, facts=facts)


PAIRS = [make_pair("b", split="validation", ncc=0.5), make_pair("c", dtype=np.uint16, size=(5, 7)), make_pair("a")]


def write(path: Path, pairs=PAIRS, *, scale: int = 2, **provenance) -> str:
    return write_pack(path, pairs, scale=scale, provenance=provenance)


def test_what_is_written_is_read(tmp_path: Path):
    sha256 = write(tmp_path / "new" / "pack.h5", layout="RealSR")
    with Pack(tmp_path / "new" / "pack.h5") as pack:
        assert (pack.scale, pack.bits, pack.sha256) == (2, 16, sha256)
        assert pack.provenance == {"layout": "RealSR"}
        assert pack.pairs("train") == ("a", "c")
        assert pack.pairs("validation") == ("b",)
        assert pack.facts("b") == {"ncc": 0.5}
        assert pack.damage() == ()
        for pair in PAIRS:
            for got, expected in ((pack.lr(pair.name), pair.lr), (pack.hr(pair.name), pair.hr)):
                assert got.dtype == expected.dtype
                assert got.flags.writeable
                np.testing.assert_array_equal(got, expected)
            assert pack.lr_size(pair.name) == pair.lr.shape[:2]


def test_other_programs_read_it_by_the_documented_layout(tmp_path: Path):
    write(tmp_path / "pack.h5")
    with h5py.File(tmp_path / "pack.h5") as file:
        assert file.attrs["schema"] == "gpnas-sr/pack/1"
        assert file.attrs["scale"] == 2
        np.testing.assert_array_equal(file["lr/b"][:], PAIRS[0].lr)
        assert file["hr/b"].chunks is None
        line = json.loads(file["index"][()])[0]
        assert (line["name"], line["split"], line["facts"]) == ("b", "validation", {"ncc": 0.5})


def test_a_patch_is_the_same_place_in_both_images(tmp_path: Path):
    write(tmp_path / "pack.h5")
    with Pack(tmp_path / "pack.h5") as pack:
        for pair in PAIRS:
            lr, hr = pack.patch(pair.name, top=1, left=2, size=4)
            np.testing.assert_array_equal(lr, pair.lr[1:5, 2:6])
            np.testing.assert_array_equal(hr, pair.hr[2:10, 4:12])
            assert not lr.flags.writeable


def test_arrays_outlive_the_pack_and_the_file(tmp_path: Path):
    write(tmp_path / "pack.h5")
    with Pack(tmp_path / "pack.h5") as pack:
        lr, _ = pack.patch("a", top=0, left=0, size=6)
    (tmp_path / "pack.h5").unlink()
    np.testing.assert_array_equal(lr, PAIRS[2].lr[:6, :6])


def test_the_content_id_sees_content_only(tmp_path: Path):
    before = write(tmp_path / "1.h5", day="Monday")
    facts = [PackPair(name=p.name, lr=p.lr, hr=p.hr, split=p.split, facts={"ncc": 1}) for p in reversed(PAIRS)]
    assert write(tmp_path / "2.h5", facts, day="Tuesday") == before


@pytest.mark.parametrize("change", ["name", "split", "pixel", "depth", "fewer", "scale"])
def test_the_content_id_sees_every_change(tmp_path: Path, change: str):
    first = PAIRS[0]
    fields = {"name": first.name, "lr": first.lr, "hr": first.hr, "split": first.split, "facts": {}}
    pixel = first.hr.copy()
    pixel[-1, -1, -1] ^= 1
    changes = {
        "name": {"name": "z"},
        "split": {"split": "train"},
        "pixel": {"hr": pixel},
        "depth": {"hr": first.hr.astype(np.uint16)},
        "scale": {"hr": np.zeros((18, 24, 3), np.uint8)},
    }
    changed = PackPair(**fields | changes.get(change, {}))
    kept = PAIRS[1:-1] if change == "fewer" else PAIRS[1:]
    pairs, scale = ([changed], 3) if change == "scale" else ([changed, *kept], 2)
    assert write(tmp_path / "2.h5", pairs, scale=scale) != write(tmp_path / "1.h5")


def test_either_split_may_be_empty(tmp_path: Path):
    for split, other in (("train", "validation"), ("validation", "train")):
        write(tmp_path / "pack.h5", [make_pair("a", split=split)])
        with Pack(tmp_path / "pack.h5") as pack:
            assert (pack.pairs(split), pack.pairs(other)) == (("a",), ())


def test_pairs_are_taken_one_at_a_time(tmp_path: Path):
    seen: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def stream() -> Iterator[PackPair]:
        for i in range(5):
            alive.append(sum(image() is not None for image in seen))
            pair = make_pair(str(i))
            seen.append(weakref.ref(pair.hr))
            yield pair

    write(tmp_path / "pack.h5", stream())
    assert max(alive) <= 1  # the last one, while the next is made


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no pair to write"),
        ([make_pair("a"), make_pair("a")], "'a' is there twice"),
        ([make_pair("a/b")], "'a/b'; expected a name"),
        ([make_pair("")], "''; expected a name"),
        ([make_pair("a", split="test")], "split 'test'; expected one of train, validation"),
        ([make_pair("a", scale=4)], "LR 8x6 and HR 32x24; expected HR = 2 x LR"),
        ([make_pair("a", dtype=np.uint32)], "uint32; expected"),
        ([PackPair(name="a", lr=np.zeros((4, 4)), hr=np.zeros((8, 8)), split="train", facts={})], r"shape \(4, 4\)"),
    ],
)
def test_bad_pairs_leave_the_earlier_pack(tmp_path: Path, pairs, message):
    path = tmp_path / "pack.h5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=message):
        write(path, pairs)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_names_and_splits_are_refused(tmp_path: Path):
    write(tmp_path / "pack.h5")
    with Pack(tmp_path / "pack.h5") as pack:
        with pytest.raises(UsageError, match="no pair 'z'"):
            pack.lr("z")
        with pytest.raises(UsageError, match="split 'test'"):
            pack.pairs("test")


def test_damaged_pixels_are_named(tmp_path: Path):
    path = tmp_path / "pack.h5"
    write(path)
    data = bytearray(path.read_bytes())
    at = data.find(PAIRS[0].hr.tobytes())
    data[at + 5] ^= 1
    path.write_bytes(data)
    with Pack(path) as pack:
        assert pack.damage() == ("b",)


def with_schema(path: Path, schema: str) -> None:
    write(path)
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = schema


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 3))


def without(path: Path, name: str) -> None:
    write(path)
    with h5py.File(path, "a") as file:
        del file[name]


def without_attribute(path: Path, name: str) -> None:
    write(path)
    with h5py.File(path, "a") as file:
        del file.attrs[name]


UNUSABLE = {
    "missing": (lambda path: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "expected a whole pack"),
    "text": (lambda path: path.write_bytes(b"no pack" * 99), "expected a whole pack"),
    "newer": (lambda path: with_schema(path, "gpnas-sr/pack/2"), "schema gpnas-sr/pack/2; expected gpnas-sr/pack/1"),
    "another": (lambda path: with_schema(path, "x"), "schema 'x'"),
    "foreign": (foreign, "schema None"),
    "no pixels": (lambda path: without(path, "hr/b"), "index and /hr differ in b"),
    "no images": (lambda path: without(path, "lr"), "incomplete"),
    "no index": (lambda path: without(path, "index"), "incomplete"),
    "no scale": (lambda path: without_attribute(path, "scale"), "incomplete"),
    "no id": (lambda path: without_attribute(path, "sha256"), "incomplete"),
    "no provenance": (lambda path: without_attribute(path, "provenance"), "incomplete"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_files_that_are_no_pack_are_refused(tmp_path: Path, name: str):
    make, message = UNUSABLE[name]
    path = tmp_path / "pack.h5"
    make(path)
    with pytest.raises(UsageError, match=message) as caught:
        Pack(path)
    assert str(caught.value).startswith(str(path))


def test_truncated_packs_are_refused(tmp_path: Path):
    path = tmp_path / "pack.h5"
    write(path)
    data = path.read_bytes()
    for size in np.linspace(0, len(data) - 1, 20).astype(int):
        path.write_bytes(data[:size])
        with pytest.raises(UsageError, match="expected a whole pack"):
            Pack(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": PAIRS[2].lr, "compression": "gzip"}, "cannot be mapped"),
        ({"data": PAIRS[2].lr[:-1]}, r"/lr/a is \(5, 8, 3\), uint8, and the index says \(6, 8, 3\)"),
        ({"data": PAIRS[2].lr.astype(np.float32)}, "float32"),
    ],
)
def test_images_stored_otherwise_are_refused(tmp_path: Path, options, message):
    path = tmp_path / "pack.h5"
    write(path)
    with h5py.File(path, "a") as file:
        del file["lr/a"]
        file.create_dataset("lr/a", **options)
    with Pack(path) as pack:
        np.testing.assert_array_equal(pack.lr("b"), PAIRS[0].lr)
        with pytest.raises(UsageError, match=message):
            pack.lr("a")


def test_a_repacked_file_is_still_read_rightly(tmp_path: Path):
    write(tmp_path / "pack.h5")
    with h5py.File(tmp_path / "pack.h5") as source, h5py.File(tmp_path / "copy.h5", "w") as target:
        target["first"] = np.zeros(1000)  # moves the rest
        for key in ("index", "lr", "hr"):
            source.copy(key, target)
        for key, value in source.attrs.items():
            target.attrs[key] = value
    with Pack(tmp_path / "copy.h5") as pack:
        assert pack.damage() == ()
