import numpy as np
import pytest
from driving import answer, cube, go_on_alike, run

from thalweg.core import plain
from thalweg.core.batch import FOREIGN, Answers
from thalweg.core.problem import Problem, objectives_of
from thalweg.parts.strategies._front_lines import Lines, Spread, search_of, weights_of
from thalweg.parts.strategies.pareto_bayesian import ParetoBayesian

BEST = np.array([0.31, 0.62, 0.47, 0.84])


def factor(u):
    """1 at BEST; ten valleys along each of four columns."""
    apart = u[:, 1:] - BEST
    return 1.0 + 20.0 * (4.0 * apart**2 + 1.0 - np.cos(20.0 * np.pi * apart)).sum(axis=1)


def shared(u):
    """Two objectives, whose front is a line along the first column, where the factor is 1."""
    return factor(u)[:, None] * np.column_stack([u[:, 0], 1.0 - u[:, 0]])


def bent(u):
    """No sum over columns: a narrow turned valley."""
    return np.column_stack([(u[:, 0] - u[:, 1] ** 2) ** 2 + u[:, 2], (u[:, 1] - u[:, 2] * u[:, 0]) ** 2])


def several(d=5):
    return Problem(cube(d).space, objectives=objectives_of(2))


def answers_of(rows, values):
    return Answers(rows.tickets, rows.points, values(rows.points), np.zeros(len(rows), dtype=np.int8), None)


def known(problem, values, count=30):
    points = np.random.default_rng(0).random((count, problem.space.dimension))
    return Answers(np.full(count, FOREIGN), points, values(points), np.zeros(count, dtype=np.int8), None)


def test_a_front_behind_many_valleys_is_reached():
    # the next valley is at 1.8; models alone end above 3
    runs = [run(ParetoBayesian(), several(), shared, 240, batch=1, seed=seed)[0] for seed in (2, 3, 4)]
    assert np.median([factor(points).min() for points in runs]) < 1.5


def test_a_twin_continues_in_the_middle_of_lines():
    problem, one, two = several(), ParetoBayesian(), ParetoBayesian()
    for strategy in (one, two):
        strategy.start(problem, 11, 400)
    while not one.lines.begun and one.next_ticket < 200:
        one.tell(answer(problem, one.ask(3), shared))
    one.tell(answer(problem, one.ask(3), shared))
    waiting = answer(problem, one.ask(3), shared)
    assert one.lines.goes_on(one.along) and len(one.lines.tickets) > 0
    two.restore(plain.decode(plain.encode(one.state())))
    for strategy in (one, two):
        strategy.tell(waiting)
    go_on_alike(one, two, problem, shared, 4, 3)


def test_a_sum_of_objectives_is_searched_and_what_is_none_is_left():
    for values, gains in ((shared, True), (bent, False)):
        problem = several()
        lines, search = Lines(), search_of(problem, np.random.SeedSequence(1))
        lines.begin(search, known(problem, values))
        assert lines.begun and not lines.won
        ticket = 100
        while lines.goes_on(search) and ticket < 400:
            rows = search.ask(2)
            if not len(rows):
                break
            lines.sent(ticket, rows.tickets)
            ours = np.arange(ticket, ticket + len(rows))
            ticket += len(rows)
            told = answers_of(rows, values)
            lines.tell(search, Answers(ours[::-1], told.points[::-1], told.values[::-1], told.statuses, None))
        assert lines.won == gains
        assert not len(lines.tickets) and not len(lines.own)
        if not gains:
            assert search.done and ticket < 105


def test_objectives_of_about_the_same_range_are_added_as_they_are():
    rng = np.random.default_rng(0)
    assert weights_of(rng.random((50, 3)) * [1.0, 3.0, 0.3]).tolist() == [1.0, 1.0, 1.0]
    assert weights_of(rng.random((50, 2)) * [1.0, 1e4]) == pytest.approx([1e4, 1.0])
    assert weights_of(np.ones((4, 2))).tolist() == [1.0, 1.0]


def test_columns_that_stay_on_the_front_are_moved():
    spread, rng = Spread(*np.zeros((2, 4))), np.random.default_rng(0)
    front = np.full((1, 4), 0.5)
    for column in range(4):
        for _ in range(10):
            point = front.copy()
            point[0, column] = rng.random()
            spread.learn(point, np.array([column == 2]), front)
    both = front.copy()
    both[0, :2] = 0.1
    spread.learn(both, np.array([True]), front)  # two columns at once show nothing
    assert spread.tries.tolist() == [10.0] * 4 and spread.stays.tolist() == [0.0, 0.0, 10.0, 0.0]
    rows = spread.children(np.repeat(front, 200, axis=0), cube(4).space, rng)
    moved = (rows != front).sum(axis=0)
    assert moved[2] > 190 and moved[[0, 1, 3]].sum() < 120
    assert set((rows != front).sum(axis=1)) == {1, 2}
