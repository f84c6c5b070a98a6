import json
import os
from pathlib import Path

import numpy as np
import pytest
from driving import ALL_SPACES, answer, cube, finite, foreign, mixed, run, torture, twins_agree

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem, objectives_of
from thalweg.numerics.directions import nearest_directions
from thalweg.parts.strategies.nsga3 import NSGA3, _intercepts

GOLDEN = Path(__file__).parents[2] / "golden" / "nsga3.json"


def many(space, m=3):
    return Problem(space, objectives=objectives_of(m))


def bowls(u):
    return np.column_stack([((u - at) ** 2).sum(axis=1) for at in (0.2, 0.5, 0.8)])


def dtlz2(u, m=3):
    g = ((u[:, m - 1 :] - 0.5) ** 2).sum(axis=1)
    angle = u[:, : m - 1] * np.pi / 2
    columns = []
    for k in range(m):
        column = 1.0 + g
        for j in range(m - 1 - k):
            column = column * np.cos(angle[:, j])
        columns.append(column * np.sin(angle[:, m - 1 - k]) if k else column)
    return np.column_stack(columns)


def test_the_sphere_of_dtlz2_is_covered():
    strategy = NSGA3(population=92, brood=92)
    run(strategy, many(cube(7).space), dtlz2, 92 * 120, seed=1)
    assert len(strategy.directions) == 91
    radius = np.linalg.norm(strategy.values, axis=1)
    assert np.median(radius) < 1.02  # on the sphere, up to a little
    place, apart = nearest_directions(strategy.values, strategy.directions)
    assert len(set(place.tolist())) > 80  # nearly every direction has a member ...
    assert np.median(apart) < 0.03  # ... close to it
    np.testing.assert_allclose(strategy.ideal, 0.0, atol=0.02)
    np.testing.assert_allclose(strategy.spread, 1.0, atol=0.1)


def test_objectives_of_very_different_size_are_normalised():
    strategy = NSGA3(population=45, brood=15)
    scale = np.array([1.0, 10.0, 1000.0])
    run(strategy, many(cube(6).space), lambda u: dtlz2(u) * scale, 4000, seed=2)
    np.testing.assert_allclose(strategy.spread / scale, 1.0, atol=0.25)
    place, _ = nearest_directions(strategy.values / scale, strategy.directions)
    assert len(set(place.tolist())) > 30


def test_many_objectives():
    strategy = NSGA3(population=60)
    _, found = run(strategy, many(cube(8).space, 6), lambda u: dtlz2(u, 6), 2500, seed=0)
    assert found.shape == (2500, 6)
    start, end = (np.linalg.norm(part, axis=1).mean() for part in (found[:60], strategy.values))
    assert end - 1.0 < 0.5 * (start - 1.0)


def test_intercepts_by_hand():
    np.testing.assert_allclose(_intercepts(np.diag([2.0, 3.0, 4.0])), [2.0, 3.0, 4.0])
    # the plane x/2 + y/4 = 1 through two points inside of its ends
    np.testing.assert_allclose(_intercepts(np.array([[1.0, 2.0], [0.5, 3.0]])), [2.0, 4.0])
    assert _intercepts(np.array([[1.0, 1.0], [1.0, 1.0]])) is None  # one point twice
    assert _intercepts(np.array([[1.0, 0.0], [2.0, 1.0]])) is None  # cuts the second axis below 0


def test_emptiest_niches_first():
    strategy = NSGA3(population=4, brood=4)
    strategy.start(many(cube(2).space, 2), 0, 100)
    assert len(strategy.directions) == 4
    first = strategy.ask(4)
    line = np.array([[0.0, 1.0], [1.0, 0.0], [0.32, 0.68], [0.35, 0.65]])
    strategy.tell(answer(strategy, first, lambda u: line))
    second = strategy.ask(4)
    more = np.array([[0.66, 0.34], [0.33, 0.67], [2.0, 2.0], [0.02, 0.98]])
    strategy.tell(answer(strategy, second, lambda u: more))
    # one for each of the four directions: both ends and the nearest ones to the thirds
    kept = {tuple(row) for row in strategy.values}
    assert {(0.0, 1.0), (1.0, 0.0), (0.66, 0.34)} <= kept


def test_constrained_domination():
    problem = many(cube(4).space)
    strategy = NSGA3(population=40, brood=40)
    strategy.start(problem, 0, 3000)
    for _ in range(60):
        proposals = strategy.ask(40)
        violations = np.maximum(0.0, 0.5 - proposals.points[:, 0])
        strategy.tell(answer(strategy, proposals, bowls, violations=violations))
    assert (strategy.violations == 0).all()
    assert strategy.members[:, 0].min() >= 0.5


def test_everything_violates():
    strategy = NSGA3(population=12)
    strategy.start(many(cube(3).space), 0, 600)
    amounts = []
    for _ in range(30):
        proposals = strategy.ask(12)
        violations = 1.0 + proposals.points.sum(axis=1)
        amounts.append(violations.min())
        strategy.tell(answer(strategy, proposals, bowls, violations=violations))
    assert min(amounts) < 1.3  # it goes to where least is violated


def test_no_duplicates():
    points, _ = run(NSGA3(population=21), many(mixed()), bowls, 300)
    assert len({row.tobytes() for row in points}) == len(points)


def test_finite_spaces_are_covered_without_repeats():
    strategy = NSGA3(population=20)
    points, _ = run(strategy, many(finite()), bowls, 1000)
    assert len(points) == len({row.tobytes() for row in points}) == 200
    assert strategy.done


def test_foreign_points_join_the_population_however_many():
    strategy = NSGA3(population=15)
    strategy.start(many(cube(3).space), 0, 200)
    spare = np.random.default_rng(0).random((700, 3))
    values = bowls(spare)
    values[3] = -1.0  # one of the first to come, and by far the best
    strategy.tell(foreign(spare, values))
    strategy.tell(answer(strategy, strategy.ask(4), bowls))
    assert (strategy.values == -1.0).all(axis=1).any()


def test_golden_run():
    points, found = run(NSGA3(population=15), many(mixed()), bowls, 90)
    kept = {"points": points[::9].tolist(), "values": found[::9].tolist()}
    if os.environ.get("THALWEG_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(kept))
    stored = json.loads(GOLDEN.read_text())
    np.testing.assert_allclose(kept["points"], stored["points"], atol=1e-9)
    np.testing.assert_allclose(kept["values"], stored["values"], atol=1e-9)


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(NSGA3(population=8), space(), objectives=3, values=bowls) > 60


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(lambda: NSGA3(population=8), many(space()), bowls)


@pytest.mark.parametrize(
    "options", [{"population": 3}, {"brood": 0}, {"crossover_prob": 2}, {"mutation_prob": -1}, {"quorum": 0}]
)
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        NSGA3(**options)
