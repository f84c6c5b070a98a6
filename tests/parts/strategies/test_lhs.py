import numpy as np
import pytest
from driving import ALL_SPACES, bowl, cube, finite, run, torture, twins_agree

from golden import check_golden
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.parts.strategies.lhs import LatinHypercube


def strata(column, count):
    return sorted(np.floor(column * count).astype(int).tolist())


def closest(points):
    gaps = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return np.sqrt(gaps[~np.eye(len(points), dtype=bool)].min())


def test_golden():
    check_golden("lhs", LatinHypercube(maximin=True))


def test_the_budget_is_one_hypercube():
    points, _ = run(LatinHypercube(), cube(4), bowl, 90, batch=7)
    for column in points.T:
        assert strata(column, 90) == list(range(90))


def test_blocks_follow_each_other():
    points, _ = run(LatinHypercube(block=20), cube(3), bowl, 60, batch=7)
    for start in (0, 20, 40):
        for column in points[start : start + 20].T:
            assert strata(column, 20) == list(range(20))
    assert len(np.unique(points, axis=0)) == 60


def test_maximin_and_centred():
    plain = [closest(run(LatinHypercube(), cube(3), bowl, 40, seed=s)[0]) for s in range(5)]
    wide = [closest(run(LatinHypercube(maximin=True), cube(3), bowl, 40, seed=s)[0]) for s in range(5)]
    assert np.median(wide) > 1.5 * np.median(plain)
    points, _ = run(LatinHypercube(centred=True), cube(3), bowl, 10)
    np.testing.assert_allclose(np.sort(points, axis=0), np.tile((np.arange(10) + 0.5)[:, None] / 10, 3))


def test_finite_spaces_are_covered_without_repeats():
    strategy = LatinHypercube()
    points, _ = run(strategy, Problem(finite()), bowl, 1000, batch=9)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done


def test_state_and_disorder():
    for make in ALL_SPACES:
        twins_agree(LatinHypercube, Problem(make()), bowl)
        assert torture(LatinHypercube(block=30), make()) > 100


def test_it_ends_after_so_many_rows_for_each_column():
    strategy = LatinHypercube(end=0.7)
    strategy.start(cube(5), 0)
    first = strategy.ask(2)
    assert strategy.stride == 1 and not strategy.done
    rest = strategy.ask(100)
    assert (len(first), len(rest)) == (2, 1) and strategy.done
    assert strategy.why == "all 3 points were proposed"
    points = np.concatenate([first.points, rest.points])
    np.testing.assert_array_equal(np.sort(np.floor(points * 3), axis=0), np.tile([[0], [1], [2]], 5))  # one hypercube
    with pytest.raises(StrategyError, match="end is a number of rows for each column"):
        LatinHypercube(end=0)


@pytest.mark.parametrize("options", [{"block": 0}, {"block": 5000, "maximin": True}])
def test_impossible_blocks_are_refused(options):
    with pytest.raises(StrategyError, match="block is a number of rows"):
        LatinHypercube(**options)
