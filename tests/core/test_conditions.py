"""Conditions: parents before children, which parameters a row uses, and expressions column by column or row by row."""

import numpy as np
import pytest

from thalweg.core.choices import Boolean, Choice, Subset
from thalweg.core.conditions import Conditions
from thalweg.core.errors import SpaceError
from thalweg.core.expression import Expression
from thalweg.core.layout import Layout
from thalweg.core.parameter import Float, Integer


def made(parameters):
    return Conditions(parameters, Layout(parameters))


def test_parents_come_before_their_children_wherever_they_stand():
    conditions = made({"c": Boolean(when="b"), "a": Integer(1, 3), "b": Boolean(when="a > 1")})
    assert conditions and [number for number, _ in conditions.ordered] == [2, 0]
    assert not made({"a": Integer(1, 3)})


def test_a_child_rests_where_its_parent_does():
    conditions = made({"c": Boolean(when="not b"), "a": Integer(1, 3), "b": Boolean(when="a > 1")})
    reals = np.array([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 2.0, 1.0]])  # the first would hold if b counted
    np.testing.assert_array_equal(
        conditions.active(reals), [[False, True, False], [True, True, True], [False, True, True]]
    )


def test_inactive_columns_rest_in_the_middle():
    conditions = made({"on": Boolean(), "x": Float(2, 4, when="on")})
    np.testing.assert_array_equal(conditions.rest[1:], [0.5])
    np.testing.assert_array_equal(conditions.rest_reals[1:], [3.0])


def test_an_expression_holds_only_where_it_is_asked():
    kind, parts = Choice(["a", 2]), Subset(["u", "v"])
    conditions = made({"kind": kind, "parts": parts, "x": Float(0, 9, when="kind == 'a'")})
    reals = np.array([[0.0, 0.0, 1.0, 4.0], [0.0, 1.0, 0.0, 4.0], [1.0, 0.0, 1.0, np.nan]])
    every = np.ones(3, dtype=bool)
    for text, true in (("x > 3", [1, 1, 0]), ("'v' in parts", [1, 0, 1]), ("kind == 2", [0, 0, 1])):
        found = conditions.truth(Expression(text), reals, every)
        # an inactive x counts as its resting value, 4.5; who asks says which rows count
        np.testing.assert_array_equal(found[:2], np.array(true[:2], dtype=bool))
        np.testing.assert_array_equal(conditions.truth(Expression(text), reals, ~every), ~every)
        active = conditions.active(np.nan_to_num(reals, nan=4.5))
        np.testing.assert_array_equal(conditions.holds(Expression(text), reals, active), np.array(true, dtype=bool))


def test_rows_that_are_not_asked_are_not_computed():
    conditions = made({"kind": Choice(["a", 2])})  # a text and a number: only row by row
    reals = np.array([[0.0], [1.0]])
    found = conditions.truth(Expression("kind > 1"), reals, np.array([False, True]))
    np.testing.assert_array_equal(found, [False, True])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"a": Boolean(when="a +")}, "parameter 'a': when: "),
        ({"a": Boolean(when="b")}, "parameter 'a': when: .*'b', which is not known"),
        ({"a": Boolean(when="b"), "b": Boolean(when="a")}, r"\['a', 'b'\] depend on each other in a circle"),
    ],
)
def test_wrong_conditions(parameters, said):
    with pytest.raises(SpaceError, match=said):
        made(parameters)
