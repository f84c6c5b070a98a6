"""Plain data through real JSON text: nothing is lost, and nothing else gets in."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.plain import decode, encode


def through(value):
    return decode(msgspec.json.decode(msgspec.json.encode(encode(value))))


def same(a, b):
    """Equal in type, structure and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return math.isnan(a) and math.isnan(b) if a != a else (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


DTYPES = [
    "?",
    "i1",
    "u2",
    "<i8",
    ">i8",
    "u8",
    "f2",
    "f4",
    "<f8",
    ">f8",
    "g",
    "c8",
    "c16",
    "U3",
    "S4",
    "M8[ns]",
    "m8[s]",
]


@st.composite
def arrays(draw):
    shape = draw(st.sampled_from([(), (0,), (3,), (2, 0), (2, 3), (1, 2, 2)]))
    numbers = np.arange(math.prod(shape)).reshape(shape)
    array = numbers.astype(draw(st.sampled_from(DTYPES)))
    if array.dtype.kind == "f" and array.size:
        array.flat[0] = draw(st.sampled_from([math.nan, math.inf, -0.0]))
    return np.asfortranarray(array) if draw(st.booleans()) else array


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["~", 2**53, 2**53 + 1, -(2**64), -0.0, math.nan, 5e-324])
    | st.binary(max_size=6)
    | st.sampled_from([np.float64(math.nan), np.float32(1.5), np.int64(-3), np.bool_(True), np.uint64(2**64 - 1)])
    | arrays()
)
names = st.sampled_from(["a", "b", "~", "", "~~", "é"])
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(plain)
def test_nothing_is_lost_in_json(value):
    assert same(through(value), value)
    assert same(decode(json.loads(json.dumps(encode(value), allow_nan=False))), value)


@pytest.mark.parametrize(
    "bits", [np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64, np.random.MT19937]
)
def test_generators_continue_as_they_would_have(bits):
    rng = np.random.Generator(bits(5))
    rng.random(7)
    rng.integers(0, 10, 3, dtype=np.int32)  # leaves half a word behind
    twin = through(rng)
    for left, right in ((rng, twin), (rng, through({"a": [rng]})["a"][0])):
        state = left.bit_generator.state
        assert np.array_equal(left.random(20), right.random(20))
        assert left.integers(0, 10, 5, dtype=np.int32).tolist() == right.integers(0, 10, 5, dtype=np.int32).tolist()
        left.bit_generator.state = state


def test_integers_stay_exact_in_readers_that_know_only_floats():
    assert encode(2**53) == 2**53 and encode(2**53 + 1) == {"~": ["int", str(2**53 + 1)]}


def test_arrays_come_back_writable():
    array = through(np.arange(3.0))
    array[0] = 5
    assert array.tolist() == [5.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 2}, "dicts in plain data have string keys, got 1; use a list of pairs"),
        ({"a": [object()]}, "got object; keep such objects out of the state"),
        ({1, 2}, "got set"),
        (len, "got builtin_function_or_method"),
        (1j, "got complex"),
        (np.array([None, "a"]), "arrays of Python objects are not plain data; use lists"),
        (np.zeros(2, dtype=[("a", "f8")]), "arrays with fields are not plain data"),
    ],
)
def test_what_is_not_plain_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        encode(value)


def test_what_was_not_written_here_is_refused():
    with pytest.raises(ValueError, match="unknown kind 'set' of plain data; was it written by a newer version"):
        decode({"~": ["set", [1]]})
    evil = encode(np.random.default_rng(0))
    evil["~"][1]["bit_generator"] = "os.system"
    with pytest.raises(ValueError, match=r"unknown bit generator 'os\.system'"):
        decode(evil)
