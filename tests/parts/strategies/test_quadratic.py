import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.batch import Answers
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.nelder_mead import NelderMead
from thalweg.parts.strategies.quadratic import Quadratic


def test_golden():
    # models of nearly singular sets: another build of LAPACK moves the 15th point by 4e-6, and the 30th by more
    check_golden("quadratic", Quadratic(), kept=14, atol=1e-6, rtol=1e-3)


def rotated(d: int, condition: float):
    """A convex quadratic whose axes are not those of the box."""
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    weights = condition ** np.linspace(0, 1, d)
    return lambda u: (weights * ((u - 0.37) @ turn) ** 2).sum(axis=1)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_quadratic_is_solved_once_it_is_determined(d):
    needed = (d + 1) * (d + 2) // 2
    _, found = run(Quadratic(), cube(d), rotated(d, 30.0), 2 * needed + 8, batch=1)
    assert found.min() < 1e-8


@pytest.mark.parametrize(("d", "condition", "most"), [(2, 1.0, 20), (2, 30.0, 20), (5, 1.0, 36), (5, 30.0, 80)])
def test_a_model_that_has_proven_itself_is_not_mended(d, condition, most):
    # 14, 8, 30 and 38; with a better set at every scale 25, 30, 45 and 113
    weights = condition ** np.linspace(0, 1, d)
    _, found = run(Quadratic(restarts=False), cube(d), lambda u: ((u - 0.37) ** 2 * weights).sum(axis=1), 400, batch=1)
    assert len(found) <= most and found.min() < 1e-14


def test_a_slope_that_keeps_its_promise_is_followed_in_leaps():
    _, found = run(Quadratic(), cube(2), lambda u: u @ np.array([1.0, 2.0]), 5, batch=1)
    assert found.min() < 1e-12  # 3 points of the design, and 2 steps to the corner; 3 were it only doubled


def test_a_curved_valley_is_followed_to_its_end():
    _, found = run(Quadratic(), cube(4), rosenbrock, 240, batch=1)
    assert found.min() < 1e-6


def test_far_better_than_a_simplex_on_smooth_functions():
    ours, theirs = (run(kind(), cube(5), rotated(5, 1e3), 60, batch=1)[1].min() for kind in (Quadratic, NelderMead))
    assert ours < 0.05 * theirs


def test_a_bottom_on_the_border_is_found():
    _, found = run(Quadratic(), cube(4), lambda u: ((u - [1.2, -0.3, 0.4, 0.5]) ** 2).sum(axis=1), 40, batch=1)
    assert found.min() == pytest.approx(0.2**2 + 0.3**2, abs=1e-9)


def test_the_design_is_one_batch_and_rows_come_beside_it_and_beside_a_step():
    strategy = Quadratic(radius=0.1)
    strategy.start(cube(4), 0)
    design = strategy.ask(5)
    assert len(design) == 5
    steps = design.points[1:] - design.points[0]
    np.testing.assert_allclose(steps, 0.1 * np.eye(4), atol=1e-12)
    anywhere = strategy.ask(1000)
    assert len(anywhere) == 2 * strategy.size and len(strategy.ask(1)) == 0  # more would say nothing
    assert np.ptp(anywhere.points, axis=0).min() > 0.5
    strategy.tell(answer(strategy, design, rosenbrock))
    more = strategy.ask(4)
    assert strategy.phase == "step" and len(more) == 4
    assert len(np.unique(more.points, axis=0)) == 4
    far = np.linalg.norm(more.points - strategy.whence, axis=1)
    assert far[1] > 1.5 * far[0]  # a longer step
    # the step itself decides; the others may come later
    told = answer(strategy, more, rosenbrock)
    strategy.tell(told.rows(np.array([0])))
    assert len(strategy.ask(1)) == 1
    held = len(strategy.points)
    strategy.tell(told.rows(np.array([1, 2, 3])))
    assert len(strategy.points) == held + 3


def test_what_is_heard_beside_a_step_makes_a_new_one():
    strategy = Quadratic(radius=0.1)
    strategy.start(cube(3), 1)
    strategy.tell(answer(strategy, strategy.ask(4), rosenbrock))
    out = strategy.ask(4)
    told = answer(strategy, out, lambda u: ((u - 0.7) ** 2).sum(axis=1))
    strategy.tell(told.rows(np.array([3])))
    assert strategy.phase == "step" and strategy.heard
    given = strategy.ask(1)
    assert len(given) == 1 and not strategy.heard
    assert not (np.abs(out.points - given.points).max(axis=1) < 1e-9).any()


@pytest.mark.parametrize("workers", [2, 8, 40])
def test_workers_never_wait_for_long(workers):
    strategy = Quadratic()
    strategy.start(cube(4), 3)
    rng, out, idle = np.random.default_rng(5), [], 0
    for _ in range(40 * workers):
        given = strategy.ask(workers - len(out))
        out += list(zip(given.tickets.tolist(), given.points, strict=True))
        idle += workers - len(out)
        ticket, point = out.pop(int(rng.integers(len(out))))
        value = rotated(4, 100.0)(point[None])[0]
        strategy.tell(Answers(np.array([ticket]), point[None], np.array([[value]]), np.array([2], np.int8)))
    assert idle <= 0.3 * 40 * workers * workers
    assert strategy.best < 1e-2


def test_design_at_a_corner_goes_inwards():
    strategy = Quadratic(x0=[0.0, 1.0], radius=0.2)
    strategy.start(cube(2), 0)
    points = strategy.ask(3).points
    np.testing.assert_allclose(points, [[0, 1], [0.2, 1], [0, 0.8]], atol=1e-12)


def test_one_at_a_time_the_design_moves_on_from_its_best():
    strategy = Quadratic(radius=0.1)
    strategy.start(cube(3), 0)
    points = []
    for _ in range(4):
        given = strategy.ask(1)
        points.append(given.points[0])
        strategy.tell(answer(strategy, given, lambda u: u @ [-1.0, 1.0, -1.0]))
    np.testing.assert_allclose(points, 0.5 + 0.1 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1]]), atol=1e-12)


def test_batches_help():
    lengths = []
    for batch in (1, 4):
        strategy = Quadratic()
        strategy.start(cube(5), 0)
        asks = 0
        while strategy.best > 1e-7 and asks < 200:
            strategy.tell(answer(strategy, strategy.ask(batch), rotated(5, 300.0)))
            asks += 1
        lengths.append(asks)
    assert lengths[1] < 0.6 * lengths[0]


def test_starts_at_x0_or_at_the_best_foreign_point():
    strategy = Quadratic(x0=[0.9, 0.1])
    strategy.start(cube(2), 0)
    np.testing.assert_allclose(strategy.ask(1).points[0], [0.9, 0.1])
    strategy = Quadratic()
    strategy.start(cube(2), 0)
    strategy.tell(foreign(np.array([[0.8, 0.3], [0.1, 0.1]]), [1.0, 2.0]))
    np.testing.assert_allclose(strategy.ask(1).points[0], [0.8, 0.3])


def test_a_better_foreign_point_starts_a_run_there():
    def values(u):
        return np.minimum(((u - 0.2) ** 2).sum(axis=1) + 0.1, 3 * ((u - 0.85) ** 2).sum(axis=1))

    strategy = Quadratic(x0=[0.3, 0.3])
    strategy.start(cube(2), 0)
    for _ in range(7):
        strategy.tell(answer(strategy, strategy.ask(1), values))
    assert 0.1 <= strategy.best < 0.11
    hint = np.array([[0.9, 0.8]])
    strategy.tell(foreign(hint, values(hint)))
    strategy.tell(answer(strategy, strategy.ask(1), values))
    assert strategy.runs == 2
    np.testing.assert_allclose(strategy.ask(1).points, hint)


def test_restarts_leave_a_local_minimum():
    def values(u):
        return np.minimum(((u - 0.45) ** 2).sum(axis=1) + 0.1, 3 * ((u - 0.9) ** 2).sum(axis=1))

    strategy = Quadratic()
    _, found = run(strategy, cube(2), values, 400)
    assert strategy.runs > 2 and found.min() < 1e-8
    near, far = strategy.spent[1], strategy.spent[0]
    assert near > 0.2 * far


def test_without_restarts_it_ends_and_says_why():
    strategy = Quadratic(restarts=False)
    run(strategy, cube(2), bowl, 400, batch=1)
    assert strategy.done and "collapsed" in strategy.why


def test_failed_points_shrink_the_region_and_the_border_of_failure_is_reached():
    """The bottom lies where everything fails: the best point that works is on the border."""
    strategy = Quadratic(x0=[0.2, 0.2])
    strategy.start(cube(2), 0)
    for _ in range(60):
        asked = strategy.ask(1)
        strategy.tell(answer(strategy, asked, lambda u: ((u - 0.7) ** 2).sum(axis=1), failed=asked.points[:, 0] > 0.5))
    assert strategy.best < 0.2**2 + 0.01
    assert strategy.best_point[0] <= 0.5


def test_all_rows_fail():
    strategy = Quadratic()
    strategy.start(cube(2), 0)
    for _ in range(60):
        asked = strategy.ask(100)
        assert len(asked)
        strategy.tell(answer(strategy, asked, bowl, failed=np.ones(len(asked), bool)))


def test_violations_are_minimised_until_the_constraint_holds():
    """x0 violates a + b >= 1.4; where it holds, the least a + 2 b is at (1, 0.4)."""
    strategy = Quadratic(x0=[0.2, 0.2])
    strategy.start(cube(2), 0)
    held = []
    for _ in range(100):
        asked = strategy.ask(1)
        over = np.maximum(1.4 - asked.points.sum(axis=1), 0.0)
        held += (over == 0).tolist()
        strategy.tell(answer(strategy, asked, lambda u: u @ [1.0, 2.0], violations=over))
    assert any(held) and not held[0]
    assert strategy.best < 2.2  # anywhere on the border a + b = 1.4 it is at most 2.4


def test_integers_reach_the_best_cell():
    space = Space({"x": Float(0.0, 1.0), "k": Integer(0, 200), "j": Integer(0, 7)})

    def values(u):
        return (u[:, 0] - 0.3) ** 2 + (u[:, 1] - 0.71) ** 2 + (u[:, 2] - 5.5 / 8) ** 2 + 0.5 * u[:, 0] * u[:, 1]

    points, found = run(Quadratic(), Problem(space), values, 80, batch=1)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 401), (np.arange(201) + 0.5) / 201), axis=-1).reshape(-1, 2)
    best = values(np.column_stack([grid, np.full(len(grid), 5.5 / 8)])).min()
    assert found.min() <= best + 1e-5
    assert len(points) == 80


def test_mixed_spaces_are_searched():
    _, found = run(Quadratic(), Problem(mixed()), bowl, 120, batch=1)
    first = bowl(Problem(mixed()).space.snap(np.full((1, 6), 0.5)))[0]
    assert found.min() < 0.2 * first


def test_finite_spaces_never_repeat_and_end():
    points, _ = run(Quadratic(), Problem(finite()), bowl, 1000, batch=5)
    assert len(points) == len({row.tobytes() for row in points}) == 200


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(Quadratic(), space()) > 10


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(Quadratic, Problem(space()), bowl)


def test_nothing_to_vary():
    points, _ = run(Quadratic(), Problem(Space({"a": [1]})), bowl, 5)
    assert 1 <= len(points) <= 5


def test_options_must_make_sense():
    for options in ({"radius": 0.9}, {"end": 0.3}):
        with pytest.raises(StrategyError, match=next(iter(options))):
            Quadratic(**options)
    with pytest.raises(StrategyError, match="x0"):
        Quadratic(x0=[0.5]).start(cube(2), 0)
