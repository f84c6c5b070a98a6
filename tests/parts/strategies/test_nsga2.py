import json
import os
from pathlib import Path

import numpy as np
import pytest
from driving import ALL_SPACES, answer, cube, finite, foreign, mixed, run, torture, twins_agree

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.space import Space
from thalweg.numerics.dominance import front
from thalweg.numerics.hypervolume import hypervolume
from thalweg.parts.strategies.nsga2 import NSGA2

GOLDEN = Path(__file__).parents[2] / "golden" / "nsga2.json"


def two(space):
    return Problem(space, objectives=objectives_of(2))


def bowls(u):
    return np.column_stack([((u - 0.2) ** 2).sum(axis=1), ((u - 0.7) ** 2).sum(axis=1)])


def zdt1(u):
    g = 1 + 9 * u[:, 1:].mean(axis=1)
    return np.column_stack([u[:, 0], g * (1 - np.sqrt(u[:, 0] / g))])


def test_the_front_of_zdt1():
    strategy = NSGA2(population=60)
    run(strategy, two(cube(10).space), zdt1, 9000, seed=1)
    assert len(strategy.members) == 60
    assert (strategy.ranks == 0).mean() > 0.9
    # the true front's volume below (1.1, 1.1) is 0.1 * 0.1 + 0.1 + 2/3 + 0.1 = 0.8767 (approached with 60 points)
    volume = hypervolume(strategy.values, np.array([1.1, 1.1]))
    assert 0.86 < volume < 0.8767
    f = np.sort(strategy.values[:, 0])
    assert f[0] < 0.01 and f[-1] > 0.97 and np.diff(f).max() < 0.08  # all of it, evenly


def test_beats_random_points_by_far_on_three_objectives():
    problem = Problem(cube(7).space, objectives=objectives_of(3))

    def dtlz2(u):
        g = ((u[:, 2:] - 0.5) ** 2).sum(axis=1)
        a, b = u[:, 0] * np.pi / 2, u[:, 1] * np.pi / 2
        return (1 + g)[:, None] * np.column_stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])

    _, found = run(NSGA2(), problem, dtlz2, 2000)
    guess = dtlz2(problem.space.sample(2000, np.random.default_rng(0)))
    reference = np.full(3, 1.2)
    mine, theirs = (hypervolume(v[front(v)], reference) for v in (found, guess))
    best = 1.2**3 - np.pi / 6
    assert best - mine < 0.4 * (best - theirs)


def test_constrained_domination():
    problem = two(cube(4).space)
    strategy = NSGA2(population=40)
    strategy.start(problem, 0, 3000)
    for _ in range(60):
        proposals = strategy.ask(40)
        violations = np.maximum(0.0, 0.5 - proposals.points[:, 0]) + np.maximum(0.0, proposals.points[:, 1] - 0.3)
        strategy.tell(answer(strategy, proposals, bowls, violations=violations))
    assert (strategy.violations == 0).all()
    # of the front between the bowls, x0 >= 0.5 is left
    assert strategy.members[:, 0].min() == pytest.approx(0.5, abs=0.02)


def test_survivors_are_the_best_fronts_then_the_emptiest_places():
    strategy = NSGA2(population=4, brood=4)
    strategy.start(two(cube(2).space), 0, 100)
    first = strategy.ask(4)
    values = np.array([[0.0, 4.0], [4.0, 0.0], [1.0, 3.0], [9.0, 9.0]])
    strategy.tell(answer(strategy, first, lambda u: values))
    second = strategy.ask(4)
    more = np.array([[1.1, 2.9], [2.5, 1.5], [8.0, 8.0], [np.nan, 0.0]])
    strategy.tell(answer(strategy, second, lambda u: more, failed=np.array([False, False, False, True])))
    kept = {tuple(row) for row in strategy.values}
    assert kept == {(0.0, 4.0), (4.0, 0.0), (2.5, 1.5), (1.1, 2.9)}


def test_one_objective_too():
    _, found = run(NSGA2(), cube(4), lambda u: ((u - 0.3) ** 2).sum(axis=1), 1500)
    assert found.min() < 1e-3


def test_no_duplicates():
    points, _ = run(NSGA2(population=20), two(mixed()), bowls, 300)
    assert len({row.tobytes() for row in points}) == len(points)


def test_finite_spaces_are_covered_without_repeats():
    strategy = NSGA2(population=20)
    points, _ = run(strategy, two(finite()), bowls, 1000)
    assert len(points) == len({row.tobytes() for row in points}) == 200
    assert strategy.done


def test_foreign_points_join_the_population():
    strategy = NSGA2(population=10)
    strategy.start(two(cube(3).space), 0, 200)
    strategy.tell(foreign(np.full((1, 3), 0.2), [[0.0, 0.75]]))
    strategy.tell(answer(strategy, strategy.ask(20), bowls))
    assert (strategy.values == [0.0, 0.75]).all(axis=1).any()


def test_golden_run():
    points, found = run(NSGA2(population=12), two(mixed()), bowls, 96)
    kept = {"points": points[::12].tolist(), "values": found[::12].tolist()}
    if os.environ.get("THALWEG_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps({"NSGA2": kept}))
    stored = json.loads(GOLDEN.read_text())["NSGA2"]
    np.testing.assert_allclose(kept["points"], stored["points"], atol=1e-9)
    np.testing.assert_allclose(kept["values"], stored["values"], atol=1e-9)


def test_a_warm_start_of_any_length_is_selected_by_worth_not_by_age():
    strategy = NSGA2(population=20)
    strategy.start(two(cube(3).space), 0, 200)
    spare = np.random.default_rng(0).random((900, 3))
    spare[:20] = np.linspace(0.2, 0.7, 20)[:, None]  # the front itself came first
    strategy.tell(foreign(spare, bowls(spare)))
    first = strategy.ask(4)
    assert len(first) == 4
    assert len(strategy.members) == 20
    assert (strategy.values == bowls(spare[:1])).all(axis=1).any()
    assert np.median(np.ptp(first.points, axis=1)) < 0.2  # children of the front, not a new design


def test_those_who_ask_for_more_get_larger_broods():
    strategy = NSGA2()
    strategy.start(two(cube(3).space), 0, 600)
    assert strategy.size == 20
    strategy.tell(answer(strategy, strategy.ask(20), bowls))
    assert len(strategy.ask(100)) == 20  # no more than there are members
    strategy = NSGA2()
    strategy.start(two(cube(3).space), 0, 600)
    strategy.tell(answer(strategy, strategy.ask(20), bowls))
    assert len(strategy.ask(4)) == 4
    again = strategy.ask(9)  # a brood of four, of which nothing is heard: as many more as are asked for
    assert len(again) == 9


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(NSGA2(population=8), space(), objectives=2, values=bowls) > 60


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(lambda: NSGA2(population=8), two(space()), bowls)


def test_all_rows_fail():
    strategy = NSGA2(population=8)
    strategy.start(two(Space([(0.0, 1.0)] * 2)), 0, 100)
    for _ in range(6):
        proposals = strategy.ask(100)
        assert len(proposals)
        strategy.tell(answer(strategy, proposals, bowls, failed=np.ones(len(proposals), bool)))
    assert not len(strategy.members)


@pytest.mark.parametrize(
    "options", [{"population": 3}, {"crossover_prob": 2}, {"mutation_prob": -1}, {"eta_crossover": -1}]
)
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        NSGA2(**options)
