import json
import os
from pathlib import Path

import numpy as np
import pytest
from driving import ALL_SPACES, answer, cube, finite, foreign, mixed, run, torture, twins_agree

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem, objectives_of
from thalweg.numerics.hypervolume import hypervolume
from thalweg.parts.strategies.moead import MOEAD

GOLDEN = Path(__file__).parents[2] / "golden" / "moead.json"


def several(space, m=2):
    return Problem(space, objectives=objectives_of(m))


def bowls(u):
    return np.column_stack([((u - 0.2) ** 2).sum(axis=1), ((u - 0.7) ** 2).sum(axis=1)])


def three(u):
    return np.column_stack([((u - at) ** 2).sum(axis=1) for at in (0.2, 0.5, 0.8)])


def zdt1(u):
    g = 1 + 9 * u[:, 1:].mean(axis=1)
    return np.column_stack([u[:, 0], g * (1 - np.sqrt(u[:, 0] / g))])


@pytest.mark.parametrize("decomposition", ["tchebycheff", "pbi"])
def test_the_front_of_zdt1(decomposition):
    strategy = MOEAD(population=50, decomposition=decomposition)
    run(strategy, several(cube(8).space), zdt1, 6000, seed=1, batch=10)
    volume = hypervolume(strategy.values, np.array([1.1, 1.1]))
    assert 0.84 < volume < 0.8767  # the whole front's is 0.8767
    f = np.sort(strategy.values[:, 0])
    assert f[0] < 0.02
    assert f[-1] > 0.9


def test_members_lie_along_their_directions():
    strategy = MOEAD(population=21, decomposition="tchebycheff")

    def line(u):  # the front is f1 + f2 = 1
        g = ((u[:, 1:] - 0.5) ** 2).sum(axis=1)
        return np.column_stack([u[:, 0] + g, 1 - u[:, 0] + g])

    run(strategy, several(cube(3).space), line, 3000, seed=0, batch=5)
    np.testing.assert_allclose(strategy.values, strategy.directions, atol=0.05)


def test_the_cost_by_hand():
    strategy = MOEAD(population=4)
    strategy.start(several(cube(2).space), 0, 100)
    strategy.ideal = np.zeros(2)
    strategy.filled[:2], strategy.values[:2] = True, [[2.0, 0.0], [0.0, 4.0]]  # the range is (2, 4)
    # directions are (0, 1), (1/3, 2/3), (2/3, 1/3), (1, 0): scaled (0.5, 0.25) divided by the weights, the larger
    mine, _ = strategy.costs(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([1]))
    assert mine[0] == pytest.approx(max(0.5 * 3, 0.25 * 1.5))
    strategy.decomposition, strategy.theta = "pbi", 5.0
    unit = np.array([1.0, 2.0]) / np.sqrt(5.0)
    along = float(np.array([0.5, 0.25]) @ unit)
    apart = float(np.linalg.norm(np.array([0.5, 0.25]) - along * unit))
    assert strategy.costs(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([1]))[0][0] == pytest.approx(along + 5 * apart)


def test_a_child_replaces_no_more_than_it_may():
    strategy = MOEAD(population=10, replaced=2)
    strategy.start(several(cube(2).space), 0, 100)
    strategy.tell(answer(strategy, strategy.ask(10), lambda u: 1.0 + bowls(u)))
    assert strategy.filled.all()
    strategy.tell(foreign(np.full((1, 2), 0.3), [[0.0, 0.0]]))  # better than everything
    assert (strategy.values == 0.0).all(axis=1).sum() == 2


def test_late_answers_in_any_order_do_not_stop_it():
    strategy = MOEAD(population=10)
    strategy.start(several(cube(3).space), 0, 300)
    rng = np.random.default_rng(0)
    waiting = []
    for _ in range(100):  # four workers that never wait for one another
        proposals = strategy.ask(4 - len(waiting))
        assert len(proposals) == 4 - len(waiting)
        whole = answer(strategy, proposals, bowls)
        waiting += [whole.rows(np.array([i])) for i in range(len(whole))]
        strategy.tell(waiting.pop(int(rng.integers(len(waiting)))))
    # the best possible there is the segment between the bowls' bottoms
    assert hypervolume(strategy.values, np.full(2, 0.75)) > 0.8 * (0.5625 - 0.09)


def test_constraints():
    strategy = MOEAD(population=20)
    strategy.start(several(cube(4).space), 0, 3000)
    for _ in range(150):
        proposals = strategy.ask(10)
        violations = np.maximum(0.0, 0.5 - proposals.points[:, 0])
        strategy.tell(answer(strategy, proposals, bowls, violations=violations))
    assert (strategy.violations == 0).all()
    assert strategy.members[:, 0].min() == pytest.approx(0.5, abs=0.05)


def test_any_number_of_objectives():
    _, found = run(MOEAD(), several(cube(5).space, 3), three, 900, batch=6)
    guess = three(np.random.default_rng(0).random((900, 5)))
    assert hypervolume(found, np.full(3, 0.5)) > 1.1 * hypervolume(guess, np.full(3, 0.5))
    _, found = run(MOEAD(), cube(4), lambda u: ((u - 0.3) ** 2).sum(axis=1), 800, batch=6)
    assert found.min() < 5e-3


def test_no_duplicates():
    points, _ = run(MOEAD(population=20), several(mixed()), bowls, 300, batch=5)
    assert len({row.tobytes() for row in points}) > 0.97 * len(points)


def test_finite_spaces_are_covered_without_repeats():
    strategy = MOEAD(population=20)
    points, _ = run(strategy, several(finite()), bowls, 1000, batch=5)
    assert len(points) == len({row.tobytes() for row in points}) == 200
    assert strategy.done


def test_foreign_points_stand_for_the_design():
    strategy = MOEAD(population=10)
    strategy.start(several(cube(3).space), 0, 200)
    spare = np.random.default_rng(0).random((400, 3))
    strategy.tell(foreign(spare, bowls(spare)))
    assert strategy.filled.all()
    children = strategy.ask(10).points
    known = spare[:, None]
    assert (np.abs(known - children[None]).max(axis=2).min(axis=0) < 0.35).all()


def test_golden_run():
    points, found = run(MOEAD(population=12), several(mixed()), bowls, 96, batch=4)
    kept = {"points": points[::8].tolist(), "values": found[::8].tolist()}
    if os.environ.get("THALWEG_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(kept))
    stored = json.loads(GOLDEN.read_text())
    np.testing.assert_allclose(kept["points"], stored["points"], atol=1e-9)
    np.testing.assert_allclose(kept["values"], stored["values"], atol=1e-9)


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(MOEAD(population=8), space(), objectives=2, values=bowls) > 60


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(lambda: MOEAD(population=8), several(space()), bowls)


@pytest.mark.parametrize(
    "options",
    [{"population": 3}, {"neighbours": 1}, {"decomposition": "x"}, {"theta": -1}, {"replaced": 0}, {"locality": 2}],
)
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        MOEAD(**options)


def test_penalties_as_large_as_floats_are(recwarn):
    def punished(points):
        values = bowls(points)
        values[points[:, 0] > 0.5] = np.finfo(float).max
        return values

    _, found = run(MOEAD(population=8), several(mixed()), punished, 80, batch=4)
    assert np.isfinite(found).all() and not recwarn.list
