"""Axes: sums are searched column by column, what is no sum is seen, and lines stop where nothing can be gained."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import answer, cube, foreign, go_on_alike, mixed, rosenbrock, run, torture

from golden import check_golden
from thalweg.core import plain
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.axes import Axes
from thalweg.parts.strategies.genetic import Genetic
from thalweg.parts.strategies.quadratic import Quadratic

CENTRE = np.array([0.813, 0.171, 0.645, 0.329, 0.907])


def valleys(points: np.ndarray) -> np.ndarray:
    """(n, 5) -> (n,): ten valleys in each column, 0 in the deepest one."""
    off = 10.0 * (points - CENTRE[: points.shape[1]])
    return (off**2 + 10.0 * (1.0 - np.cos(2.0 * np.pi * off))).sum(axis=1)


def turned(points: np.ndarray) -> np.ndarray:
    """The same along other directions than the columns'."""
    basis = np.linalg.qr(np.random.default_rng(4).standard_normal((5, 5)))[0]
    return valleys((points - CENTRE) @ basis + CENTRE)


def told(strategy: Axes, values, rows: int = 12, seed: int = 1) -> Axes:
    """Started, and told what some random points are."""
    strategy.start(cube(5), seed, 400)
    points = np.random.default_rng(8).random((rows, 5))
    strategy.tell(foreign(points, values(points)))
    return strategy


def test_a_hundred_thousand_valleys_are_searched_in_two_hundred_evaluations():
    for seed in range(4):
        ours = run(Axes(), cube(5), valleys, 200, seed=seed, batch=1)[1].min()
        others = [run(kind(), cube(5), valleys, 200, seed=seed, batch=1)[1].min() for kind in (Genetic, Quadratic)]
        assert ours < 1.0, "the deepest valley, beside which the next ones are 1 higher"
        assert ours < 0.2 * min(others)


def bowl(columns: int):
    """A sum of parabolas, (n, columns) -> (n,), and what the middle of the box has."""
    centre = np.random.default_rng(columns).uniform(0.1, 0.9, columns)
    weights = np.geomspace(1.0, 100.0, columns)
    return lambda points: (points - centre) ** 2 @ weights, float(weights @ (0.5 - centre) ** 2)


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_a_parabola_is_left_after_three_samples_and_its_minimum(batch):
    values, middle = bowl(60)
    found = run(Axes(), cube(60), values, 250, seed=1, batch=batch)[1]
    assert batch is None or found[:60].min() < 0.95 * middle, "columns are finished one after the other"
    assert found.min() < 1e-20 * middle, "and no line is searched anew: their heights add up"


def test_what_was_found_in_several_columns_at_once_is_joined_in_one_row():
    values, middle = bowl(20)
    strategy = Axes()
    strategy.start(cube(20), 1, 300)
    strategy.tell(answer(cube(20), strategy.ask(1), values))
    while strategy.height > 0.01 * middle:
        last = strategy.ask(30)
        moved = (last.points != strategy.point).sum(axis=1)
        strategy.tell(answer(cube(20), last, values))
    assert moved.max() > 2 and strategy.joins
    torn = Axes()
    torn.start(cube(20), 1, 300)
    torn.tell(answer(cube(20), torn.ask(1), lambda points: -np.abs(points - 0.5).max(axis=1)))
    for _ in range(40):  # better alone, never together: one after the other, and no row for nothing
        asked = torn.ask(8)
        torn.tell(
            answer(cube(20), asked, lambda points: np.where((points != 0.5).sum(axis=1) < 2, -points.sum(axis=1), 9.0))
        )
    assert not torn.joins and torn.stride == 1 and torn.height < -9.0


def test_finer_and_finer_until_a_valley_is_known_to_the_last_digits():
    def bowl(points):
        return ((points - CENTRE) ** 2).sum(axis=1)

    points, values = run(Axes(), cube(5), bowl, 400, seed=1, batch=1)
    assert values.min() < 1e-12
    assert not np.all(points[-1] == points[-2]), "and on from another point"


def test_many_rows_at_once_are_of_different_columns_and_cost_little():
    strategy = Axes()
    strategy.start(cube(5), 1, 300)
    strategy.tell(answer(cube(5), strategy.ask(1), valleys))
    asked = strategy.ask(12)
    moved = (asked.points != strategy.point).sum(axis=0)
    assert len(asked) == 10 and moved.tolist() == [2] * 5, "both ends of every line"
    assert strategy.all_out and not len(strategy.ask(3))
    assert run(Axes(), cube(5), valleys, 300, seed=1, batch=5)[1].min() < 1.0


def test_rows_that_are_better_than_an_older_best_point_are_tried_from_the_new_one():
    strategy = Axes()
    strategy.start(cube(5), 1, 300)
    strategy.tell(answer(cube(5), strategy.ask(1), valleys))
    asked = strategy.ask(5)
    answers = answer(cube(5), asked, lambda points: -points[:, 0] - 2.0 * points[:, 1])  # as good as both together
    strategy.tell(answers)
    for _ in range(12):
        asked = strategy.ask(1)
        strategy.tell(answer(cube(5), asked, lambda points: -points[:, 0] - 2.0 * points[:, 1]))
    assert strategy.point[:2].tolist() == [1.0, 1.0]


# --- sums -------------------------------------------------------------------------------------------------------------


def test_a_sum_is_known_by_exchanging_columns_between_low_points():
    strategy = told(Axes(tested=True, restarts=False), valleys)
    best, other = strategy.low[0].copy(), strategy.low[1].copy()
    assert strategy.confidence == 0.0
    rows = np.concatenate([strategy.ask(1).points, strategy.ask(1).points])
    assert ((rows == best) | (rows == other)).all() and not (rows == best).all(axis=1).any()
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(np.stack([best, other]), axis=0))
    strategy = told(Axes(tested=True, restarts=False), valleys)
    for _ in range(4):
        strategy.tell(answer(cube(5), strategy.ask(1), valleys))
    assert strategy.confidence > 1.0 - 1e-9 and not strategy.done
    assert strategy.stride == 2, "both ends of a line are worth knowing, whatever the other one says"


@pytest.mark.parametrize("values", [turned, lambda points: rosenbrock(points)])
def test_what_is_no_sum_costs_two_rows(values):
    strategy = told(Axes(tested=True, restarts=False), values)
    assert run(strategy, cube(5), values, 50, start=False, batch=1)[0].shape == (2, 5)
    assert strategy.done and strategy.why == "columns are not independent" and strategy.confidence == 0.0


def test_a_sum_is_searched_until_nothing_is_left_and_then_nobody_is_led():
    strategy = told(Axes(tested=True, restarts=False), valleys)
    led = 0
    while not strategy.done and led < 1000:
        led += strategy.confidence > 0.9
        strategy.tell(answer(cube(5), strategy.ask(1), valleys))
    assert strategy.done and 30 < led < 300 and strategy.height < 1e-6
    assert strategy.why == "no column has a better value"


def test_alone_it_finds_points_to_exchange_columns_with():
    strategy = Axes(tested=True)
    assert run(strategy, cube(5), valleys, 300, seed=2, batch=3)[1].min() < 1.0
    strategy = Axes(tested=True)
    assert len(run(strategy, cube(5), turned, 300, seed=2, batch=3)[0]) < 10 and strategy.done


def test_low_points_are_apart_and_in_order():
    strategy = Axes(tested=True)
    strategy.start(cube(2), 1, 100)
    strategy.tell(
        foreign(np.array([[0.1, 0.1], [0.12, 0.1], [0.9, 0.9], [0.5, 0.5]]), np.array([3.0, 2.0, 1.0, np.nan]))
    )
    assert strategy.low.tolist() == [[0.9, 0.9], [0.12, 0.1]] and strategy.lows.tolist() == [1.0, 2.0]
    many = np.random.default_rng(1).random((300, 2))
    strategy.tell(foreign(many, many.sum(axis=1)))
    assert len(strategy.low) == 16 and (np.diff(strategy.lows) >= 0).all()


def test_one_column_is_a_sum():
    strategy = Axes(tested=True, restarts=False)
    strategy.start(cube(1), 1, 50)
    assert run(strategy, cube(1), lambda points: valleys(points), 40, start=False, batch=1)[1].min() < 1e-4


# --- contract ---------------------------------------------------------------------------------------------------------


def test_better_points_of_others_move_the_lines_and_leave_what_is_known():
    strategy = Axes()
    strategy.start(cube(5), 1, 100)
    for _ in range(11):
        strategy.tell(answer(cube(5), strategy.ask(1), valleys))
    known = [len(places) for places in strategy.places]
    near = np.clip(strategy.point + 0.01, 0.0, 1.0)
    strategy.tell(foreign(near[None], np.array([strategy.height - 1.0])))
    assert [len(places) for places in strategy.places] == known and [p[0] for p in strategy.places] == near.tolist()
    far = np.where(near > 0.5, near - 0.4, near + 0.4)
    strategy.tell(foreign(far[None], np.array([strategy.height - 1.0])))
    assert [len(places) for places in strategy.places] == [count + 1 for count in known]


def test_failures_are_survived_from_the_first_point_on():
    found = []
    for seed in range(1, 8):
        strategy = Axes()
        strategy.start(cube(3), seed, 100)
        strategy.tell(answer(cube(3), strategy.ask(1), valleys, failed=[0]))
        assert not len(strategy.places[0]) > 1
        best = math.inf
        for i in range(60):
            asked = strategy.ask(2)
            answers = answer(cube(3), asked, valleys, failed=[i % 2] if i % 3 == 0 and len(asked) > 1 else None)
            best = min(best, answers.merit().min())
            strategy.tell(answers)
        found.append(best)
    assert np.median(found) < 3.0


def test_flat_and_enormous_values_end_no_run():
    for values in (
        lambda p: np.zeros(len(p)),
        lambda p: 1e300 * p[:, 0],
        lambda p: np.where(p[:, 0] > 0.5, 1e280, 1.0),
    ):
        points, _ = run(Axes(), cube(2), values, 80, seed=1, batch=2)
        assert len(points) == 80


def test_every_space_and_a_torn_order_of_answers():
    assert torture(Axes(), mixed()) > 100
    assert torture(Axes(tested=True), mixed(), rounds=4) > 0


def test_a_state_continues_identically():
    problem = Problem(Space([(0.0, 1.0)] * 5))
    for rounds in (1, 2, 3, 9, 25):
        one = told(Axes(tested=True), valleys)
        for _ in range(rounds):
            one.tell(answer(problem, one.ask(2), valleys))
        waiting = one.ask(1)
        two = Axes(tested=True)
        two.start(problem, 1, 400)
        two.restore(plain.decode(plain.encode(one.state())))
        for strategy in (one, two):
            strategy.tell(answer(problem, waiting, valleys))
        go_on_alike(one, two, problem, valleys, 10, 3)


def test_options_are_checked():
    with pytest.raises(StrategyError, match=r"tolerance is a share in \(0, 1\), got 0"):
        Axes(tolerance=0)
    with pytest.raises(StrategyError, match=r"holds is a share in \(0, 1\), got 1"):
        Axes(holds=1)


def test_between_ends_that_are_alike_there_may_be_something_better():
    """From a point at the ends of the box, where foreign ones often lie."""

    def alike(u):
        return (4.0 * u * (1.0 - u) * (0.2 - np.sin(np.pi * u) ** 2)).sum(axis=1)

    problem = Problem(cube(3).space)
    strategy = Axes(restarts=False)
    strategy.start(problem, 0, 60)
    corner = np.array([[0.0, 1.0, 0.0]])
    strategy.tell(foreign(corner, alike(corner)))
    points, values = run(strategy, problem, alike, 60, batch=1, start=False)
    assert np.abs(points[np.argmin(values)] - 0.5).max() < 0.01


def test_an_exchange_holds_as_far_as_is_said():
    def nearly(u):
        return ((u - 0.3) ** 2).sum(axis=1) + 0.1 * u[:, 0] * u[:, 1]

    ended = {}
    for holds in (1e-4, 0.3):
        strategy = Axes(tested=True, restarts=False, holds=holds)
        run(strategy, Problem(cube(2).space), nearly, 30, batch=1)
        ended[holds] = strategy.why == "columns are not independent"
    assert ended == {1e-4: True, 0.3: False}


def test_golden_run():
    check_golden("axes", Axes())
