import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, foreign, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.batch import Answers
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.parts.strategies.quasi_newton import QuasiNewton, downhill


def test_golden():
    # differences amplify what other builds of LAPACK round otherwise
    check_golden("quasi_newton", QuasiNewton(), kept=14, atol=1e-6, rtol=1e-3)


def rippled(d: int, condition: float):
    """A narrow valley across the box's axes, with ripples at all scales that no quadratic shows (COCO's T_osz)."""
    turn = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    weights = condition ** np.linspace(0, 1, d)

    def values(u):
        x = 10.0 * (u - 0.37) @ turn
        log = np.log(np.maximum(np.abs(x), 1e-300))
        first, second = np.where(x > 0, 10.0, 5.5), np.where(x > 0, 7.9, 3.1)
        return (weights * np.exp(2 * log + 0.098 * (np.sin(first * log) + np.sin(second * log)))).sum(axis=1)

    return values


def test_the_gradient_is_a_batch():
    strategy = QuasiNewton(x0=[0.5, 1.0, 0.0])
    strategy.start(cube(3), 0)
    first = strategy.ask(9)
    np.testing.assert_allclose(first.points, [[0.5, 1.0, 0.0]])
    assert strategy.all_out and strategy.speculates
    strategy.tell(answer(strategy, first, bowl))
    assert strategy.stride == 3
    rows = strategy.ask(9).points
    assert len(rows) == 3
    steps = rows - first.points[0]
    assert (np.count_nonzero(steps, axis=1) == 1).all()
    assert steps[0, 0] > 0 and steps[1, 1] < 0 < steps[2, 2]  # inwards at the faces
    assert np.abs(steps).max() < 1e-7


def on_a_line(**options):
    """A strategy whose first point on a line is out: (itself, that point)."""
    strategy = QuasiNewton(**options)
    strategy.start(cube(3), 0)
    while strategy.phase != "line":
        strategy.tell(answer(strategy, strategy.ask(9), bowl))
    return strategy, strategy.ask(9)


def test_idle_workers_evaluate_the_differences_around_a_point_that_is_out():
    strategy, point = on_a_line(x0=[0.5, 0.9, 0.1])
    beside = strategy.ask(7)
    assert len(point) == 1 and len(beside) == 7
    assert (np.count_nonzero(beside.points[:3] != point.points[0], axis=1) == 1).all()
    nearer = beside.points[3]
    np.testing.assert_allclose(nearer - strategy.point, 0.3 * (point.points[0] - strategy.point), rtol=1e-6, atol=1e-12)
    assert (np.count_nonzero(beside.points[4:] != nearer, axis=1) == 1).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (0, 3, 2, 1)])
def test_what_is_known_around_an_accepted_point_is_its_slope(order):
    strategy, point = on_a_line(x0=[0.5, 0.9, 0.1])
    beside = strategy.ask(3)
    twin, alone = on_a_line(x0=[0.5, 0.9, 0.1])
    points = np.concatenate([point.points, beside.points])
    tickets = np.concatenate([point.tickets, beside.tickets])
    values = bowl(points)
    done = np.zeros(1, dtype=np.int8)
    for row in order:
        strategy.tell(Answers(tickets[row : row + 1], points[row : row + 1], values[row : row + 1, None], done))
    twin.tell(answer(twin, alone, bowl))
    assert twin.phase == "slope"  # accepted
    twin.tell(answer(twin, twin.ask(9), bowl))
    assert strategy.phase == twin.phase == "line" and strategy.iterations == twin.iterations
    np.testing.assert_allclose(strategy.gradient, twin.gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(strategy.trial[0], twin.trial[0], rtol=1e-3, atol=1e-4)


def test_a_nearer_point_goes_where_the_whole_step_brings_nothing():
    strategy, point = on_a_line(x0=[0.5, 0.9, 0.1])
    height, beside = strategy.height, strategy.ask(7)
    done = np.zeros(1, dtype=np.int8)
    strategy.tell(Answers(beside.tickets[3:4], beside.points[3:4], np.array([[height - 1e3]]), done))
    assert strategy.phase == "line"  # it waits for the whole step
    strategy.tell(Answers(point.tickets, point.points, np.array([[height + 1.0]]), done))
    np.testing.assert_array_equal(strategy.point, beside.points[3])
    assert strategy.phase == "slope" and strategy.given.all()
    np.testing.assert_array_equal(strategy.trial[:3], beside.points[4:])


def test_a_random_point_that_beats_all_is_where_the_run_goes_on():
    strategy, point = on_a_line(x0=[0.5, 0.9, 0.1])
    beside, random = strategy.ask(7), strategy.ask(1)
    done = np.zeros(1, dtype=np.int8)
    strategy.tell(answer(strategy, point, bowl))  # accepted: what is out beside it is of an earlier phase
    strategy.tell(Answers(random.tickets, random.points, np.array([[-50.0]]), done))
    assert strategy.guest == -50.0
    assert strategy.phase == "slope"
    strategy.tell(answer(strategy, beside, bowl))
    assert strategy.phase == "line"
    strategy.tell(answer(strategy, strategy.ask(1), bowl))
    np.testing.assert_array_equal(strategy.point, random.points[0])


def test_as_many_workers_as_a_point_and_its_differences_need_half_the_rounds():
    def rounds(workers):
        strategy, count, best = QuasiNewton(), 0, np.inf
        strategy.start(cube(4), 0)
        while best > 1e-6:
            asked = [strategy.ask(workers)]
            while sum(map(len, asked)) < workers and len(more := strategy.ask(workers - sum(map(len, asked)))):
                asked.append(more)
            for proposals in asked:
                told = answer(strategy, proposals, rosenbrock)
                best = min(best, told.values.min())
                strategy.tell(told)
            count += 1
        return count

    assert rounds(5) < 0.65 * rounds(4)


def test_narrow_valleys_with_ripples_are_followed_to_the_end():
    values = rippled(10, 1e6)
    _, found = run(QuasiNewton(), cube(10), values, 1500, batch=1)
    assert found.min() < 1e-9 * values(np.full((1, 10), 0.5))[0]


def test_differences_are_as_fine_as_curvature_wants():
    values = rippled(5, 1e6)
    _, found = run(QuasiNewton(restarts=False), cube(5), lambda u: values(u) + 100.0, 400, batch=1)
    assert found.min() - 100.0 < 1e-5  # differences of 1.5e-9 of the box ended above it


def test_from_a_valley_that_others_found_steps_are_as_long_as_it_bends():
    """One steep direction, and flat ones beside it that nothing is known of: full steps would cross the box."""
    values = rippled(20, 1.0)
    steep = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0][:, 0]

    def discus(u):
        return values(u) + 1e6 * np.square((u - 0.37) @ steep * 10.0)

    start = 0.5 - np.full(20, 0.13) @ steep * steep  # the steep direction is settled
    strategy = QuasiNewton(restarts=False)
    strategy.start(cube(20), 0)
    strategy.tell(foreign(start[None], discus(start[None])))
    _, found = run(strategy, cube(20), discus, 600, batch=1, start=False)
    assert found.min() < 1e-5 * discus(start[None])[0]  # 2.5e-4 with a flatter first Hessian and no limit


def test_on_a_sharp_ridge_steps_do_not_die_out():
    along = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0]

    def ridge(u):
        x = 10.0 * (u - 0.3) @ along
        return x[:, 0] ** 2 + 100.0 * np.linalg.norm(x[:, 1:], axis=1)

    start = np.full(5, 0.5)
    _, found = run(QuasiNewton(restarts=False, x0=start), cube(5), ridge, 200, batch=1)
    assert found.min() < 1e-4 * ridge(start[None])[0]  # 5e-3 if every step is limited


def test_steps_and_noise_are_seen_over():
    rng = np.random.default_rng(0)

    def stairs(u):
        return np.floor(40 * ((u - 0.3) ** 2).sum(axis=1))

    def noisy(u):
        return ((u - 0.3) ** 2).sum(axis=1) + 1e-4 * rng.normal(size=len(u))

    assert run(QuasiNewton(restarts=False), cube(4), stairs, 200, batch=1)[1].min() <= 1 < stairs(np.full((1, 4), 0.5))
    points, found = run(QuasiNewton(restarts=False), cube(4), noisy, 200, batch=1)
    assert ((points[np.argmin(found)] - 0.3) ** 2).sum() < 0.1 * 4 * 0.2**2


def test_the_first_step_goes_down_to_a_face():
    step = downhill(np.array([2.0, -1.0, 1.0]), np.array([-0.5, -0.5, 0.0]), np.array([0.5, 0.5, 1.0]))
    np.testing.assert_allclose(step, [-0.5, 0.25, 0.0])  # the third is at its face already
    np.testing.assert_array_equal(downhill(np.zeros(2), -np.ones(2), np.ones(2)), [0.0, 0.0])


def test_a_bent_valley_is_followed():
    _, found = run(QuasiNewton(), cube(4), rosenbrock, 400, batch=1)
    assert found.min() < 1e-6


def test_a_bottom_on_the_border_is_found():
    _, found = run(QuasiNewton(), cube(4), lambda u: ((u - [1.2, -0.3, 0.4, 0.5]) ** 2).sum(axis=1), 60, batch=1)
    assert found.min() == pytest.approx(0.2**2 + 0.3**2, abs=1e-9)


def test_long_valleys_of_many_columns_are_followed_to_the_end():
    # -5 to 5: about .2; with the first Hessian for all that no step has seen 3.6
    _, found = run(QuasiNewton(), cube(20), lambda u: rosenbrock((10.0 * u - 3.3) / 4.0), 2000, batch=1)
    assert found.min() < 1.0


def test_it_begins_at_the_best_foreign_point_without_evaluating_it_again():
    strategy = QuasiNewton()
    strategy.start(cube(2), 0)
    strategy.tell(foreign(np.array([[0.8, 0.3], [0.1, 0.1]]), [1.0, 2.0]))
    rows = strategy.ask(9).points
    assert len(rows) == 2
    np.testing.assert_allclose(rows, [[0.8, 0.3]] * 2, atol=1e-8)
    assert (rows != [0.8, 0.3]).any(axis=1).all()


def test_a_better_foreign_point_is_where_the_run_goes_on():
    strategy = QuasiNewton()
    strategy.start(cube(2), 0)
    for _ in range(3):
        strategy.tell(answer(strategy, strategy.ask(9), rosenbrock))
    strategy.tell(foreign(np.array([[0.7, 0.7]]), [-1.0]))
    for _ in range(20):
        asked = strategy.ask(9)
        if np.abs(asked.points - 0.7).max() < 1e-6:
            break
        strategy.tell(answer(strategy, asked, rosenbrock))
    assert np.abs(asked.points - 0.7).max() < 1e-6 and strategy.runs == 1


def test_restarts_leave_a_local_minimum():
    def values(u):
        return np.minimum(((u - 0.45) ** 2).sum(axis=1) + 0.1, 3 * ((u - 0.9) ** 2).sum(axis=1))

    strategy = QuasiNewton()
    _, found = run(strategy, cube(2), values, 400)
    assert strategy.runs > 2 and found.min() < 1e-8
    assert min(strategy.spent) > 0.1 * sum(strategy.spent)


def test_without_restarts_it_ends_and_says_why():
    strategy = QuasiNewton(restarts=False)
    run(strategy, cube(2), bowl, 400, batch=1)
    assert strategy.done and "gained" in strategy.why


def test_failures_on_a_line_shorten_it():
    strategy = QuasiNewton(x0=[0.2, 0.2])
    strategy.start(cube(2), 0)
    for _ in range(80):
        asked = strategy.ask(9)
        strategy.tell(answer(strategy, asked, lambda u: ((u - 0.7) ** 2).sum(axis=1), failed=asked.points[:, 0] > 0.5))
    assert strategy.best < 0.2**2 + 0.05
    assert strategy.best_point[0] <= 0.5


def test_all_rows_fail():
    strategy = QuasiNewton()
    strategy.start(cube(2), 0)
    for _ in range(60):
        asked = strategy.ask(100)
        assert len(asked)
        strategy.tell(answer(strategy, asked, bowl, failed=np.ones(len(asked), bool)))


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(QuasiNewton(), space()) > 10


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(QuasiNewton, Problem(space()), bowl)


def test_enormous_values_give_no_warnings():
    def steps(points):
        return np.where(np.sin(37 * (points * 10 - 5) @ np.arange(1, 6)) > 0, 1.7e308, -1.7e308)

    with np.errstate(over="raise"):
        assert len(run(QuasiNewton(), cube(5), steps, 80, seed=0, batch=1)[0]) == 80


def test_options_must_make_sense():
    with pytest.raises(StrategyError, match="x0"):
        QuasiNewton(x0=[0.5]).start(cube(2), 0)
