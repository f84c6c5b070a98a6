import numpy as np
import pytest
from driving import (  # fmt: skip
    ALL_SPACES,
    answer,
    bowl,
    conditional,
    constrained,
    cube,
    finite,
    foreign,
    mixed,
    ordered,
    run,
    torture,
    twins_agree,
)

from golden import check_golden
from thalweg.core.choices import Choice
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.numerics.quasi_random import centred_discrepancy
from thalweg.parts.strategies.grid import Grid


def distinct(space, points):
    return len(set(space.keys(space.decode(points))))


def test_golden():
    check_golden("grid", Grid())


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("make", [finite, ordered])
def test_finite_spaces_are_covered_exactly(make, batch):
    space, strategy = make(), Grid()
    points, _ = run(strategy, Problem(space), bowl, 100_000, batch=batch)
    assert len(points) == distinct(space, points) == space.size
    assert strategy.done
    assert "all" in strategy.why
    assert len(strategy.ask(5)) == 0


def test_inactive_combinations_collapse():
    space = Space({"m": Choice(["a", "b", "c"]), "k": Integer(1, 5, when="m == 'a'"), "z": Integer(1, 4)})
    points, _ = run(Grid(), Problem(space), bowl, 1000, batch=3)
    assert len(points) == distinct(space, points) == space.size == 28


def test_infeasible_cells_are_left_out():
    space = Space({"a": Integer(1, 30), "b": Integer(1, 30)}, require="a + b <= 12")
    points, _ = run(Grid(), Problem(space), bowl, 1000, batch=50)
    assert len(points) == distinct(space, points) == space.size == 66
    points, _ = run(Grid(), Problem(constrained()), bowl, 300)
    assert (points[:, 0] + points[:, 1] <= 1).all()


@pytest.mark.parametrize("budget", [1, 2, 10, 99, 500, 3000])
@pytest.mark.parametrize("make", [mixed, conditional, constrained, finite])
def test_never_more_than_the_budget_and_never_twice(make, budget):
    space, strategy = make(), Grid()
    strategy.start(Problem(space), 0, budget)
    rows = []
    while not strategy.done:
        proposals = strategy.ask(64)
        rows.append(space.snap(proposals.points))
        strategy.tell(answer(strategy, proposals, bowl))
    points = np.concatenate(rows)
    assert 1 <= len(points) <= budget
    assert distinct(space, points) == len(points)


def test_a_small_budget_is_spread_over_the_grid():
    space = Space({"a": Integer(0, 19), "b": Integer(0, 19), "c": Choice(list("wxyz"))})
    points, _ = run(Grid(), Problem(space), bowl, 40)
    assert [len(np.unique(column)) for column in points.T] == [20, 20, 4]
    rng = np.random.default_rng(0)
    random = np.median([centred_discrepancy(space.sample(40, rng)) for _ in range(20)])
    assert centred_discrepancy(points) < 0.6 * random


def test_the_only_point_of_a_budget_of_one_is_in_the_middle():
    points, _ = run(Grid(), cube(3), bowl, 1)
    np.testing.assert_array_equal(points, [[0.5, 0.5, 0.5]])


def test_points_per_axis():
    space = Space({"x": Float(0, 1), "y": Float(0, 1), "n": Integer(1, 100)})
    points, _ = run(Grid(points={"x": 5, "n": 3}), Problem(space), bowl, 10**6 // 4, batch=4096)
    assert [len(np.unique(column)) for column in points.T][::2] == [5, 3]
    np.testing.assert_allclose(np.unique(points[:, 0]), [0, 0.25, 0.5, 0.75, 1])
    assert {int(row["n"]) for row in space.to_params(space.decode(points))} >= {1, 100}
    cubic, _ = run(Grid(points=4), cube(3), bowl, 1000)
    assert len(np.unique(cubic, axis=0)) == len(cubic) == 64
    fitted, _ = run(Grid(), cube(3), bowl, 500)
    assert len(fitted) == 448  # 8 x 8 x 7 is the most that fits


def test_a_grid_too_large_to_count_in_int64():
    space = Space({f"x{i}": Integer(1, 1000) for i in range(8)})
    strategy = Grid()
    points, _ = run(strategy, Problem(space), bowl, 500, batch=100)
    assert strategy.cells == 10**24
    assert distinct(space, points) == 500
    assert all(len(np.unique(np.floor(column * 10))) == 10 for column in points.T)


def test_cells_known_from_elsewhere_are_left_out():
    space, strategy = finite(), Grid()
    strategy.start(Problem(space), 0)
    first = strategy.ask(20).points
    others = space.cells(0, 60)
    strategy.tell(foreign(others, bowl(others)))
    rest = []
    while not strategy.done:
        rest.append(strategy.ask(16).points)
    rest = np.concatenate(rest)
    assert not (rest[:, None] == others[None]).all(axis=2).any()
    assert distinct(space, np.concatenate([first, rest, others])) == 200


def test_state_and_disorder():
    for make in ALL_SPACES:
        twins_agree(Grid, Problem(make()), bowl)
        assert torture(Grid(), make()) > 50


def test_what_cannot_be_is_refused():
    with pytest.raises(StrategyError, match="whole number"):
        Grid(points=0)
    with pytest.raises(StrategyError, match=r"\['q'\].*x0"):
        Grid(points={"q": 3}).start(cube(1), 0)


@pytest.mark.parametrize(
    ("widths", "shares"), [([1], [10**30]), ([1, 1], [10**15, 10**15]), ([1, 2], [10**10, 10**10])]
)
def test_a_budget_without_measure_is_shared_at_once(widths, shares):
    strategy = Grid()
    strategy.budget = 10**30
    assert strategy._shares(1, widths) == shares
    strategy.budget = 1000
    assert (
        strategy._shares(7, [1, 1]) == [12, 11]
        and strategy._shares(400, [1]) == [3]
        and strategy._shares(1, [3]) == [10]
    )
