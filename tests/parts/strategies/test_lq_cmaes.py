import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.batch import INFEASIBLE
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.numerics import blas
from thalweg.parts.strategies._cma import Normal
from thalweg.parts.strategies._lq_model import Surrogate
from thalweg.parts.strategies.cmaes import CMAES
from thalweg.parts.strategies.lq_cmaes import LqCMAES


def test_golden():
    check_golden("lq_cmaes", LqCMAES(), atol=1e-6, rtol=1e-3)


def rotated(d: int, condition: float):
    """A convex quadratic whose axes are not those of the box."""
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    weights = condition ** np.linspace(0, 1, d)
    return lambda u: (weights * ((u - 0.37) @ turn) ** 2).sum(axis=1)


def waves(u):
    return 10.0 * (1.0 - np.cos(9.0 * (u - 0.4))).sum(axis=1) + 30.0 * ((u - 0.4) ** 2).sum(axis=1)


def needed(values, d: int, target: float, strategy=None, limit: int = 2000, batch: int = 1, seed: int = 0) -> int:
    """How many times it is asked for `batch` rows until the target is reached."""
    strategy = strategy or LqCMAES()
    strategy.start(cube(d), seed)
    for count in range(1, limit):
        strategy.tell(answer(strategy, strategy.ask(batch), values))
        if strategy.best < target:
            return count
    return limit


@pytest.mark.parametrize("d", [2, 5])
def test_a_quadratic_is_solved_soon_after_the_model_is_determined(d):
    assert needed(rotated(d, 1e4), d, 1e-9) < 30 * d


def test_a_curved_valley_is_followed_to_its_end():
    assert np.median([needed(rosenbrock, 5, 1e-6, seed=seed) for seed in range(3)]) < 400


def test_far_fewer_evaluations_than_without_a_model():
    theirs = needed(rotated(5, 1e3), 5, 1e-6, CMAES(sigma0=0.2, restarts=None))
    assert needed(rotated(5, 1e3), 5, 1e-6) < 0.25 * theirs


def test_one_evaluation_per_generation_where_the_model_is_right_all_where_it_is_useless():
    strategy = LqCMAES()
    run(strategy, cube(3), rotated(3, 10.0), 40, batch=1)
    assert strategy.tau > 0.8 and strategy.number > 25
    strategy = LqCMAES(restarts=False)
    rng = np.random.default_rng(0)
    run(strategy, cube(3), lambda u: rng.random(len(u)), 280, batch=1)
    assert strategy.number < 80  # generations of 7


def test_a_bottom_on_the_border_is_found():
    _, found = run(LqCMAES(), cube(4), lambda u: ((u - [1.2, -0.3, 0.4, 0.5]) ** 2).sum(axis=1), 60, batch=1)
    assert found.min() == pytest.approx(0.2**2 + 0.3**2, abs=1e-8)


def test_starts_where_told_or_at_the_best_foreign_point_or_in_the_middle():
    for options, hints, first in (
        ({"start": [0.9, 0.1]}, False, [0.9, 0.1]),
        ({}, True, [0.8, 0.3]),
        ({}, False, [0.5, 0.5]),
    ):
        strategy = LqCMAES(**options)
        strategy.start(cube(2), 0)
        if hints:
            strategy.tell(foreign(np.array([[0.8, 0.3], [0.1, 0.1]]), [1.0, 2.0]))
        points = strategy.ask(1).points
        np.testing.assert_allclose(strategy.normal.mean, first)
        if not hints:  # nothing is known: the mean is the first point
            np.testing.assert_allclose(points[0], first)


def test_foreign_history_teaches_the_model_before_the_first_ask():
    """With the whole quadratic in the history, the first point is near its bottom."""
    strategy = LqCMAES(sigma=0.1)
    strategy.start(cube(3), 0)
    points = np.random.default_rng(3).random((60, 3)) * 0.3 + 0.25
    strategy.tell(foreign(points, rotated(3, 30.0)(points)))
    asked = strategy.ask(1)
    assert rotated(3, 30.0)(asked.points)[0] < 0.2 * rotated(3, 30.0)(points).min()


def test_far_foreign_points_do_not_disturb_the_model():
    def after(disturbed):
        strategy = LqCMAES()
        strategy.start(cube(4), 1)
        rng = np.random.default_rng(5)
        for _ in range(70):
            strategy.tell(answer(strategy, strategy.ask(1), rotated(4, 100.0)))
            if disturbed:
                points = rng.random((3, 4))
                strategy.tell(foreign(points, rotated(4, 100.0)(points)))
        return rotated(4, 100.0)(strategy.best_point[None])[0]

    assert after(True) < 1e-6 and after(False) < 1e-6


def test_a_better_foreign_point_becomes_a_candidate():
    strategy = LqCMAES(sigma=0.05, start=[0.2, 0.2])
    strategy.start(cube(2), 0)
    for _ in range(12):
        strategy.tell(answer(strategy, strategy.ask(1), bowl))
    strategy.tell(foreign(np.array([[0.7, 0.9]]), [-5.0]))
    while strategy.open:
        strategy.tell(answer(strategy, strategy.ask(1), bowl))
    strategy.ask(1)
    assert (np.abs(strategy.candidates - [0.7, 0.9]).max(axis=1) < 1e-12).any()


def test_several_rows_at_once_follow_the_models_order_and_help():
    strategy = LqCMAES()
    strategy.start(cube(4), 0)
    strategy.tell(answer(strategy, strategy.ask(4), bowl))
    while strategy.open:
        strategy.tell(answer(strategy, strategy.ask(1), bowl))
    assert strategy.speculates and strategy.stride == 1
    rows = strategy.ask(3).points
    predicted = strategy.surrogate.values(rows)
    assert (np.diff(predicted) >= 0).all()
    rounds = [needed(rosenbrock, 5, 1e-6, batch=batch) for batch in (1, 5)]
    assert rounds[1] < 0.7 * rounds[0]


def test_answers_to_closed_generations_are_learnt_by_the_model():
    strategy = LqCMAES()
    strategy.start(cube(3), 0)
    for _ in range(20):
        strategy.tell(answer(strategy, strategy.ask(1), bowl))
    two = answer(strategy, strategy.ask(4), bowl)
    assert len(two) == 4
    strategy.tell(two.rows(np.array([0])))
    assert not strategy.open
    known = len(strategy.surrogate)
    strategy.tell(two.rows(np.array([1, 2, 3])))
    assert len(strategy.surrogate) == known + 3 and not strategy.places


def test_without_restarts_it_ends_and_says_why():
    strategy = LqCMAES(restarts=False)
    points, found = run(strategy, cube(3), bowl, 2000, batch=1)
    assert strategy.done and "converged" in strategy.why
    assert found.min() < 1e-12 and len(points) < 250


def test_models_are_made_with_one_blas_thread(monkeypatch):
    switches = blas._switches(blas._loaded())
    if not switches:
        pytest.skip("no OpenBLAS in this process")
    seen, fit, sample = set(), Surrogate.fit, Normal.sample
    monkeypatch.setattr(Surrogate, "fit", lambda *given: seen.add(switches[0][0]()) or fit(*given))
    monkeypatch.setattr(Normal, "sample", lambda *given: seen.add(switches[0][0]()) or sample(*given))
    before = [get() for get, _ in switches]
    try:
        for _, put in switches:
            put(2)
        run(LqCMAES(), cube(4), rosenbrock, 60, seed=1, batch=1)
        assert seen == {1} and switches[0][0]() == 2
    finally:
        for (_, put), count in zip(switches, before, strict=True):
            put(count)


def test_restarts_share_the_budget_and_find_other_basins():
    strategy = LqCMAES()
    _, found = run(strategy, cube(2), waves, 1500, batch=1)
    assert found.min() < 1e-6
    assert strategy.runs > 4 and strategy.doublings >= 1
    assert min(strategy.spent) > 0.15 * sum(strategy.spent)


def test_the_best_point_apart_from_known_ends():
    surrogate = Surrogate.empty(2)
    surrogate.add(np.array([[0.5, 0.5], [0.52, 0.5], [0.9, 0.5], [0.1, 0.1]]), np.array([0.0, 1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(surrogate.best_apart(np.array([[0.5, 0.5]]), 0.1), [0.9, 0.5])
    assert surrogate.best_apart(np.array([[0.5, 0.5], [0.8, 0.4], [0.1, 0.1]]), 0.2) is None


def test_history_is_bounded_and_the_newest_stay():
    surrogate = Surrogate.empty(2)
    for i in range(50):
        surrogate.add(np.full((100, 2), i / 50), np.full(100, float(i)))
    assert len(surrogate) < 2000 and surrogate.merits[-1] == 49.0
    surrogate.add(np.zeros((1, 2)), np.array([-1.0]), newest=False)
    assert surrogate.merits[0] == -1.0
    surrogate.turn_to(np.full(2, 0.9))
    assert surrogate.merits[-1] == 45.0


def test_failures_are_as_bad_as_the_worst_and_violations_count_until_the_constraint_holds():
    surrogate = Surrogate.empty(1)
    surrogate.add(np.array([[0.1], [0.2]]), np.array([INFEASIBLE * 1.5, np.inf]))
    assert surrogate.violating
    np.testing.assert_allclose(surrogate.heights(surrogate.merits), [1.0, np.inf])
    surrogate.add(np.array([[0.3]]), np.array([4.0]))
    assert not surrogate.violating
    np.testing.assert_allclose(surrogate.heights(surrogate.merits), [np.inf, np.inf, 4.0])


def test_the_border_of_failure_is_reached():
    """The bottom lies where everything fails: the best point that works is on the border."""
    strategy = LqCMAES(start=[0.2, 0.2])
    strategy.start(cube(2), 0)
    for _ in range(150):
        asked = strategy.ask(1)
        strategy.tell(answer(strategy, asked, lambda u: ((u - 0.7) ** 2).sum(axis=1), failed=asked.points[:, 0] > 0.5))
    assert strategy.best < 0.2**2 + 0.01


def test_violations_are_minimised_until_the_constraint_holds():
    strategy = LqCMAES(start=[0.2, 0.2], sigma=0.1)
    strategy.start(cube(2), 0)
    held = []
    for _ in range(150):
        asked = strategy.ask(1)
        over = np.maximum(1.4 - asked.points.sum(axis=1), 0.0)
        held += (over == 0).tolist()
        strategy.tell(answer(strategy, asked, lambda u: u @ [1.0, 2.0], violations=over))
    assert any(held) and not held[0]
    assert strategy.best < 2.0  # the best is 1.8, anywhere on the border at most 2.4


def test_all_rows_fail():
    strategy = LqCMAES()
    strategy.start(cube(2), 0)
    for _ in range(60):
        asked = strategy.ask(100)
        assert len(asked)
        strategy.tell(answer(strategy, asked, bowl, failed=np.ones(len(asked), bool)))
    assert strategy.runs >= 2  # somewhere else


def test_huge_and_tiny_values_make_no_difference():
    runs = [run(LqCMAES(), cube(3), lambda u, k=k: k * rosenbrock(u), 60, batch=1)[0] for k in (1.0, 2.0**80)]
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-6)


def test_mixed_spaces_are_searched():
    _, found = run(LqCMAES(), Problem(mixed()), bowl, 150, batch=1)
    first = bowl(Problem(mixed()).space.snap(np.full((1, 6), 0.5)))[0]
    assert found.min() < 0.3 * first


def test_finite_spaces_never_repeat_and_end():
    points, _ = run(LqCMAES(), Problem(finite()), bowl, 1000, batch=5)
    assert len(points) == len({row.tobytes() for row in points}) == 200


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(LqCMAES(), space()) > 30


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(LqCMAES, Problem(space()), bowl)


def test_nothing_to_vary():
    points, _ = run(LqCMAES(), Problem(Space({"a": [1]})), bowl, 5)
    assert 1 <= len(points) <= 5


def test_options_must_make_sense():
    for options, name in (({"sigma": 0.0}, "sigma"), ({"population": 2}, "population")):
        with pytest.raises(StrategyError, match=name):
            LqCMAES(**options)
    with pytest.raises(StrategyError, match="start"):
        LqCMAES(start=[0.5]).start(cube(2), 0)


def test_very_many_columns_go_without_the_model():
    d = 150  # a model of them would have 11,476 terms, and its equations a gigabyte
    strategy = LqCMAES(start=[0.3] * d)
    strategy.start(cube(d), 0)
    worth = []
    for _ in range(400):
        proposals = strategy.ask(5)
        strategy.tell(answer(strategy, proposals, bowl))
        worth.append(float(bowl(proposals.points).min()))
    assert not strategy.surrogate.fitted and strategy.tau == 0.0
    assert strategy.normal.generation > 50 and np.mean(worth[-40:]) < 0.5 * np.mean(worth[1:40])
