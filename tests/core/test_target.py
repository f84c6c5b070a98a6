"""Reading what an objective gives: every sort of number, named results, and clear refusals of the rest."""

import asyncio
import functools
import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from thalweg.core.errors import ObjectiveError
from thalweg.core.problem import Problem, constraints_of, objectives_of
from thalweg.core.space import Space
from thalweg.core.target import Target


def target(objectives=None, constraints=None, function=lambda p: 0.0):
    return Target(function, Problem(Space({"x": (0.0, 1)}), objectives_of(objectives), constraints_of(constraints)))


ONE = [
    2.0, 2, np.float64(2), np.float32(2), np.int8(2), np.uint64(2), np.array(2.0), np.array([2.0]), np.array([[2]]),
    [2], (2.0,), Fraction(2), Decimal("2"), {"value": 2}, {"loss": 2.0}, {"value": np.float32(2), "more": "text"},
]  # fmt: skip


@pytest.mark.parametrize("raw", ONE, ids=repr)
def test_one_number(raw):
    reading = target().read(raw)
    assert reading.values == (2.0,) and all(type(item) is float for item in reading.values)
    assert target({"value": "maximize"}).read(raw).values == (-2.0,)
    assert reading.violation == 0.0


@pytest.mark.parametrize(("raw", "value"), [(True, 1.0), (False, 0.0), (np.True_, 1.0)])
def test_truth_values_are_numbers(raw, value):
    assert target().read(raw).values == (value,)


@pytest.mark.parametrize(
    "raw", [(1, 2), [1, 2.0], np.array([1, 2]), {"a": 1, "b": 2}, {"b": 2, "a": 1, "note": "x"}], ids=repr
)
def test_several_numbers(raw):
    assert target({"a": "minimize", "b": "maximize"}).read(raw).values == (1.0, -2.0)


BAD = [
    (None, r"the objective gave None; a number is expected: is a return missing\?"),
    ("1.5", r"the objective gave '1.5' \(str\); a number is expected"),
    (b"1", r"gave b'1' \(bytes\); a number is expected"),
    (1j, r"\(complex\); a number is expected"),
    (np.complex64(1), r"\(complex64\); a number is expected"),
    (np.complex128(1), r"\(complex128\); a number is expected"),
    ({1, 2}, r"\(set\); a number is expected"),
    (object(), r"\(object\); a number is expected"),
    (len, "a number is expected"),
    (math.nan, "the objective gave nan; a finite number is expected"),
    (math.inf, "the objective gave inf; a finite number is expected"),
    (np.float64("-inf"), "the objective gave value = -inf; a finite number is expected"),
    (Decimal("NaN"), "the objective gave value = nan; a finite number is expected"),
    (Decimal("sNaN"), "the objective gave Decimal, not a number"),
    (10**400, "the objective gave a number too large for a float"),
    (Fraction(10**400), "the objective gave a number too large for a float"),
    ((1, 2), r"the objective gave 2 values, the problem has 1 objective\(s\); declare objectives=2 \(or names\)"),
    ([], r"the objective gave 0 values, the problem has 1 objective\(s\)"),
    (np.zeros((2, 2)), r"the objective gave an array of shape \(2, 2\); expected 1 number\(s\)"),
    (np.array(["a"]), r"\(str_\); a number is expected"),
    ((None,), "the objective gave None"),
    ([[1.0]], r"\[1.0\] \(list\); a number is expected"),
    ({"value": None}, "the objective gave value = None"),
    ({"value": "a"}, r"the objective gave value = 'a' \(str\); a number is expected"),
    ({"value": math.nan}, "the objective gave value = nan; a finite number is expected"),
    ({"loss": 1, "time": 2}, r"named values \['loss', 'time'\] without \['value'\]; declare objectives="),
    ({}, r"named values \[\] without \['value'\]"),
]


@pytest.mark.parametrize(("raw", "message"), BAD, ids=[repr(raw)[:30] for raw, _ in BAD])
def test_what_is_no_value(raw, message):
    with pytest.raises(ObjectiveError, match=message):
        target().read(raw)


def test_wrong_counts_of_several():
    for raw in (1.0, (1, 2, 3), np.zeros(3)):
        with pytest.raises(ObjectiveError, match=r"the problem has 2 objective\(s\)"):
            target(2).read(raw)
    with pytest.raises(ObjectiveError, match=r"without \['b'\]"):
        target(["a", "b"]).read({"a": 1})


def test_components_are_kept_and_json_able():
    raw = {
        "value": 1,
        "f": np.float64(0.5),
        "i": np.int32(3),
        "b": np.True_,
        "a": np.arange(2),
        "d": Decimal("0.25"),
        "n": None,
    }
    raw |= {"t": (1, np.float32(2)), "m": {1: np.int8(1)}, "o": object, "c": 1j, "z": np.complex64(1)}
    components = target().read(raw).components
    assert components["value"] == 1 and components["f"] == 0.5 and components["i"] == 3 and components["b"] is True
    assert (
        components["a"] == [0, 1]
        and components["d"] == 0.25
        and components["t"] == [1, 2.0]
        and components["m"] == {"1": 1}
    )
    assert msgspec.json.decode(msgspec.json.encode(components)).keys() == raw.keys()
    assert target().read(1.0).components is None


def test_constraints_are_measured_on_named_results_in_the_users_sign():
    measured = target({"score": "maximize"}, ["latency <= 100", "score >= 0.5"])
    reading = measured.read({"score": 0.75, "latency": np.float32(90)})
    assert reading.values == (-0.75,) and reading.violation == 0.0
    assert measured.read({"score": 0.25, "latency": 110}).violation == 10.25
    assert measured.read({"score": 0.75, "latency": math.nan}).violation == math.inf
    assert target(None, "value <= 3").read(5.0).violation == 2.0
    with pytest.raises(
        ObjectiveError, match=r"a constraint cannot be measured: .*'latency', which is not known.*named result"
    ):
        measured.read(0.75)
    with pytest.raises(
        ObjectiveError, match=r"a constraint cannot be measured: .*a number is expected, but latency is 'slow'"
    ):
        measured.read({"score": 1, "latency": "slow"})


def test_functions_are_told_apart_by_their_signature():
    async def coroutine(params): ...

    class Callable:
        def __call__(self, params, context): ...

    class Awaitable:
        async def __call__(self, params): ...

    def wants(function):
        return target(function=function).wants_context

    def asynchronous(function):
        return target(function=function).asynchronous

    assert wants(lambda p, c: 0) and wants(Callable()) and wants(lambda p, context=None: 0)
    assert (
        not wants(lambda p: 0) and not wants(lambda p, scale=2: 0) and not wants(lambda p, *more: 0) and not wants(max)
    )
    assert not wants(functools.partial(lambda a, p: 0, 1))
    assert asynchronous(coroutine) and asynchronous(Awaitable()) and asynchronous(functools.partial(coroutine))
    assert not asynchronous(lambda p: 0) and not asynchronous(Callable())
    assert asyncio.iscoroutinefunction(coroutine)


def test_only_what_can_be_called_is_an_objective():
    with pytest.raises(ObjectiveError, match="objective: expected a function or a Command, got int 5"):
        target(function=5)


def test_arguments_and_names():
    made = target(function=math.sin)
    assert made.name == "sin"
    assert made.arguments(np.array([[0.25]]), None) == [{"x": 0.25}]
