import math

import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, rosenbrock, run, torture, twins_agree

from golden import check_golden
from thalweg.core.choices import Choice
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.pso import CHI, PSO
from thalweg.parts.strategies.random_search import Random


def best(make, problem, values, budget, seeds=range(3)):
    return float(np.median([run(make(), problem, values, budget, seed=s)[1].min() for s in seeds]))


def flying(values=bowl, d=3, population=8, generations=1, budget=None, **options):
    strategy = PSO(population=population, **options)
    strategy.start(cube(d), 0, budget)
    for _ in range(generations):
        strategy.tell(answer(strategy, strategy.ask(population), values))
    return strategy


@pytest.mark.parametrize("topology", ["global", "ring"])
def test_golden(topology):
    check_golden(f"pso_{topology}", PSO(population=10, topology=topology), budget=90, kept=80)


def test_constriction_is_clercs():
    phi = 4.1
    assert pytest.approx(2 / abs(2 - phi - math.sqrt(phi**2 - 4 * phi))) == CHI


@pytest.mark.parametrize(
    "options", [{}, {"topology": "ring"}, {"inertia": "constriction"}, {"inertia": 0.6}, {"bounds": "absorb"}]
)
def test_beats_random_search(options):
    make = lambda: PSO(**options)  # noqa: E731
    assert best(make, cube(6), bowl, 1500) < 0.05 * best(Random, cube(6), bowl, 1500)
    assert best(make, cube(5), rosenbrock, 2500) < 0.3 * best(Random, cube(5), rosenbrock, 2500)


def test_one_flight_is_the_published_formula():
    strategy = flying(bounds="absorb", inertia=0.5, generations=2)
    x, v, own = strategy._x.copy(), strategy._v.copy(), strategy._best.copy()
    leader = own[strategy._merit.argmin()]
    u = np.random.default_rng()
    u.bit_generator.state = strategy.rng.bit_generator.state
    r1, r2 = u.random((2, 8, 3))
    strategy.ask(8)
    speed = 0.5 * v + CHI * 2.05 * r1 * (own - x) + CHI * 2.05 * r2 * (leader - x)
    place = x + np.clip(speed, -0.5, 0.5)
    np.testing.assert_allclose(strategy._x, np.clip(place, 0, 1), atol=1e-14)


def test_the_ring_asks_the_neighbours_only():
    strategy = flying(topology="ring")
    merit = strategy._merit
    for i, leader in enumerate(strategy._leaders()):
        near = [(i - 1) % 8, i, (i + 1) % 8]
        np.testing.assert_array_equal(leader, strategy._best[min(near, key=merit.__getitem__)])
    alone = flying()._leaders()
    assert alone.shape == (3,)


def test_bounds():
    for bounds in ("reflect", "absorb"):
        strategy = flying(bounds=bounds)
        x, v = np.array([[-0.2, 0.5, 1.3]]), np.array([[-0.4, 0.1, 0.5]])
        strategy._bound(x, v)
        expected = [[0.2, 0.5, 0.7]] if bounds == "reflect" else [[0, 0.5, 1]]
        np.testing.assert_allclose(x, expected)
        np.testing.assert_allclose(v, [[0.2, 0.1, -0.25]] if bounds == "reflect" else [[0, 0.1, 0]])


def test_the_own_best_is_the_best_place_that_was_evaluated():
    strategy, points, values = PSO(population=6), [], []
    strategy.start(cube(2), 0)
    for _ in range(10):
        told = answer(strategy, strategy.ask(6), bowl)
        strategy.tell(told)
        points.append(told.points)
        values.append(told.values[:, 0])
    low = np.argmin(values, axis=0)
    np.testing.assert_array_equal(strategy._merit, np.min(values, axis=0))
    np.testing.assert_array_equal(strategy._best, [points[low[i]][i] for i in range(6)])


def test_mixed_types():
    space = Space({"c": Choice(list("abcdef")), "n": Integer(0, 30), "x": Float(-1, 1)})

    def values(points):
        return (np.floor(points[:, 0] * 6) != 4) + np.abs(points[:, 1] - 21.5 / 31) + (points[:, 2] - 0.3) ** 2

    assert best(PSO, Problem(space), values, 600) < 0.1 * best(Random, Problem(space), values, 600)


def test_finite_spaces_are_covered_without_repeats():
    points, _ = run(PSO(), Problem(finite()), bowl, 100, batch=8)
    assert len(np.unique(points, axis=0)) == len(points) == 100
    strategy = PSO()
    points, _ = run(strategy, Problem(finite()), bowl, 10_000, batch=8)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done


def test_a_collapsed_swarm_scatters():
    assert flying(d=2, generations=600).runs > 1
    assert flying(d=2, generations=600, restarts=False).runs == 1


def test_foreign_answers_lead():
    strategy = flying(generations=2)
    point = np.full((1, 3), 0.3217)
    strategy.tell(foreign(point, bowl(point)))
    strategy.ask(8)
    assert strategy._merit.min() == bowl(point)[0]
    rng = np.random.default_rng(0)
    known = np.clip(0.3217 + 0.03 * rng.standard_normal((40, 6)), 0, 1)
    warm = PSO()
    warm.start(cube(6), 0, 200)
    warm.tell(foreign(known, bowl(known)))
    _, helped = run(warm, cube(6), bowl, 200, start=False)
    assert helped.min() < 0.3 * best(PSO, cube(6), bowl, 200)


@pytest.mark.parametrize("options", [{}, {"topology": "ring", "bounds": "absorb"}, {"quorum": 0.5}])
def test_state_and_disorder(options):
    for make in ALL_SPACES:
        twins_agree(lambda: PSO(population=8, **options), Problem(make()), bowl)
        assert torture(PSO(population=8, **options), make()) > 50
    twins_agree(lambda: PSO(population=8, **options), Problem(mixed()), bowl, before=12, batch=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": "star"}, "topology is one of"),
        ({"bounds": "wrap"}, "bounds is one of"),
        ({"population": 1}, "at least 2"),
        ({"inertia": "low"}, "inertia is a number"),
        ({"c1": -1.0}, "c1, c2 >= 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        PSO(**options)
