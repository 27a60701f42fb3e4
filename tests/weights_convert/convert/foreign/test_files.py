"""Foreign files of every form are read bit for bit, and without running anything they contain."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from shared.errors import WeightsError
from weights_convert.convert.foreign.files import dual_states, read_checkpoint, select

STATE = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "a.bias": np.float32([1, -0.0, 3])}
MAGIC = 0x1950A86A20F9469CFC6C  # of Torch's form before 1.6


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_protocol_come_back_bit_for_bit(tmp_path, dump, protocol):
    state = STATE | {
        "empty": np.zeros((0, 3), np.float32),
        "f": np.asfortranarray(STATE["a.weight"]),
        "one": np.array(7.5),
    }
    checkpoint = read_checkpoint(dump(tmp_path / "x.pdparams", state, protocol))
    found = select(checkpoint)
    assert checkpoint.format == "paddle pickle"
    assert found.arrays.keys() == state.keys()
    for name, array in state.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()


def test_other_byte_orders_are_turned(tmp_path, dump):
    found = select(read_checkpoint(dump(tmp_path / "x", {"w": STATE["a.weight"].astype(">f4")})))
    assert found.arrays["w"].dtype.isnative
    assert np.array_equal(found.arrays["w"], STATE["a.weight"])


@pytest.mark.parametrize("where", ["top", "tuple", "object array", "LR_Scheduler", "key"])
def test_a_malicious_pickle_is_refused_with_nothing_run(tmp_path, marker, where):
    evil = {
        "top": lambda: marker,
        "tuple": lambda: {"w": ("name", marker)},
        "object array": lambda: {"w": np.array([marker], dtype=object)},
        "LR_Scheduler": lambda: STATE | {"LR_Scheduler": {"last_epoch": 3, "last_lr": marker}},
        "key": lambda: {("w", marker): STATE["a.bias"]},
    }[where]()
    path = tmp_path / "evil.pdparams"
    path.write_bytes(pickle.dumps(evil, protocol=4))
    with pytest.raises(WeightsError, match=r"asks for (posix|nt)\.open, which is not run|object array"):
        read_checkpoint(path)
    assert not (tmp_path / "marker").exists()
    pickle.loads(path.read_bytes())  # noqa: S301  # known-wrong control: the payload is live
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("form", ["zip", "legacy", "legacy system information"])
def test_a_malicious_torch_file_is_refused_with_nothing_run(tmp_path, marker, form):
    evil = pickle.dumps({"w": marker}, protocol=2)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2)
    path = tmp_path / "evil.pth"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", evil)
            archive.writestr("archive/version", "3\n")
    elif form == "legacy":
        path.write_bytes(head + pickle.dumps(system, 2) + evil + pickle.dumps([], 2))
    else:
        path.write_bytes(head + evil)
    with pytest.raises(WeightsError, match=r"asks for (posix|nt)\.open, which is not run"):
        read_checkpoint(path)
    assert not (tmp_path / "marker").exists()
    pickle.loads(evil)  # noqa: S301  # known-wrong control
    assert (tmp_path / "marker").exists()


# Torch's zip form, made by hand: what Torch itself writes is read in test_torch_files.py
def storage(key, numel, kind="FloatStorage"):
    name = b"X" + struct.pack("<I", len(key)) + key.encode()
    return (
        b"(X\x07\x00\x00\x00storagectorch\n"
        + kind.encode()
        + b"\n"
        + name
        + b"X\x03\x00\x00\x00cpuJ"
        + struct.pack("<i", numel)
        + b"tQ"
    )


def tensor(shape, stride, numel=6, offset=0):
    ints = lambda values: b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", v) for v in values) + b"t"  # noqa: E731  # one use
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage("0", numel)
        + b"\x8a\x08"
        + struct.pack("<q", offset)
        + ints(shape)
        + ints(stride)
        + b"\x89NtR"
    )


def torch_zip(path, value, data=b"\0" * 24, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}X\x01\x00\x00\x00w" + value + b"s.")
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", data)
    return path


def test_the_hand_made_zip_is_read(tmp_path):
    numbers = np.arange(6, dtype=np.float32)
    path = torch_zip(tmp_path / "x", tensor((3, 2), (1, 3)), numbers.tobytes())
    assert np.array_equal(select(read_checkpoint(path)).arrays["w"], numbers.reshape(2, 3).T)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tensor((3, 2), (2, 2)), "beyond its storage"),
        (tensor((6,), (1,), offset=1), "beyond its storage"),
        (tensor((6,), (1,), offset=-1), "without storage and offset"),
        (tensor((2**31 - 1,), (0,)), "beyond its storage"),
        (tensor((2**40,), (0,)), "huge"),
        (tensor((6,), (-1,)), "negative"),
        (tensor((6, 1), (1,)), "strides do not fit"),
        (tensor((7,), (1,), numel=7), "storage of 24 bytes, expected 28"),
        (
            tensor((6,), (1,))[:-2] + b"}X\x03\0\0\0neg\x88stR",
            "other parts than expected",
        ),  # a tensor that stands negated
        (tensor((6,), (1,)).replace(b"cpu", b"gpu"), "storage of unknown kind"),
        (tensor((6,), (1,))[:-4] + b"tR", "no whole file: TypeError"),  # not all parts
        (tensor((6,), (1,)) + b"K\x01b", "sets the state of a tensor"),
        (storage("1", 6), "record archive/data/1 is missing"),
        (storage("../0", 6), "is missing"),
        (storage("0", 6, "QInt8Storage"), r"asks for torch\.QInt8Storage"),
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, value, message):
    with pytest.raises(WeightsError, match=message):
        select(read_checkpoint(torch_zip(tmp_path / "x", value)))


def test_zip_bombs_are_refused(tmp_path):
    value = tensor((6,), (1,), numel=10**7)
    path = torch_zip(tmp_path / "deflated", value, bytes(4 * 10**7), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    with pytest.raises(WeightsError, match="compressed zip file"):
        read_checkpoint(path)
    overlapping = torch_zip(tmp_path / "overlapping", tensor((6,), (1,)), bytes(24)).read_bytes()
    claimed = overlapping.replace(struct.pack("<LL", 24, 24), struct.pack("<LL", 2**31, 2**31))
    (tmp_path / "claimed").write_bytes(claimed)
    with pytest.raises(WeightsError, match="claim more bytes"):
        read_checkpoint(tmp_path / "claimed")


def test_programs_are_told_from_weights(tmp_path):
    path = torch_zip(tmp_path / "x", tensor((6,), (1,)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(WeightsError, match="TorchScript program"):
        read_checkpoint(path)


def test_arrays_that_share_memory_cannot_claim_more_than_the_file(tmp_path):
    big = np.zeros(10_000, np.float32)
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({f"w{index}": big for index in range(100)}, protocol=4))  # one array, a hundred names
    with pytest.raises(WeightsError, match="claim more bytes"):
        select(read_checkpoint(path))


def test_big_arrays_in_slices_are_joined(tmp_path):
    whole = np.arange(12, dtype=np.float32)
    slices = {"OriginShape": (3, 4), "slices": ["w@@.0", "w@@.1"]}
    state = {"w@@.0": whole[:5], "w@@.1": whole[5:], "UnpackBigParamInfor@@": {"w": slices}}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(state, protocol=2))
    assert np.array_equal(select(read_checkpoint(path)).arrays["w"], whole.reshape(3, 4))
    path.write_bytes(pickle.dumps(state | {"w@@.1": whole[6:]}, protocol=2))
    with pytest.raises(WeightsError, match="do not fill its shape"):
        read_checkpoint(path)


def test_bfloat16_of_paddle_is_widened(tmp_path, dump):
    bits = np.array([0x3F80, 0xC000, 0x0001, 0x7F7F], dtype=np.uint16)  # 1, -2, the least, the greatest
    found = select(read_checkpoint(dump(tmp_path / "x", {"w": bits})))
    assert found.dtypes == ("bfloat16",)
    assert np.array_equal(found.arrays["w"], np.float32([1, -2, 2.0**-133, (2 - 2**-7) * 2.0**127]))


def nested(arrays):
    return {name: ("generated_tensor_0", array) for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("tree", "key", "expected"),
    [
        (STATE, None, ("", "")),
        ({"params": STATE}, None, ("params", "")),
        (
            {"state_dict": {f"module.{name}": array for name, array in STATE.items()}, "epoch": 3},
            None,
            ("state_dict", "module."),
        ),
        ({f"module.model.{name}": array for name, array in STATE.items()}, None, ("", "module.model.")),
        ({"params": STATE, "params_ema": STATE}, "params_ema", ("params_ema", "")),
        ({"generator": nested(STATE), "dual_model_0": STATE}, None, ("generator", "")),
        ({"state_dict": STATE, "optimizer": {"state": {0: {"step": 1}}}}, None, ("state_dict", "")),
    ],
)
def test_wrappers_come_off(tmp_path, tree, key, expected):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(tree, protocol=4))
    found = select(read_checkpoint(path), key)
    assert (found.key, found.prefix) == expected
    assert {name: array.tolist() for name, array in found.arrays.items()} == {n: a.tolist() for n, a in STATE.items()}


@pytest.mark.parametrize(
    ("tree", "key", "message"),
    [
        (
            {"params": STATE, "params_ema": STATE},
            None,
            r"several state dicts \(params, params_ema\); say which with --key",
        ),
        ({"params": STATE}, "ema", "got key 'ema', expected one of its state dicts: params"),
        ({"epoch": 3}, None, r"no state dict among its entries \(epoch\)"),
        ([STATE], None, "holds a list"),
        ({}, None, "no state dict"),
    ],
)
def test_what_is_ambiguous_is_said(tmp_path, tree, key, message):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(tree, protocol=4))
    with pytest.raises(WeightsError, match=message):
        select(read_checkpoint(path), key)


def test_a_half_prefix_stays(tmp_path, dump):
    state = {"module.a": STATE["a.bias"], "b": STATE["a.bias"]}
    assert select(read_checkpoint(dump(tmp_path / "x", state))).arrays.keys() == state.keys()


def test_a_made_up_name_takes_no_time(tmp_path, dump):
    name = "module." * 300_000
    assert select(read_checkpoint(dump(tmp_path / "x", {name: STATE["a.bias"]}))).prefix == "module." * 5


def test_dual_models_of_both_projects_are_found(tmp_path):
    path = tmp_path / "x"
    for tree in ([STATE, STATE], {"generator": STATE, "dual_model_0": STATE, "dual_model_1": nested(STATE)}):
        path.write_bytes(pickle.dumps(tree, protocol=4))
        assert [list(state) for state in dual_states(read_checkpoint(path))] == [list(STATE), list(STATE)]


def test_foreign_safetensors_of_every_dtype_are_read(tmp_path):
    from safetensors.numpy import save_file

    state = {"f": STATE["a.weight"], "h": STATE["a.weight"].astype(np.float16), "i": np.arange(3)}
    save_file(state, tmp_path / "x")
    found = select(read_checkpoint(tmp_path / "x"))
    assert found.dtypes == ("float16", "float32", "int64")
    assert np.array_equal(found.arrays["h"], STATE["a.weight"])
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "b").write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f\x00\xc0")
    assert select(read_checkpoint(tmp_path / "b")).arrays["w"].tolist() == [1, -2]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(WeightsError, match=r"(?i)no such file|is a directory"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(WeightsError, match=r"(?i)no such file|is a directory"):
        read_checkpoint(tmp_path)
