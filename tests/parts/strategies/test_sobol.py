import numpy as np
import pytest
from driving import ALL_SPACES, bowl, constrained, cube, finite, run, torture, twins_agree

from golden import check_golden
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.numerics.quasi_random import centred_discrepancy
from thalweg.parts.strategies.random_search import Random
from thalweg.parts.strategies.sobol import Sobol


def test_golden():
    check_golden("sobol", Sobol())


def test_unscrambled_it_is_the_published_sequence_for_every_seed():
    points, _ = run(Sobol(scramble="none"), cube(2), bowl, 4, seed=9, batch=3)
    np.testing.assert_array_equal(points, [[0, 0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]])


def test_seeds_scramble_differently_and_evenly():
    one, _ = run(Sobol(), cube(5), bowl, 256, seed=1)
    two, _ = run(Sobol(), cube(5), bowl, 256, seed=2, batch=10)
    assert (one != two).any()
    random, _ = run(Random(), cube(5), bowl, 256, seed=1)
    assert max(centred_discrepancy(one), centred_discrepancy(two)) < 0.4 * centred_discrepancy(random)


def test_infeasible_points_are_skipped_not_moved():
    problem = Problem(constrained())
    points, _ = run(Sobol(), problem, bowl, 500)
    assert (points[:, 0] + points[:, 1] <= 1).all()
    assert (np.abs(points[:, 0] + points[:, 1] - 1) < 1e-3).mean() < 0.02


def test_finite_spaces_are_covered_without_repeats():
    strategy = Sobol()
    points, _ = run(strategy, Problem(finite()), bowl, 1000, batch=9)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done


def test_state_and_disorder():
    for make in ALL_SPACES:
        twins_agree(Sobol, Problem(make()), bowl)
        assert torture(Sobol(), make()) > 100


def test_unknown_scrambling_is_refused():
    with pytest.raises(StrategyError, match=r"'linear'.*got 'owen'"):
        Sobol(scramble="owen")
