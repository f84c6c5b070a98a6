import json
from pathlib import Path

import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, rosenbrock, run, torture, twins_agree

from thalweg.core.choices import Permutation, Subset
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.annealing import Annealing

GOLDEN = Path(__file__).parents[2] / "golden" / "annealing.json"


def tour(n, seed=0):
    """A round trip through n cities: its space, its length, the best length known from the circle they lie on."""
    angles = np.random.default_rng(seed).permutation(n) * 2 * np.pi / n
    cities = np.column_stack([np.cos(angles), np.sin(angles)])
    space = Space({"route": Permutation(list(range(n)))})

    def values(u):
        order = space.decode(u).astype(int)
        there = cities[order]
        return np.linalg.norm(there - np.roll(there, 1, axis=1), axis=2).sum(axis=1)

    return space, values, 2 * n * np.sin(np.pi / n)


def test_orders_are_solved():
    space, values, best = tour(9)
    ends = [run(Annealing(), Problem(space), values, 1500, seed=seed, batch=4)[1].min() for seed in range(5)]
    guess = values(space.sample(1500, np.random.default_rng(0))).min()
    assert np.median(ends) == pytest.approx(best, rel=1e-9)
    assert guess > 1.1 * best


def test_subsets_are_solved():
    space = Space({"picks": Subset(list(range(16)))})
    wanted = np.random.default_rng(1).random(16) < 0.5
    _, found = run(Annealing(), Problem(space), lambda u: ((u > 0.5) != wanted).sum(axis=1), 600)
    assert found.min() == 0


@pytest.mark.parametrize(("d", "values", "bound"), [(2, rosenbrock, 1e-2), (5, bowl, 1e-3)])
def test_continuous_spaces(d, values, bound):
    ends = [run(Annealing(), cube(d), values, 2000, seed=seed)[1].min() for seed in range(5)]
    assert np.median(ends) < bound


def test_scale_does_not_matter():
    one, _ = run(Annealing(), cube(3), bowl, 300)
    two, _ = run(Annealing(), cube(3), lambda u: 2.0**20 * bowl(u), 300)
    np.testing.assert_array_equal(one, two)


def test_widths_shrink_as_it_cools_and_grow_when_reheated():
    strategy = Annealing(cycle=100)
    strategy.start(cube(3), 0)
    for _ in range(100):
        strategy.tell(answer(strategy, strategy.ask(4), bowl))
    assert strategy.widths.max() < 0.1
    assert strategy.reheated == 0
    for _ in range(400):
        strategy.tell(answer(strategy, strategy.ask(4), lambda u: np.ones(len(u))))
    assert strategy.reheated > 2 and strategy.widths.min() >= 0.05


def test_worse_points_are_taken_while_hot_and_not_when_cold():
    def share(age):
        strategy = Annealing(chains=1, cycle=1000)
        strategy.start(cube(2), 0)
        strategy.tell(answer(strategy, strategy.ask(1), lambda u: np.zeros(len(u))))
        strategy.rise, strategy.rises, taken = 1.0, 50, 0
        for _ in range(300):
            strategy.ages[:], strategy.merits[:], strategy.rise = age, 0.0, 1.0
            strategy.tell(answer(strategy, strategy.ask(1), lambda u: np.ones(len(u))))
            taken += strategy.merits[0] == 1.0
        return taken / 300

    assert share(0) == pytest.approx(np.exp(-1), abs=0.1)
    assert share(900) == 0.0


def test_one_move_per_chain_and_second_ones_for_idle_workers():
    strategy = Annealing(chains=3)
    strategy.start(cube(2), 0)
    first = strategy.ask(10)
    assert len(first) == 3 and strategy.speculates
    answers = answer(strategy, first, bowl)
    strategy.tell(answers.rows(np.array([1])))
    assert not strategy.speculates
    assert len(strategy.ask(10)) == 1
    second = strategy.ask(2)
    assert len(second) == 2 and sorted(strategy.extra_rows.tolist()) == [0, 1]
    strategy.tell(answers.rows(np.array([0, 2])))
    better = answer(strategy, second, lambda u: np.array([-1.0, -2.0]))
    strategy.tell(better)
    assert len(strategy.extra) == 0
    for row in range(2):  # judged by where their chains are: both are better than that
        np.testing.assert_array_equal(strategy.points[row], better.points[row])
    assert strategy.best == -2.0


def test_foreign_points_begin_chains():
    strategy = Annealing()
    strategy.start(cube(3), 0)
    strategy.tell(foreign(np.full((1, 3), 0.9), [1.0]))
    np.testing.assert_allclose(strategy.ask(4).points[0], 0.9)


def test_no_repeats_on_a_finite_space():
    strategy = Annealing()
    points, _ = run(strategy, Problem(finite()), bowl, 1000)
    assert len(points) == len({row.tobytes() for row in points}) == 200
    assert strategy.done


def test_golden_run():
    points, found = run(Annealing(), Problem(mixed()), bowl, 60)
    stored = json.loads(GOLDEN.read_text())["Annealing"]
    np.testing.assert_allclose(points[::6], stored["points"], atol=1e-9)
    np.testing.assert_allclose(found[::6, 0], stored["values"], atol=1e-9)


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(Annealing(), space()) > 30


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(Annealing, Problem(space()), bowl)


@pytest.mark.parametrize("options", [{"chains": 0}, {"cycle": 1}], ids=["chains", "cycle"])
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        Annealing(**options)
