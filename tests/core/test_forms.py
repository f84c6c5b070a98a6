"""Every way to write a space, and what is said about those that are none."""

import dataclasses
import enum
from typing import Annotated, Literal

import numpy as np
import pytest

from thalweg.core.choices import Boolean, Choice, Fixed
from thalweg.core.errors import SpaceError
from thalweg.core.forms import parameter_of_spec
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space


def kinds(space):
    return [type(item).__name__ for item in space.parameters.values()]


def test_short_forms():
    space = Space(
        {
            "real": (0.0, 1), "whole": (1, 9), "options": ["a", None], "few": {3, 1}, "fixed": 2.5, "nothing": None,
            "text": "abc", "yes": True, "np": np.float64(2), "flag": Boolean(), "mixed": frozenset([1, "a", None]),
        }
    )  # fmt: skip
    assert kinds(space) == [
        "Float", "Integer", "Choice", "Choice", "Fixed", "Fixed", "Fixed", "Fixed", "Fixed", "Boolean", "Choice",
    ]  # fmt: skip
    assert space.parameters["few"].options == [1, 3]
    assert space.parameters["mixed"].options == [None, 1, "a"]
    assert type(space.parameters["np"].value) is float


def test_a_dict_of_seven_bounds():
    bounds = {
        "memory_size": (10, 100), "lstm_learning_rate": (1e-5, 1e-1), "lstm_gradient_clip": (0.1, 5.0),
        "hidden": (32, 256),         "epochs": (1, 20), "update_limit": (500, 10_000), "dropout": (0.0, 0.5),
    }  # fmt: skip
    space = Space(bounds)
    assert [space.parameters[n].low for n in bounds] == [low for low, _ in bounds.values()]
    params = space.to_params(space.decode(space.sample(50, np.random.default_rng(0))))
    assert all(type(item[name]) is type(bounds[name][0]) for item in params for name in bounds)


@pytest.mark.parametrize(
    "given_",
    [
        [(-5, 5), (0, 2.5)],
        ((-5, 5), (0, 2.5)),
        [[-5, 5], [0, 2.5]],
        np.array([[-5, 5], [0, 2.5]]),
        [np.array([-5, 5]), np.array([0, 2.5])],
    ],
)
def test_bounds(given_):
    space = Space(given_)
    assert space.kind == "array" and space.names == ("x0", "x1") and kinds(space) == ["Float", "Float"]
    assert [(p.low, p.high) for p in space.parameters.values()] == [(-5.0, 5.0), (0.0, 2.5)]


def test_scipy_bounds():
    from scipy.optimize import Bounds

    space = Space(Bounds([0, -1], [1, 2]))
    assert [(p.low, p.high) for p in space.parameters.values()] == [(0.0, 1.0), (-1.0, 2.0)]
    assert Space(Bounds(0, [1, 2, 3])).dimension == 3
    assert Space(Bounds([0.5], [1])).dimension == 1


def test_names_sort_as_numbers_do():
    names = Space([(0, 1)] * 12).names
    assert names[0] == "x00" and names[11] == "x11" and list(names) == sorted(names)


def test_tables():
    space = Space([("a", 0, 1), ("b", 0.5, 2)])
    assert space.kind == "dict" and kinds(space) == ["Integer", "Float"] and space.names == ("a", "b")


class Kind(enum.Enum):
    A = 1
    B = 2


@dataclasses.dataclass
class Settings:
    rate: Annotated[float, "a note", Float(0, 1)]
    kind: Kind
    flag: bool
    mode: Literal["x", 1, None]
    given: int = Integer(1, 5)
    constant: str = "c"
    derived: float = dataclasses.field(init=False, default=0.0)


def test_dataclasses():
    space = Space(Settings)
    assert kinds(space) == ["Float", "Choice", "Boolean", "Choice", "Integer", "Fixed"]
    assert space.parameters["mode"].options == ["x", 1, None]
    made = space.to_params(space.decode(space.sample(1, np.random.default_rng(0))))[0]
    assert isinstance(made, Settings) and made.constant == "c" and made.derived == 0.0 and isinstance(made.kind, Kind)


@dataclasses.dataclass
class Empty:
    pass


@dataclasses.dataclass
class Bare:
    x: float


@dataclasses.dataclass
class BadDefault:
    x: Annotated[int, Integer(1, 5)] = 9


@dataclasses.dataclass
class Unreadable:
    x: "Missing"  # noqa: F821


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "an empty space has nothing to search; a space is a dict"),
        ([], r"\[\] is not a space; a space is a dict"),
        (None, "None is not a space"),
        ("abc", "'abc' is not a space"),
        (5, "5 is not a space"),
        ({1: (0, 1)}, "parameter names are non-empty strings, got 1"),
        ({"": (0, 1)}, "parameter names are non-empty strings, got ''"),
        ({"a": (1, 0)}, "parameter 'a': Integer: low must not exceed high, got low=1, high=0; are they swapped"),
        ({"a": (0.0, float("nan"))}, "parameter 'a': Float high: a finite number is expected, got nan"),
        ({"a": Float}, r"parameter 'a': Float is a class; write Float\(...\)"),
        ({"a": (0, 1, 2)}, r"parameter 'a': expected a parameter such as Float\(0, 1\), a \(low, high\) pair"),
        ({"a": range(3)}, "parameter 'a': expected a parameter such as"),
        ({"a": []}, "parameter 'a': Choice: at least one option is expected"),
        ({"a": [1, 1]}, "parameter 'a': Choice: options must differ"),
        ([(0, 1), (3, 2)], r"bounds row 1 \(3, 2\): Float: low must not exceed high"),
        ([(0, 1), (0, float("inf"))], r"bounds row 1 \(0, inf\): Float high: a finite number is expected"),
        ([(0, 1), (-1.7e308, 1.7e308)], r"bounds row 1 .*: Float: high - low is too large"),
        ([(0, 1), (0, 1, 2)], r"rows of \[2, 3\] entries are not a space"),
        ([1, 2], r"one point or one pair of bounds, not a space"),
        ([("a", 0, 1), ("a", 0, 1)], r"parameter names must differ, \['a'\] come twice"),
        (Empty, "Empty has no fields"),
        (Bare, r"field 'x' of Bare has no parameter; write x: Annotated\[float, Float\(low, high\)\]"),
        (BadDefault, r"parameter 'x': default: 9 is outside \[1, 5\]"),
        (Unreadable, r"Unreadable: an annotation cannot be read \(name 'Missing' is not defined\)"),
    ],
)
def test_what_is_not_a_space(given_, message):
    with pytest.raises(SpaceError, match=message):
        Space(given_)


def test_stored_parameters_from_newer_versions():
    assert parameter_of_spec("a", {"type": "Float", "low": 0, "high": 1}).spec() == Float(0, 1).spec()
    with pytest.raises(
        SpaceError, match=r"stored parameter 'a' has the unknown type 'Angle'; was it written by a newer"
    ):
        parameter_of_spec("a", {"type": "Angle"})
    with pytest.raises(
        SpaceError, match=r"stored parameter 'a' cannot be read \(.*'wrap'.*\); was it written by a newer"
    ):
        parameter_of_spec("a", {"type": "Float", "low": 0, "high": 1, "wrap": True})


@pytest.mark.parametrize(
    "parameter",
    [
        Float(0, 1, log=False, step=0.25), Float(1e-3, 1, digits=2, log=True, size=3), Integer(1, 9, step=2, when="b"),
        Choice([1, True, None, "x"], ordered=True), Boolean(), Fixed(None), Fixed("x"),
    ],
)  # fmt: skip
def test_specs_go_round(parameter):
    assert parameter_of_spec("p", parameter.spec()).spec() == parameter.spec()
