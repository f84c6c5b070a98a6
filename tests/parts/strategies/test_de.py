import inspect

import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.choices import Choice
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.de import DE, others
from thalweg.parts.strategies.random_search import Random

CLASSIC = ["rand1bin", "best1bin", "currenttobest1bin", "randtobest1bin", "rand2bin", "best2bin", "currenttorand1"]


def ellipsoid(points):
    return (np.logspace(0, 6, points.shape[1]) * (points - 0.3) ** 2).sum(axis=1)


def rastrigin(points):
    x = (points - 0.41) * 10.24
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(axis=1)


def best(make, values, d, budget, seeds=range(3)):
    return float(np.median([run(make(), cube(d), values, budget, seed=s)[1].min() for s in seeds]))


def test_golden():
    check_golden("de", DE(population=12), budget=90, kept=80)


@pytest.mark.parametrize("variant", CLASSIC)
def test_golden_of_the_classic_ones(variant):
    check_golden(f"de_{variant}", DE(population=12, variant=variant), budget=90, kept=80)


@pytest.mark.parametrize(
    ("values", "d", "budget", "goal"),
    [(bowl, 10, 3000, 1e-6), (ellipsoid, 5, 2500, 1e-4), (rosenbrock, 5, 4000, 1e-3), (rastrigin, 5, 5000, 1.0)],
)
def test_reaches_what_random_search_cannot(values, d, budget, goal):
    found = best(DE, values, d, budget)
    assert found < goal
    assert found < 0.02 * best(Random, values, d, budget)


@pytest.mark.parametrize("variant", CLASSIC)
def test_classic_variants_beat_random_search(variant):
    make = lambda: DE(population=20, variant=variant)  # noqa: E731
    assert best(make, bowl, 5, 1500) < 0.2 * best(Random, bowl, 5, 1500)


def test_beats_scipys_at_equal_evaluations():
    from scipy.optimize import differential_evolution

    seeded = "rng" if "rng" in inspect.signature(differential_evolution).parameters else "seed"  # SciPy < 1.15
    wins = 0
    for values in (bowl, ellipsoid, rosenbrock, rastrigin):
        theirs = []
        for seed in range(3):
            found = differential_evolution(
                lambda x, f=values: f(x.T),
                [(0, 1)] * 5,
                maxiter=2000 // 75 - 1,  # population 15 x 5, the first one included
                polish=False,
                vectorized=True,
                updating="deferred",
                **{seeded: seed},
                tol=0,
            )
            theirs.append(found.fun)
        wins += best(DE, values, 5, 2000) < np.median(theirs)
    assert wins == 4


def test_the_population_falls_linearly_with_the_budget():
    strategy = DE(population=60)
    strategy.start(cube(4), 0, 2000)
    sizes = []
    while strategy.told < 2000:
        proposals = strategy.ask(2000 - strategy.told)
        strategy.tell(answer(strategy, proposals, rosenbrock))
        sizes.append((strategy.told, strategy.size))
    for told, size in sizes[1:-1]:
        assert abs(size - (60 + (6 - 60) * told / 2000)) <= size // 16 + 2
    assert strategy.runs == 1


def test_parents_are_replaced_only_by_trials_that_are_not_worse():
    strategy = DE(population=10)
    strategy.start(cube(3), 0)
    strategy.tell(answer(strategy, strategy.ask(10), bowl))
    before = strategy._merit.copy()
    parents = strategy._pool[:10].copy()
    trials = answer(strategy, strategy.ask(10), bowl)
    strategy.tell(trials)
    better = trials.values[:, 0] <= before
    np.testing.assert_array_equal(strategy._merit, np.where(better, trials.values[:, 0], before))
    np.testing.assert_array_equal(strategy._pool[:10], np.where(better[:, None], trials.points, parents))
    assert strategy._archived == (trials.values[:, 0] < before).sum()
    archive = strategy._pool[10 : 10 + strategy._archived]
    np.testing.assert_array_equal(archive, parents[trials.values[:, 0] < before])


def test_others_are_all_different():
    picks = np.stack([np.arange(9), *others(9, 5, np.random.default_rng(0))])
    for column in picks.T:
        assert len(set(column.tolist())) == 6
    assert {int(x) for s in range(50) for x in others(6, 1, np.random.default_rng(s))[0][:1]} == {1, 2, 3, 4, 5}


def test_trials_stay_inside_and_reach_the_corner():
    points, values = run(DE(), cube(4), lambda p: p.sum(axis=1), 1500)
    assert ((points >= 0) & (points <= 1)).all()
    assert values.min() < 1e-6


def test_labels_are_crossed_over_and_none_is_lost_for_good():
    space = Space({"c": Choice(list("abcdefgh")), "x": Float(0, 1)})
    target = 5  # neighbours of the right label are as wrong as any

    def values(points):
        wrong = np.floor(points[:, 0] * 8) != target
        return wrong * 1.0 + (points[:, 1] - 0.77) ** 2

    points, found = run(DE(population=8), Problem(space), values, 600)
    assert found.min() < 1e-4
    assert len(np.unique(points[:, 0])) == 8


def test_steps_are_dithered_so_that_integers_move():
    space = Space({"n": Integer(0, 50), "m": Integer(0, 50), "x": Float(0, 1)})

    def values(points):
        n, m = np.floor(points[:, 0] * 51), np.floor(points[:, 1] * 51)
        return (n - 37) ** 2 + (m - n + 20) ** 2 + (points[:, 2] - 0.2) ** 2

    found = [run(DE(), Problem(space), values, 1200, seed=s)[1].min() for s in range(3)]
    assert np.median(found) < 1e-3


def test_finite_spaces_are_covered_without_repeats():
    strategy = DE()
    points, _ = run(strategy, Problem(finite()), bowl, 100, batch=8)
    assert len(np.unique(points, axis=0)) == len(points) == 100
    strategy = DE()
    points, _ = run(strategy, Problem(finite()), bowl, 10_000, batch=8)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done


def test_a_collapsed_population_begins_again():
    strategy = DE(population=8)
    strategy.start(cube(2), 0)
    for _ in range(400):
        strategy.tell(answer(strategy, strategy.ask(8), bowl))
    assert strategy.runs > 1
    still = DE(population=8, restarts=False)
    still.start(cube(2), 0)
    for _ in range(400):
        still.tell(answer(still, still.ask(8), bowl))
    assert still.runs == 1


def test_a_warm_start_is_never_worse_than_what_it_was_given():
    rng = np.random.default_rng(0)
    known = np.clip(0.3217 + 0.02 * rng.standard_normal((30, 6)), 0, 1)
    cold, warm = DE(), DE()
    _, alone = run(cold, cube(6), bowl, 300)
    warm.start(cube(6), 0, 300)
    warm.tell(foreign(known, bowl(known)))
    first = warm.ask(1000)
    warm.tell(answer(warm, first, bowl))
    assert warm._merit.min() <= bowl(known).min()
    assert len(first) < warm.first_size  # members that are known are not evaluated again
    _, helped = run(warm, cube(6), bowl, 250, start=False)
    assert helped.min() < 0.2 * alone.min()


def test_foreign_answers_between_generations_become_members():
    strategy = DE(population=10)
    strategy.start(cube(3), 0)
    strategy.tell(answer(strategy, strategy.ask(10), bowl))
    point = np.full((1, 3), 0.3217)
    strategy.tell(foreign(point, bowl(point)))
    strategy.ask(10)
    assert (strategy._pool[:10] == point).all(axis=1).sum() == 1
    assert strategy._merit.min() == bowl(point)[0]


def test_failed_rows_never_become_parents_of_a_difference_that_counts():
    strategy = DE(population=12)
    strategy.start(cube(3), 0)
    first = strategy.ask(12)
    failed = np.arange(12) % 2 == 0
    strategy.tell(answer(strategy, first, bowl, failed=failed))
    for _ in range(30):
        strategy.tell(answer(strategy, strategy.ask(12), bowl))
    assert np.isfinite(strategy._merit).all()
    assert strategy._merit.min() < 1e-2


@pytest.mark.parametrize("options", [{}, {"variant": "rand1bin"}, {"quorum": 0.5}])
def test_state_and_disorder(options):
    for make in ALL_SPACES:
        twins_agree(lambda: DE(population=8, **options), Problem(make()), bowl)
        assert torture(DE(population=8, **options), make()) > 50
    twins_agree(lambda: DE(population=8, **options), Problem(mixed()), bowl, before=12, batch=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "best3exp"}, "variant is one of shade, rand1bin"),
        ({"population": 3}, "at least 4"),
        ({"F": 0.0}, "F is a number"),
        ({"F": (0.9, 0.5)}, "F is a number"),
        ({"CR": 1.5}, r"CR lies in \[0, 1\]"),
        ({"quorum": 0.0}, "quorum"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        DE(**options)
