import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, foreign, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.parts.strategies.quasi_newton import QuasiNewton, downhill, updated


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


def test_the_gradient_is_a_batch_and_so_many_rows_wait():
    strategy = QuasiNewton(x0=[0.5, 1.0, 0.0])
    strategy.start(cube(3), 0)
    first = strategy.ask(9)
    np.testing.assert_allclose(first.points, [[0.5, 1.0, 0.0]])
    assert len(strategy.ask(9)) == 0
    strategy.tell(answer(strategy, first, bowl))
    assert strategy.stride == 3
    rows = strategy.ask(9).points
    assert len(rows) == 3
    steps = rows - first.points[0]
    assert (np.count_nonzero(steps, axis=1) == 1).all()
    assert steps[0, 0] > 0 and steps[1, 1] < 0 < steps[2, 2]  # inwards at the faces
    assert np.abs(steps).max() < 1e-7


def test_narrow_valleys_with_ripples_are_followed_to_the_end():
    values = rippled(10, 1e6)
    _, found = run(QuasiNewton(), cube(10), values, 1500, batch=1)
    assert found.min() < 1e-9 * values(np.full((1, 10), 0.5))[0]


def test_differences_are_as_fine_as_curvature_wants():
    values = rippled(5, 1e6)
    _, found = run(QuasiNewton(restarts=False), cube(5), lambda u: values(u) + 100.0, 400, batch=1)
    assert found.min() - 100.0 < 1e-5  # differences of 1.5e-9 of the box ended above it


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


def test_the_update_keeps_the_secant_and_stays_definite():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    true, hessian = root @ root.T + np.eye(4), np.eye(4)
    for step in rng.normal(size=(6, 4)):
        hessian = updated(hessian, step, true @ step)
        np.testing.assert_allclose(hessian @ step, true @ step, rtol=1e-9)
    step = rng.normal(size=4)
    bent = updated(hessian, step, -(true @ step))  # bends downwards
    assert np.linalg.eigvalsh(bent).min() > 0
    assert step @ bent @ step == pytest.approx(0.2 * (step @ hessian @ step))


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


def test_options_must_make_sense():
    with pytest.raises(StrategyError, match="x0"):
        QuasiNewton(x0=[0.5]).start(cube(2), 0)
