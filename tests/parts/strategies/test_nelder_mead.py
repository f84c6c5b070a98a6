import json
from pathlib import Path

import numpy as np
import pytest
from driving import (
    ALL_SPACES,
    answer,
    bowl,
    constrained,
    cube,
    finite,
    foreign,
    mixed,
    rosenbrock,
    run,
    torture,
    twins_agree,
)
from test_several_workers import Crew

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.nelder_mead import NelderMead
from thalweg.parts.strategies.quadratic import Quadratic
from thalweg.parts.strategies.quasi_newton import QuasiNewton

GOLDEN = Path(__file__).parents[2] / "golden" / "nelder_mead.json"


def textbook(values, simplex, steps):
    """Nelder-Mead as in the 1965 paper, one point at a time, in two dimensions (no bounds)."""
    merits = values(simplex)
    for _ in range(steps):
        order = np.argsort(merits, kind="stable")
        simplex, merits = simplex[order], merits[order]
        centre = simplex[:-1].mean(axis=0)

        def at(share, centre=centre, worst=simplex[-1]):
            point = centre + share * (centre - worst)
            return point, values(point[None])[0]

        reflected, f = at(1.0)
        if f < merits[0]:
            expanded, g = at(2.0)
            new = (expanded, g) if g < f else (reflected, f)
        elif f < merits[-2]:
            new = reflected, f
        else:
            share, limit = (0.5, f) if f < merits[-1] else (-0.5, merits[-1])
            contracted, g = at(share)
            new = (contracted, g) if (g <= limit if share > 0 else g < limit) else None
        if new is None:
            simplex[1:] = simplex[0] + 0.5 * (simplex[1:] - simplex[0])
            merits[1:] = values(simplex[1:])
        else:
            simplex[-1], merits[-1] = new
    return merits.min()


def test_the_path_is_the_textbooks():
    start = np.array([[0.5, 0.5], [0.7, 0.5], [0.5, 0.7]])
    expected = textbook(rosenbrock, start.copy(), 60)
    strategy = NelderMead()
    strategy.start(cube(2), 0)
    steps = 0
    while steps <= 60:
        proposals = strategy.ask(1)
        strategy.tell(answer(strategy, proposals, rosenbrock))
        steps = strategy.number - 1  # the build, then a phase per step
        if strategy.merits.size and np.isclose(strategy.merits.min(), expected, rtol=1e-9):
            return
    pytest.fail(f"{strategy.merits.min()} after {steps} steps, expected {expected}")


@pytest.mark.parametrize("d", [2, 5])
def test_the_path_is_the_same_for_every_batch_size(d):
    ends = []
    for batch in (1, 2, 4, 50):
        strategy = NelderMead(restarts=False)
        _, found = run(strategy, cube(d), rosenbrock, 3000, batch=batch)
        assert strategy.done and "collapsed" in strategy.why
        ends.append(found.min())
    assert max(ends) - min(ends) < 1e-12


def test_batches_of_build_step_and_shrink():
    strategy = NelderMead()
    strategy.start(cube(4), 0)
    build = strategy.ask(100)
    assert len(build) == 5
    assert strategy.all_out
    strategy.tell(answer(strategy, build, bowl))
    assert not strategy.all_out
    assert len(strategy.ask(100)) == 4
    strategy = NelderMead()
    strategy.start(cube(4), 0)
    strategy.tell(answer(strategy, strategy.ask(100), bowl))
    step = strategy.ask(100)
    strategy.tell(answer(strategy, step, lambda u: bowl(u) + 100))  # nothing gained: shrink
    assert strategy.phase == "shrink" and len(strategy.ask(100)) == 4


def stepping(d=4, seed=0):
    """A strategy whose first step is out: (itself, the step's rows)."""
    strategy = NelderMead()
    strategy.start(cube(d), seed)
    strategy.tell(answer(strategy, strategy.ask(100), bowl))
    return strategy, strategy.ask(100)


def volume(simplex):
    return abs(np.linalg.det(simplex[1:] - simplex[0]))


def test_idle_workers_get_points_around_the_best_vertex_and_no_step_waits_for_them():
    strategy, step = stepping()
    assert strategy.all_out and len(step) == 4
    beside = strategy.ask(6)
    assert len(beside) == 6
    width = np.abs(strategy.simplex[1:] - strategy.simplex[0]).max()
    np.testing.assert_allclose(np.linalg.norm(beside.points - strategy.simplex[0], axis=1), 0.5 * width, rtol=1e-9)
    twin, alone = stepping()
    np.testing.assert_array_equal(alone.points, step.points)
    for one, rows in ((strategy, step), (twin, alone)):
        one.tell(answer(one, rows, bowl))
    np.testing.assert_array_equal(strategy.trial, twin.trial)


def test_a_row_from_beside_that_beats_all_leaves_the_simplex_wide():
    strategy, step = stepping()
    beside = strategy.ask(1)
    before, worst = volume(strategy.simplex), strategy.simplex[-1].copy()
    strategy.tell(answer(strategy, beside, lambda u: np.full(len(u), -1.0)))
    strategy.tell(answer(strategy, step, lambda u: np.full(len(u), 0.5 * strategy.ranked[0])))
    assert strategy.phase == "step"
    assert strategy.ranked[0] == -1.0
    np.testing.assert_array_equal(strategy.simplex[0], beside.points[0])
    assert len(strategy.simplex) == 5 and not (strategy.simplex == worst).all(axis=1).any()
    assert volume(strategy.simplex) > 0.05 * before


def test_a_late_row_of_a_step_takes_the_place_of_what_the_step_accepted():
    strategy, step = stepping()
    reflected, expanded, rest = (step.tickets[rows] for rows in (slice(1), slice(1, 2), slice(2, None)))
    level = 0.5 * (strategy.ranked[0] + strategy.ranked[-2])
    rows = answer(strategy, step, lambda u: np.array([level, 0.5 * strategy.ranked[0], 9.0, 9.0]))
    assert rows.tickets[0] == reflected[0] and rows.tickets[1] == expanded[0] and len(rest) == 2
    strategy.tell(rows.rows(np.array([0])))  # decided: the reflection is accepted
    assert (strategy.simplex == step.points[0]).all(axis=1).any()
    second = strategy.ask(4)
    strategy.tell(rows.rows(np.array([1, 2, 3])))
    strategy.tell(answer(strategy, second, lambda u: np.full(len(u), level)))
    assert not (strategy.simplex == step.points[0]).all(axis=1).any()
    np.testing.assert_array_equal(strategy.simplex[0], step.points[1])
    assert volume(strategy.simplex) > 0


def test_several_workers_reach_the_bottom_sooner_than_one():
    def when(workers):
        ends = []
        for seed in range(3):
            strategy = NelderMead()
            strategy.start(cube(4), seed)
            one = Crew(strategy, cube(4), bowl, workers, 2000, seed)
            while one.step() and one.found[-1] > 1e-6:
                pass
            ends.append(one.now if one.found[-1] <= 1e-6 else np.inf)
        return np.median(ends)

    assert when(8) < 0.6 * when(1)


@pytest.mark.parametrize(("d", "limit", "bound"), [(2, 300, 1e-8), (8, 2500, 1e-6), (12, 6000, 1e-4)])
def test_finds_the_bottom_of_a_valley(d, limit, bound):
    _, found = run(NelderMead(), cube(d), bowl if d > 8 else rosenbrock if d == 2 else bowl, limit, batch=1)
    assert found.min() < bound


def test_adaptive_coefficients_above_two_dimensions():
    for d, expected in ((2, (1, 2, 0.5, 0.5)), (10, (1, 1.2, 0.7, 0.9))):
        strategy = NelderMead()
        strategy.start(cube(d), 0)
        assert strategy.factors == pytest.approx(expected)


def test_restarts_leave_a_local_minimum():
    def values(u):
        return np.minimum(((u - 0.45) ** 2).sum(axis=1) + 0.1, 3 * ((u - 0.9) ** 2).sum(axis=1))

    strategy = NelderMead()
    _, found = run(strategy, cube(2), values, 3000)
    assert strategy.builds > 3
    assert found.min() < 1e-8


def test_a_bottom_on_the_border_is_found():
    _, found = run(NelderMead(), cube(3), lambda u: np.abs(u - [0.0, 1.0, 0.4]).sum(axis=1), 1500)
    assert found.min() < 1e-6


def test_starts_at_x0_or_at_the_best_foreign_point():
    strategy = NelderMead(x0=[0.9, 0.1])
    strategy.start(cube(2), 0)
    np.testing.assert_allclose(strategy.ask(1).points[0], [0.9, 0.1])
    strategy = NelderMead()
    strategy.start(cube(2), 0)
    strategy.tell(foreign(np.array([[0.8, 0.3], [0.1, 0.1]]), [1.0, 2.0]))
    np.testing.assert_allclose(strategy.ask(1).points[0], [0.8, 0.3])


def test_a_better_foreign_point_replaces_the_worst_vertex():
    strategy = NelderMead()
    strategy.start(cube(2), 0)
    strategy.tell(answer(strategy, strategy.ask(9), bowl))
    strategy.tell(foreign(np.array([[0.3217, 0.3217]]), [0.0]))
    strategy.tell(answer(strategy, strategy.ask(9), bowl))
    assert strategy.merits[0] == 0.0
    np.testing.assert_allclose(strategy.simplex[0], 0.3217)


def test_finite_spaces_never_repeat_and_end():
    strategy = NelderMead()
    points, _ = run(strategy, Problem(finite()), bowl, 1000)
    assert len(points) == len({row.tobytes() for row in points}) == 200
    assert strategy.done


def test_requirements():
    _, found = run(NelderMead(), Problem(constrained()), lambda u: ((u[:, :2] - [0.9, 0.6]) ** 2).sum(axis=1), 800)
    assert found.min() == pytest.approx(0.125, rel=0.05)


def test_golden_run():
    points, found = run(NelderMead(), Problem(mixed()), bowl, 60, batch=4)
    stored = json.loads(GOLDEN.read_text())["NelderMead"]
    np.testing.assert_allclose(points[::6], stored["points"], atol=1e-9)
    np.testing.assert_allclose(found[::6, 0], stored["values"], atol=1e-9)


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(NelderMead(), space()) > 10


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(NelderMead, Problem(space()), bowl)


def test_all_rows_fail():
    strategy = NelderMead()
    strategy.start(cube(2), 0)
    for _ in range(60):
        proposals = strategy.ask(100)
        assert len(proposals)
        strategy.tell(answer(strategy, proposals, bowl, failed=np.ones(len(proposals), bool)))


def test_nothing_to_vary():
    strategy = NelderMead()
    points, _ = run(strategy, Problem(Space({"a": [1]})), bowl, 5)
    assert 1 <= len(points) <= 5


def test_options_must_make_sense():
    with pytest.raises(StrategyError, match="size"):
        NelderMead(size=0.9)
    with pytest.raises(StrategyError, match="x0"):
        NelderMead(x0=[0.5]).start(cube(2), 0)


@pytest.mark.parametrize("kind", [NelderMead, Quadratic, QuasiNewton])
def test_a_start_is_a_point_of_the_cube(kind):
    with pytest.raises(StrategyError, match="shape"):
        kind(x0=[0.5]).start(cube(2), 0)
    for x0 in ([5.0, 5.0], [0.5, np.nan]):
        with pytest.raises(StrategyError, match="own units"):
            kind(x0=x0).start(cube(2), 0)


def test_where_everything_fails_it_begins_elsewhere():
    def fails(points):
        return np.where(points[:, 0] > 0.1, np.nan, points[:, 0])

    for seed in range(3):
        _, found = run(NelderMead(), cube(2), fails, 300, seed=seed)
        assert np.nanmin(found) < 1e-3
