"""Plain data: what may be in a strategy's state, and its JSON form.

Allowed are None, bool, int (of any size), float (NaN and infinities included), str, bytes, NumPy scalars, arrays and
generators, and dict (string keys), list, tuple of those. `encode` turns them into JSON-able data without losing a bit;
`decode` turns that back. No pickle: a store never runs code.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

_TAG = "~"  # a dict with this single key is an encoded special value
_SAFE = 2**53


def encode(value: Any) -> Any:
    """JSON-able form of plain `value`.

    Raises:
        TypeError: something in it is not plain data; the message names its type.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is dict:
        return _encode_dict(value)
    if kind is list:
        if set(map(type, value)) == {int} and min(value) >= -_SAFE and max(value) <= _SAFE:
            return value.copy()  # numbers of trials: without a call for each
        return [encode(item) for item in value]
    if isinstance(value, str):
        return value
    if isinstance(value, np.generic):
        return _encode_array(np.asarray(value), "scalar")
    if isinstance(value, int):
        return value if -_SAFE <= value <= _SAFE else {_TAG: ["int", str(value)]}
    if isinstance(value, float):
        return value if value - value == 0 else {_TAG: ["float", repr(value)]}
    if isinstance(value, bytes):
        return {_TAG: ["bytes", base64.b64encode(value).decode()]}
    if isinstance(value, np.ndarray):
        return _encode_array(value, "array")
    if isinstance(value, np.random.Generator):
        return {_TAG: ["generator", encode(dict(value.bit_generator.state))]}
    if isinstance(value, tuple):
        return {_TAG: ["tuple", [encode(item) for item in value]]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return _encode_dict(value)
    raise TypeError(
        f"plain data (None, bool, numbers, str, bytes, arrays, generators, dict, list, tuple) expected, "
        f"got {type(value).__name__}; keep such objects out of the state"
    )


def _encode_array(array: np.ndarray[Any, Any], kind: str) -> Any:
    if array.dtype.hasobject:
        raise TypeError("arrays of Python objects are not plain data; use lists")
    if array.dtype.names is not None:
        raise TypeError("arrays with fields are not plain data; use one array per field")
    raw = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {_TAG: [kind, array.dtype.str, list(array.shape), raw]}


def _encode_dict(value: dict[Any, Any]) -> Any:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"dicts in plain data have string keys, got {key!r}; use a list of pairs")
    body = {key: encode(item) for key, item in value.items()}
    return {_TAG: ["dict", body]} if _TAG in value else body


def decode(value: Any) -> Any:
    """The plain data that `encode` was given (arrays come back writable, generators in the same state)."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {_TAG}:
        return {key: decode(item) for key, item in value.items()}
    kind, *body = value[_TAG]
    if kind == "int":
        return int(body[0])
    if kind == "float":
        return float(body[0])
    if kind == "bytes":
        return base64.b64decode(body[0])
    if kind in ("array", "scalar"):
        array = np.ndarray(body[1], np.dtype(body[0]), base64.b64decode(body[2])).copy()
        return array if kind == "array" else array[()]
    if kind == "generator":
        state = decode(body[0])
        name = str(state["bit_generator"])
        if name not in ("PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"):
            raise ValueError(f"unknown bit generator {name!r} in stored state")
        bits = getattr(np.random, name)()
        bits.state = state
        return np.random.Generator(bits)
    if kind == "tuple":
        return tuple(decode(item) for item in body[0])
    if kind == "dict":
        return {key: decode(item) for key, item in body[0].items()}
    raise ValueError(f"unknown kind {kind!r} of plain data; was it written by a newer version?")
