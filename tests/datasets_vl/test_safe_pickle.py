from __future__ import annotations

import base64
import collections
import io
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_vl.safe_pickle import ForbiddenGlobalError, load_npy, load_pickle

ITEM = {
    "image_id": "COCO_1",
    "num_boxes": 2,
    "boxes": np.arange(8, dtype=np.float32).reshape(2, 4),
    "features": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "objects_id": np.array([3, -1], dtype=">i8"),
    "names": np.array(["cat", "dog"]),
    "flags": np.array([True, False]),
    "scale": np.float32(1.5),
    "encoded": base64.b64encode(b"\x00\xffabc"),
    "text": base64.b64encode(b"\x00\xffabc").decode(),
    "none": None,
    "nested": {"rows": [(1, 2.5), [np.zeros(3, np.float16)]], "empty": b""},
}


PLAIN = {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict}
PLAIN |= {collections.OrderedDict, np.ndarray}


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    else:
        assert found == expected


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_feature_files_hold_is_read(protocol: int) -> None:
    assert_same(load_pickle(pickle.dumps(ITEM, protocol)), ITEM)
    assert_same(load_pickle(pickle.dumps(collections.OrderedDict(ITEM), protocol)), ITEM)


@pytest.mark.parametrize(("there", "here"), [("numpy.core", "numpy._core"), ("numpy._core", "numpy.core")])
def test_arrays_of_both_numpy_generations_are_read(there: str, here: str) -> None:
    """Protocol 0 spells module names out, so the pickle of the other numpy can be made from this one's."""
    data = pickle.dumps(ITEM["boxes"], 0)
    assert b"numpy.core." in data or b"numpy._core." in data
    assert_same(load_pickle(data.replace(here.encode() + b".", there.encode() + b".")), ITEM["boxes"])


def test_pickles_of_python_2_are_read() -> None:
    """`cPickle.dumps({'id': '7', 'x': np.array([1, 255], 'u1'), 's': np.float32(2)}, 2)`, as Python 2.7 wrote it."""
    data = (
        b"\x80\x02}q\x01(U\x02idq\x02U\x017U\x01xq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05"
        b"K\x00\x85U\x01b\x87Rq\x06(K\x01K\x02\x85cnumpy\ndtype\nq\x07U\x02u1K\x00K\x01\x87Rq\x08(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xfftbU\x01sq\x09cnumpy.core.multiarray\nscalar\nq\x0a"
        b"h\x07U\x02f4K\x00K\x01\x87Rq\x0b(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x04\x00\x00\x00@"
        b"\x86Ru."
    )
    assert_same(load_pickle(data), {"id": "7", "x": np.array([1, 255], np.uint8), "s": np.float32(2)})


class Touch:
    """A pickle of this runs a command where pickles are trusted."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def test_byte_strings_of_python_2_need_not_be_ascii() -> None:
    assert load_pickle(b"(lS'caf\\xc3\\xa9'\na.") == ["caf\u00c3\u00a9"]
    assert load_pickle(b"U\x05caf\xc3\xa9.") == "caf\u00c3\u00a9"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"boxes": x}, lambda x: [np.array([x], dtype=object)]])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, protocol: int, wrap: Any) -> None:
    trace = tmp_path / "trace"
    data = pickle.dumps(wrap(Touch(os.system, f"touch {trace}")), protocol)
    with pytest.raises(ForbiddenGlobalError, match=r"the pickle asks for (posix|nt)\.system; only numpy arrays"):
        load_pickle(data)
    assert not trace.exists()
    pickle.loads(data)  # the pickle does bite where nobody restrains it
    assert trace.exists()


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("1",), "builtins.eval"),
        (getattr, ("", "join"), "builtins.getattr"),
        (subprocess.check_output, (["true"],), "subprocess.check_output"),
        (np.load, ("x.npy",), "numpy.*load"),
        (bytearray, (3,), "builtins.bytearray"),
        (np.float32, (3,), "numpy.float32"),
    ],
)
def test_everything_else_is_refused_by_name(function: Any, arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises(ForbiddenGlobalError, match=f"the pickle asks for {name}"):
        load_pickle(pickle.dumps(Touch(function, *arguments), 4))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"c_codecs\nencode\n(VYWJj\nVbase64\ntR.", "encodes text as 'base64'"),
        (b"cnumpy\ndtype\n(VM8\ntR.", "an array of type 'M8'"),
        (b"cnumpy\ndtype\n(VV16\ntR.", "an array of type 'V16'"),
        (b"cnumpy\ndtype\n(Vf4\nI0\nI1\ntR(I3\nV<\nN(Va\nt}I4\nI4\nI0\ntb.", "an array of records"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\ntRVabcdefgh\ntR.", "objects given as bytes"),
        (b"cbuiltins\nbytes\n(N}V_function\nN\nstb.", "the pickle"),
        (b"cnumpy\nndarray\n(I8\ntR.", "the pickle is broken: TypeError"),
        (b"cbuiltins\nbytes\n(I1000000000\ntR.", "the pickle is broken: TypeError"),
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "it numbers value 2 as 2147483647"),
        (
            b"\x80\x05\x96\xff\xff\xff\xff\x0f\x00\x00\x00abc.",
            "expected 68719476735 bytes in a bytearray8",
        ),
        (b"", "the pickle is broken: ValueError"),
        (b"cbuiltins\nbytes\n.", "leaves a function or a type where data should stand"),
        (b"(lp0\ncnumpy\ndtype\n(Vf4\ntRa.", "leaves a function or a type where data should stand"),
        (b"(dp0\n(cbuiltins\nbytes\ntI1\ns.", "leaves a function or a type where data should stand"),
    ],
)
def test_crafted_pickles_do_no_harm(data: bytes, reason: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=reason):
        load_pickle(data)


def test_shared_and_circular_values_stay_so() -> None:
    circle: list[Any] = [ITEM["boxes"]]
    circle += [circle, circle[0]]
    found = load_pickle(pickle.dumps(circle))
    assert found[1] is found
    assert found[2] is found[0]


def test_values_shared_many_times_are_visited_once() -> None:
    value: list[Any] = [np.zeros(1)]
    for _ in range(60):
        value = [value, value]
    found = load_pickle(pickle.dumps(value))
    for _ in range(60):
        found = found[1]
    np.testing.assert_array_equal(found[0], np.zeros(1))


def test_state_cannot_be_smuggled_into_what_the_next_pickle_calls() -> None:
    for attack in (
        b"c_codecs\nencode\n(N}V_function\ncollections\nOrderedDict\nstb.".replace(b"\ncoll", b"\nccoll"),
        b"c_codecs\nencode\n}V_function\nNsb.",
        b"ccollections\nOrderedDict\n(N}V__call__\nNstb.",
    ):
        with pytest.raises(pickle.UnpicklingError):
            load_pickle(attack)
        assert_same(load_pickle(pickle.dumps(ITEM, 2)), ITEM)


@settings(max_examples=150, deadline=None)
@given(
    protocol=st.integers(0, 5),
    place=st.floats(0, 1, exclude_max=True),
    change=st.one_of(st.none(), st.binary(min_size=1, max_size=3)),
)
def test_a_broken_pickle_is_an_error_or_plain_data(protocol: int, place: float, change: bytes | None) -> None:
    data = pickle.dumps(ITEM, protocol)
    at = int(place * len(data))
    if change is None:
        with pytest.raises(pickle.UnpicklingError):
            load_pickle(data[:at])
        return
    try:
        found = load_pickle(data[:at] + change + data[at + len(change) :])
    except pickle.UnpicklingError:
        return
    assert_plain(found, set())


def assert_plain(value: Any, seen: set[int]) -> None:
    """A changed byte may give other data, but data it is: nothing that can be called, no array of live objects."""
    if id(value) in seen:
        return
    seen.add(id(value))
    assert type(value) in PLAIN or (isinstance(value, np.generic) and value.dtype.kind in "biufcSU"), type(value)
    if isinstance(value, np.ndarray):
        assert value.dtype.kind in "biufcSUO"
        parts = value.flat if value.dtype.kind == "O" else ()
    elif isinstance(value, dict):
        parts = (*value.keys(), *value.values())
    else:
        parts = value if isinstance(value, (list, tuple, set, frozenset)) else ()
    for part in parts:
        assert_plain(part, seen)


def saved(value: Any, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    np.save(file, value, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "array", [ITEM["boxes"], ITEM["features"], ITEM["objects_id"], np.float16(3), np.zeros((0, 4)), np.array("cat")]
)
def test_plain_npy_files_are_read(array: np.ndarray) -> None:
    np.testing.assert_array_equal(load_npy(saved(array)), array, strict=True)


def test_npy_files_of_objects_are_read() -> None:
    assert_same(load_npy(saved(ITEM, allow_pickle=True)), ITEM)
    ragged = np.array([[1], [2, 3]], dtype=object)
    assert load_npy(saved(ragged, allow_pickle=True)).tolist() == [[1], [2, 3]]


def test_a_malicious_npy_file_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(ForbiddenGlobalError, match=r"system; only numpy arrays"):
        load_npy(saved(np.array([Touch(os.system, f"touch {trace}")], dtype=object), allow_pickle=True))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOF"),
        (b"not an npy file", "magic string"),
        (saved(ITEM["boxes"]).getvalue()[:-1], "the array has 31 bytes, expected 32: cut off"),
        (saved(ITEM["boxes"]).getvalue().replace(b"(2, 4)", b"(9**9"), "(?i)header"),
        (saved(ITEM["boxes"]).getvalue().replace(b"\x93NUMPY\x01", b"\x93NUMPY\x07"), "version"),
    ],
)
def test_a_broken_npy_file_is_a_value_error(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_npy(io.BytesIO(content))
