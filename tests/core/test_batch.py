"""Batches: rows, what counts as a value, and how single objectives are ranked."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.batch import INFEASIBLE, LINEAR, Answers, Status


def answers(values, violations=None, **more):
    values = np.array(values, dtype=float).reshape(len(values), -1)
    k = len(values)
    given_ = None if violations is None else np.array(violations, dtype=float)
    return Answers(
        np.arange(k), np.linspace(0, 1, 2 * k).reshape(k, 2), values, np.full(k, Status.DONE, np.int8), given_, **more
    )


def test_only_finite_values_count():
    assert answers([[1, 2], [1, math.nan], [math.inf, 0], [-math.inf, 0]]).ok.tolist() == [True, False, False, False]


def test_merit_orders_feasible_then_by_violation_then_nothing():
    batch = answers([5, -1e9, 1, math.nan, -math.inf, 3, 2], [0, 0.5, 0, 0, 0, math.inf, 1e300])
    with np.errstate(all="raise"):
        merit = batch.merit()
    assert merit[2] < merit[0] < merit[1] < merit[6] <= merit[5] < merit[3]
    assert merit[[0, 2]].tolist() == [5, 1]
    assert (merit[[1, 5, 6]] >= INFEASIBLE).all() and np.isfinite(merit[[1, 5, 6]]).all()
    assert merit[[3, 4]].tolist() == [math.inf, math.inf]
    assert batch.values[3, 0] != batch.values[3, 0], "merit must not write into the values"


@given(st.lists(st.floats(0, 1e12), min_size=2, max_size=8), st.floats(-1e200, 1e200))
def test_a_smaller_violation_is_never_worse(violations, value):
    merit = answers([value] * len(violations), violations).merit()
    order = np.argsort(violations, kind="stable")
    assert (np.diff(merit[order]) >= 0).all()
    assert all((m >= INFEASIBLE) == (v > 0) for m, v in zip(merit, violations, strict=True))


@pytest.mark.parametrize("index", [np.array([2, 0]), np.array([True, False, True]), slice(1, 3)])
def test_rows_take_every_column(index):
    k = 3
    batch = answers(
        [1, 2, 3], [0, 1, 2], seconds=np.arange(3.0), fidelities=np.ones(3) / 2, noise=np.arange(3.0)[:, None]
    )
    part = batch.rows(index)
    expected = np.arange(k)[index]
    assert part.tickets.tolist() == expected.tolist() and len(part) == len(expected)
    assert part.values[:, 0].tolist() == (expected + 1.0).tolist()
    assert part.points.tolist() == batch.points[expected].tolist()
    assert part.violations.tolist() == part.seconds.tolist() == part.noise[:, 0].tolist() == expected.tolist()
    assert part.fidelities.tolist() == [0.5] * len(expected)
    assert answers([1, 2, 3]).rows(index).violations is None


def test_final_statuses():
    assert [status.name for status in Status if status.final] == ["DONE", "FAILED", "TIMEOUT", "PRUNED", "ABANDONED"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20))
def test_bounded_values_keep_their_order_and_have_squares_and_slopes(values):
    heard = answers(values).bounded().values[:, 0]
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite((heard[:, None] - heard) ** 2).all() and np.isfinite(heard / 1e-100).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(heard[order]) >= 0).all()
    small = np.abs(values) <= LINEAR
    assert (heard[small] == np.array(values)[small]).all()


def test_what_is_no_value_stays_none():
    batch = answers([1.0, np.nan, np.inf, -np.inf, 1e308])
    heard = batch.bounded().values[:, 0]
    assert heard[:1].tolist() + heard[2:4].tolist() == [1.0, np.inf, -np.inf]
    assert np.isnan(heard[1]) and LINEAR < heard[4] < 1e103
    assert batch.values[4, 0] == 1e308  # what was given is not changed
    few = answers([1.0, 2.0])
    assert few.bounded() is few


def test_the_largest_allowed_value_is_better_than_any_that_is_not():
    merit = answers([1.7e308, 0.0], [0.0, 1e-9]).bounded().merit()
    assert merit[0] < merit[1]
