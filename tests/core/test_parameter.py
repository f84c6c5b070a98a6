"""Numbers: grids without drift, log scales, vectors, edges, and what the errors say."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import SpaceError
from thalweg.core.parameter import CONTINUOUS, ORDERED, Float, Integer


def every(parameter):
    """All values of a finite parameter, in order."""
    return parameter.values(parameter.cells(np.arange(parameter.count)))


def drawn(parameter, n, seed=0):
    points = np.random.default_rng(seed).random((n, parameter.width))
    return parameter.values(parameter.from_unit(points))


def test_steps_are_exact_decimals():
    values = every(Float(0.1, 10.0, step=0.1))
    assert [repr(x) for x in values] == [repr(k / 10) for k in range(1, 101)]
    assert set(drawn(Float(0.1, 10.0, step=0.1), 20_000)) == set(values)


def test_integer_steps_start_at_low():
    assert set(drawn(Integer(1, 1000, step=10), 5000)) == set(range(1, 1001, 10))


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (Float(0, 1, step=0.3), [0.0, 0.3, 0.6, 0.9]),
        (Float(0, 1, step=1 / 3), [0.0, 0.3333333333333333, 0.6666666666666666, 1.0]),
        (Float(0.1 + 0.2, 1, step=0.1), [0.1 + 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (Float(0, 3e-20, step=1e-20), [0.0, 1e-20, 2e-20, 3e-20]),
        (Float(0, 3e-30, step=1e-30), [0.0, 1e-30, 2e-30, 3e-30]),
        (Float(-1, 1, step=1), [-1.0, 0.0, 1.0]),
        (Float(2, 2, step=1), [2.0]),
        (Float(1e-6, 0.250001, step=0.25), [1e-6, 0.250001]),
        (Float(32768, 32768.001, step=0.001), [32768.0, 32768.001]),
        (Float(-0.14, 0.26, precision=1), [-0.1, 0.0, 0.1, 0.2]),
        (Float(0.10000000001, 0.35, precision=1), [0.2, 0.3]),
        (Float(-1.5, 1.5, precision=0), [-1.0, 0.0, 1.0]),
        (Float(0.98, 1.15, digits=2), [0.98, 0.99, 1.0, 1.1]),
        (Float(1.00000000001, 1.35, digits=2), [1.1, 1.2, 1.3]),
        (Float(8e-6, 2.5e-5, digits=1), [8e-6, 9e-6, 1e-5, 2e-5]),
        (Float(8e-31, 2e-30, digits=1), [8e-31, 9e-31, 1e-30, 2e-30]),
        (Float(8e29, 2e30, digits=1), [8e29, 9e29, 1e30, 2e30]),
        (Integer(3, 3), [3]),
        (Integer(2, 9, step=3), [2, 5, 8]),
        (Integer(1, 4, log=True), [1, 2, 3, 4]),
        (Float(5, 5), [5.0]),
        (Float(5, 5, log=True), [5.0]),
    ],
)
def test_the_values_of_a_grid(parameter, values):
    got = every(parameter)
    assert list(map(repr, got)) == list(map(repr, values))
    assert parameter.levels == len(values)
    assert set(drawn(parameter, 500)) <= set(values)
    ends = parameter.values(parameter.from_unit(np.array([[0.0], [1.0]])))
    assert ends == [values[0], values[-1]]
    assert [parameter.code(x)[0] for x in values] == [float(x) for x in values]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 15), st.floats(1e-12, 1e12), st.floats(1.0, 1e4))
def test_significant_digits_print_short_and_lie_inside(digits, low, ratio):
    try:
        parameter = Float(low, low * ratio, digits=digits)
    except SpaceError:
        assert ratio < 10 or digits == 15, "a whole decade holds such numbers; 15 digits are too many in two"
        return
    for value in drawn(parameter, 30):
        assert low <= value <= low * ratio
        text = f"{Decimal(repr(value)).normalize():e}".partition("e")[0].replace(".", "")
        assert len(text) <= digits
        assert parameter.code(value) == (value,)


def test_digits_do_not_bend_a_linear_scale():
    values = np.array(drawn(Float(1e-3, 1000, digits=3), 4000))
    assert abs((values > 500).mean() - 0.5) < 0.05
    logs = np.array(drawn(Float(1e-3, 1000, digits=3, log=True), 4000))
    assert abs((logs > 1).mean() - 0.5) < 0.05


def test_log_integers_are_log_uniform_and_cover():
    values = np.array(drawn(Integer(500, 10_000, log=True), 5000))
    assert len(set(values.tolist())) > 1000
    assert values.min() >= 500 and values.max() <= 10_000
    from scipy.stats import chisquare

    edges = np.exp(np.linspace(math.log(499.5), math.log(10_000.5), 21))
    borders = np.floor(edges + 0.5)  # cells are whole integers: [k - .5, k + .5]
    expected = np.diff(np.log(borders - 0.5))
    counts, _ = np.histogram(values, borders)
    assert counts.sum() >= 4990
    assert chisquare(counts, expected / expected.sum() * counts.sum()).pvalue > 1e-3


def test_small_log_integers_share_the_column_by_the_logs_of_their_cells():
    values = drawn(Integer(1, 8, log=True), 20_000)
    for k in range(1, 9):
        share = math.log((k + 0.5) / (k - 0.5)) / math.log(8.5 / 0.5)
        assert abs(values.count(k) / 20_000 - share) < 0.015


def test_log_floats_reach_their_ends():
    rng = np.random.default_rng(0)
    for low, ratio in zip(10.0 ** rng.uniform(-30, 30, 300), 10.0 ** rng.uniform(0, 5, 300), strict=True):
        parameter = Float(low, low * ratio, log=True)
        assert parameter.values(parameter.from_unit(np.array([[0.0], [1.0]]))) == [low, low * ratio]


@pytest.mark.parametrize(
    "parameter", [Integer(0, 2**50 - 1), Integer(-(2**53) + 1, 2**53 - 1, step=16), Integer(2**52, 2**52 + 9)]
)
def test_huge_integers_are_told_apart(parameter):
    points = np.random.default_rng(0).random((2000, 1))
    reals = parameter.from_unit(points)
    assert np.array_equal(parameter.from_unit(parameter.to_unit(reals)), reals)
    low, high = int(parameter.low), int(parameter.low) + (parameter.count - 1) * parameter.step
    assert parameter.values(parameter.from_unit(np.array([[0.0], [1.0]]))) == [low, high]
    assert parameter.code(high) == (float(high),)


def test_log_integers_up_to_the_limit_are_told_apart():
    parameter = Integer(1, 2**44, log=True)
    reals = parameter.from_unit(np.random.default_rng(0).random((5000, 1)))
    assert np.array_equal(parameter.from_unit(parameter.to_unit(reals)), reals)


@pytest.mark.parametrize("kind", [Float, Integer])
def test_vectors(kind):
    one, three = kind(0, 9, size=1), kind(0, 9, size=3)
    assert (one.width, three.width, one.scalar, kind(0, 9).scalar) == (1, 3, False, True)
    assert [len(item) for item in drawn(one, 2) + drawn(three, 2)] == [1, 1, 3, 3]
    assert list(three.code(np.array([1, 2, 3]))) == [1.0, 2.0, 3.0]
    for bad in ([1, 2], 5, "123", None):
        with pytest.raises(SpaceError, match="a sequence of 3 numbers is expected, got"):
            three.code(bad)
    assert three.column(three.from_unit(np.random.default_rng(0).random((4, 3)))).shape == (4, 3)


def test_counts():
    assert Integer(1, 3, size=4).count == 81
    assert Integer(1, 3, size=100).count == 3**100
    assert Float(0, 1).count is None
    assert Float(0, 1, step=0.5, size=2).count == 9


def test_kinds():
    assert Float(0, 1).kind == CONTINUOUS and Float(0, 1).levels == math.inf
    assert [Float(0, 1, step=0.5).kind, Float(0, 1, precision=1).kind, Integer(0, 1).kind] == [ORDERED] * 3


@pytest.mark.parametrize("given_", [3, 3.0, Fraction(3), np.int8(3), np.float32(3), np.uint64(3)])
def test_numbers_of_every_type_are_taken(given_):
    assert Integer(1, 5).code(given_) == (3.0,)
    assert Float(1, 5).code(given_) == (3.0,)


def test_grid_values_are_taken_up_to_rounding_only():
    assert Float(0, 1, step=0.1).code(0.1 + 0.2) == (0.3,)
    with pytest.raises(SpaceError, match=r"0\.35 is not on the grid of allowed values; the nearest is 0\.[34]"):
        Float(0, 1, step=0.1).code(0.35)
    with pytest.raises(SpaceError, match=r"1\.4e-11 is not on the grid of allowed values; the nearest is 1e-11"):
        Float(0, 1e-10, step=1e-11).code(1.4e-11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(1, 0), r"Float: low must not exceed high, got low=1, high=0; are they swapped\?"),
        (lambda: Float("0", 1), r"Float low: a number is expected, got '0' \(str\)"),
        (lambda: Float(None, 1), r"Float low: a number is expected, got None"),
        (lambda: Float(0, math.inf), r"Float high: a finite number is expected, got inf"),
        (lambda: Float(math.nan, 1), r"Float low: a finite number is expected, got nan"),
        (lambda: Float(0, np.complex128(1)), r"Float high: a number is expected, got"),
        (lambda: Float(-1e308, 1e308), r"Float: high - low is too large for a float"),
        (lambda: Float(0, 1, log=True), r"Float: a log scale needs low > 0, got low=0; shift the bounds or drop log"),
        (lambda: Float(0, 1, step=0), r"Float: a step lies in \(0, high - low\] = \(0, 1.0\], got 0.0"),
        (lambda: Float(0, 1, step=-1), r"Float: a step lies in"),
        (lambda: Float(0, 1, step=2), r"Float: a step lies in"),
        (lambda: Float(0, 1, step=1e-18), r"Float: step=1e-18 makes 1e\+18 values, too fine"),
        (lambda: Float(1, 2, step=0.1, log=True), r"a step is linear, log is not; use digits="),
        (lambda: Float(0, 1, step=0.1, precision=2), r"give one of step, precision \(decimals\) and digits"),
        (lambda: Float(0, 1, precision=-1), r"precision is a number of decimals, 0 to 15, got -1"),
        (lambda: Float(0, 1, precision=True), r"precision is a number of decimals, 0 to 15, got True"),
        (lambda: Float(0.11, 0.19, precision=1), r"no number with 1 decimals lies in \[0.11, 0.19\]; raise precision"),
        (lambda: Float(0, 1e6, precision=15), r"precision=15 is too fine for floats between"),
        (lambda: Float(0, 1, digits=2), r"significant digits need low > 0, got 0.0; use precision="),
        (lambda: Float(1, 2, digits=0), r"digits is a number of significant digits, 1 to 15, got 0"),
        (lambda: Float(1.1, 1.9, digits=1), r"no number with 1 significant digits lies in"),
        (lambda: Float(0, 1, size=0), r"size is a number of entries >= 1, got 0"),
        (lambda: Integer(0.5, 3), r"Integer: low must be whole, got 0.5; use Float for real numbers"),
        (lambda: Integer(0, 3, step=0), r"Integer: step must be at least 1, got 0"),
        (lambda: Integer(0, 3, step=1.5), r"Integer: step must be whole, got 1.5"),
        (lambda: Integer(0, 2**53), r"Integer: bounds must stay below 2\*\*53 in size"),
        (lambda: Integer(0, 2**53 - 1), r"Integer: at most 2\*\*50 values can be told apart"),
        (lambda: Integer(1, 2**50, log=True), r"Integer: at most 2\*\*44 steps on a log scale"),
        (lambda: Integer(0, 9, log=True), r"Integer: a log scale needs low > 0"),
        (lambda: Float(0, 1, when=3), r"when: expected an expression such as .* got 3"),
        (lambda: Float(0, 1, when={"a-b": 3}), r"when: a condition needs a name that is an identifier, got 'a-b'"),
        (lambda: Float(0, 1, when={"a": len}), r"when: conditions compare with None, True, .* got <built-in"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_conditions_from_dicts():
    assert Float(0, 1, when={"kind": "a", "n": [1, 2]}).when == "kind == 'a' and n in [1, 2]"
    assert Float(0, 1, when={"kind": {"b", "a", "c"}}).when == "kind in ['a', 'b', 'c']"
    assert Float(0, 1, when={"x": np.float64(0.5)}).when == "x == 0.5"


def test_a_value_off_the_steps_is_told_the_next_below():
    with pytest.raises(SpaceError, match=r"7 is not 2 \+ k \* 3; the next below is 5"):
        Integer(2, 9, step=3).code(7)


def test_reprs_say_what_it_is():
    assert repr(Float(0, 1, log=False, step=0.5)) == "Float(low=0.0, high=1.0, step=0.5)"
    assert repr(Integer(1, 8, log=True, when="a")) == "Integer(low=1, high=8, log=True, when='a')"
