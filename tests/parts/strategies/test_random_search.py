import numpy as np
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, run, torture, twins_agree

from golden import check_golden
from thalweg.core.problem import Problem
from thalweg.parts.strategies.random_search import Random


def test_golden():
    check_golden("random", Random())


def test_the_stream_does_not_depend_on_how_it_is_asked_for():
    whole, _ = run(Random(), cube(3), bowl, 3000, seed=4)
    for batch in (1000, 77):
        parts, _ = run(Random(), cube(3), bowl, 3000, seed=4, batch=batch)
        np.testing.assert_array_equal(parts, whole)
    assert Random.stride.fget(Random()) >= 1024


def test_points_are_uniform():
    points, _ = run(Random(), cube(2), bowl, 4096)
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=8)[0]
    assert ((counts - 64) ** 2 / 64).sum() < 110  # chi squared, 63 degrees of freedom: p < 0.0003


def test_finite_spaces_are_covered_without_repeats():
    problem = Problem(finite())
    strategy = Random()
    points, _ = run(strategy, problem, bowl, 1000, batch=9)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done
    assert "200" in strategy.why


def test_foreign_points_of_a_finite_space_are_left_out():
    problem = Problem(finite())
    strategy = Random()
    strategy.start(problem, 0)
    strategy.tell(answer(problem, strategy.ask(10), bowl))
    others = problem.space.cells(0, 120)
    strategy.tell(foreign(others, bowl(others)))
    rest = []
    while not strategy.done:
        proposals = strategy.ask(16)
        rest.append(proposals.points)
        strategy.tell(answer(problem, proposals, bowl))
    rest = np.concatenate(rest)
    assert not (rest[:, None] == others[None]).all(axis=2).any()
    assert len(np.unique(rest, axis=0)) == len(rest) >= 70


def test_state_and_disorder():
    for make in ALL_SPACES:
        twins_agree(Random, Problem(make()), bowl)
        assert torture(Random(), make()) > 100
