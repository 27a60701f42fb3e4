"""Python's unpickler with our builders: what NumPy pickles comes back, and nothing else is called."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from benchmarks.convert.hostile import array, text, whole
from shared.errors import WeightsError
from weights_convert.convert.foreign.unpickler import PLAIN, Unpickler

STATE = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "a.bias": np.float32([1, -0.0, 3])}


def read(data):
    return Unpickler(io.BytesIO(data), PLAIN).load()


def test_names_of_both_numpys_are_known():
    data = pickle.dumps(STATE, protocol=2)
    old = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != data
    assert np.array_equal(read(old)["a.weight"].array(), STATE["a.weight"])


def test_scalars_ordered_dicts_and_plain_values_are_read():
    value = {"best": np.float64(28.5), "steps": 7, "log": [1, (2.5, None, True)], "w": OrderedDict(STATE)}
    found = read(pickle.dumps(value, protocol=4))
    assert (found["best"], found["steps"], found["log"]) == (28.5, 7, [1, (2.5, None, True)])
    assert np.array_equal(found["w"]["a.bias"].array(), STATE["a.bias"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"c__builtin__\neval\n(S'1'\ntR.", "asks for __builtin__.eval, which is not run"),  # protocol 0
        (b"(S'1'\ni__builtin__\neval\n.", "asks for __builtin__.eval"),  # INST
        (b"\x80\x02\x82\x01.", "unregistered extension code"),  # EXT1
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", r"asks for builtins\.eval"),  # STACK_GLOBAL
        (b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)\x81.", "must be a type"),  # NEWOBJ
        (b"\x80\x02cnumpy\ndtype.__reduce__\n.", r"asks for numpy\.dtype\.__reduce__"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "not callable"),
        (b"\x80\x02c_codecs\nencode\n}b.", "sets the state of a function"),
        (whole(b"c_codecs\nencode\nN}" + text("_make") + b"Ns\x86b"), "sets the state of a function"),
        (whole(b"cnumpy\nndarray\n" + text("a") + b"\x85\x81"), "must be a type"),
        (whole(b"}}b"), "__dict__"),
        (
            whole(b"ccollections\nOrderedDict\n)RN}" + text("keys") + b"Ns\x86b" + b"K\x01b"),
            None,
        ),  # kept as a value, not as methods
    ],
)
def test_every_way_to_call_or_change_something_is_refused(data, message):
    if message is None:
        assert list(read(data).keys()) == []
    else:
        with pytest.raises(
            (WeightsError, pickle.UnpicklingError, ValueError, AttributeError, TypeError), match=message
        ):
            read(data)


def test_the_hand_made_array_is_a_pickle():
    data = whole(array((1,), bytes(8), "f8"))
    assert np.array_equal(pickle.loads(data), [0.0])  # noqa: S301  # made above
    assert np.array_equal(read(data).array(), [0.0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (array((2**40,), bytes(8)), "negative, huge or no number"),
        (array((-1,), bytes(8)), "negative, huge or no number"),
        (array((2**20, 2**20), bytes(8)), "expected 4398046511104"),
        (array((2,), bytes(4)), r"4 bytes for an array \(2,\) of float32, expected 8"),
        (array((1,), bytes(8), "O8"), "object array"),
        (array((1,), bytes(8), "U2"), "text, structures"),
        (array((1,), bytes(8), "c8"), "text, structures"),
        (array((1,), bytes(4)).replace(b"R(K\x01(", b"R(K\x16("), "without shape, dtype and bytes"),
        (array((1,), bytes(4)).replace(b"<NNN", b"<N}N"), "structures or objects"),
        (b"j\x07\x00\x00\x00", "not found"),
        (b"}(K\x01u", "odd number of items"),
        (b"}(]K\x02u", "unhashable"),
        (b"\x95\xff\0\0\0\0\0\0\0}", "truncated|exhausted"),  # a frame beyond the end
        (b"K\x01Q", "values outside it"),
        (b"u", "MARK"),
        (b"", "underflow|empty|exhausted"),
    ],
)
def test_what_is_damaged_is_refused(data, message):
    with pytest.raises((WeightsError, pickle.UnpicklingError, TypeError), match=message):
        read(whole(data)).array()
