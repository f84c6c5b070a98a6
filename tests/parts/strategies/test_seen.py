import numpy as np
import pytest
from driving import finite, mixed, ordered, run

from thalweg.core.choices import Choice, Fixed
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies import _seen, make_strategy
from thalweg.parts.strategies._seen import Seen, row_hashes


def keys(space, points):
    return set(space.keys(space.decode(points)))


def test_spaces_with_a_continuous_parameter_cost_nothing():
    space = mixed()
    seen = Seen.of(Problem(space))
    points = np.random.default_rng(0).random((5, space.dimension))
    fresh, kept = seen.fresh(points, space, np.random.default_rng(0))
    assert fresh is points
    assert kept == slice(None)
    assert seen.count == 0


@pytest.mark.parametrize("make", [finite, ordered])
def test_repeats_are_replaced_until_nothing_is_left(make):
    space, rng = make(), np.random.default_rng(1)
    seen, found, rounds = Seen.of(Problem(space)), set(), 0
    while not seen.exhausted:
        fresh, kept = seen.fresh(np.full((7, space.dimension), 0.5), space, rng)
        new = keys(space, fresh)
        assert len(new) == len(fresh) == len(np.arange(7)[kept])
        assert not new & found
        found |= new
        rounds += 1
        assert rounds < 5000
    assert len(found) == seen.count == space.size
    fresh, _ = seen.fresh(np.full((7, space.dimension), 0.5), space, rng)
    assert len(fresh) == 0


def test_the_first_replacements_are_neighbours():
    space = Space({"i": Integer(0, 99), "j": Integer(0, 99)})
    seen = Seen.of(Problem(space))
    point = np.array([[0.505, 0.505]])
    seen.add(point)
    moved = [Seen.of(Problem(space)) for _ in range(200)]
    rng, near = np.random.default_rng(0), 0
    for other in moved:
        other.add(point)
        fresh, _ = other.fresh(point, space, rng)
        assert (fresh != point).any()
        near += bool((np.abs(fresh - point) < 0.021).all())
    assert near == 200


def test_what_came_from_elsewhere_is_not_proposed():
    space, rng = finite(), np.random.default_rng(0)
    seen = Seen.of(Problem(space))
    others = space.cells(0, 190)
    seen.add(others)
    seen.add(others[:50])
    assert seen.count == 190
    fresh, _ = seen.fresh(space.sample(40, rng), space, rng)
    assert len(fresh) == 10
    assert not keys(space, fresh) & keys(space, others)
    assert seen.exhausted


def test_a_vast_space_repeats_rather_than_stops():
    space = Space({f"x{i}": Choice(list("abcdef")) for i in range(20)}, require="x0 == 'a'")
    seen = Seen.of(Problem(space))
    fresh, _ = seen.fresh(space.sample(50, np.random.default_rng(0)), space, np.random.default_rng(0))
    assert len(keys(space, fresh)) == 50
    assert not seen.exhausted


def test_the_memory_holds_many_rows():
    space = Space({"a": Integer(0, 9999), "b": Float(0, 1, step=0.001)})
    seen, rng = Seen.of(Problem(space)), np.random.default_rng(0)
    total = set()
    for _ in range(60):
        fresh, _ = seen.fresh(space.sample(500, rng), space, rng)
        total |= keys(space, fresh)
    assert len(total) == seen.count == 30000
    assert seen.old.size + seen.new.size == 30000
    assert seen.contains(fresh).all()


def test_hashes_tell_rows_apart():
    space = Space({"a": Integer(0, 299), "b": Integer(0, 299), "c": Choice(list("xyz"))})
    points = space.cells(0, space.size)
    assert len(np.unique(row_hashes(points))) == space.size


@pytest.mark.parametrize("name", ["random", "sobol", "lhs", "grid", "de", "genetic", "pso"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_smallest_spaces_are_searched_to_the_end(name, count):
    space = Space({"only": Fixed("this")} if count == 0 else {"c": Choice(list("abc")[:count])})
    strategy = make_strategy(name)
    points, _ = run(strategy, Problem(space), lambda p: p.sum(axis=1), 50, batch=2)
    assert len(points) == max(count, 1)
    assert strategy.done


@pytest.mark.parametrize("seed", range(3))
def test_repeats_that_are_allowed_are_no_further_points(monkeypatch, seed):
    """Few points, many combinations of names that mostly do not matter: the scan for new ones gives up early."""
    monkeypatch.setattr(_seen, "_SCANNED", 16)
    given = {"kind": Choice(list("abc"))}
    for kind in "abc":
        given |= {f"{kind}{j}": Integer(0, 4, when=f"kind == '{kind}'") for j in range(2)}
    space = Space(given)
    assert (space.size, space.raw_size) == (75, 3 * 5**6)
    seen, rng = Seen.of(Problem(space)), np.random.default_rng(seed)
    total = set()
    for _ in range(400):
        fresh, _ = seen.fresh(space.sample(2, rng), space, rng)
        total |= keys(space, fresh)
        assert seen.count == len(total) and seen.exhausted == (len(total) == 75)
        if seen.exhausted:
            break
    assert len(total) > 60


@pytest.mark.parametrize("name", ["random", "lhs", "grid", "de", "genetic", "cmaes", "auto"])
def test_a_long_chain_of_conditions_is_searched_to_the_end(name):
    """Of 3.5 thousand million combinations 41 are different; most of these are rarely drawn."""
    given = {"c0": Choice(["a", "b", "c"])}
    for i in range(1, 20):
        given[f"c{i}"] = Choice(["a", "b", "c"], when=f"c{i - 1} == 'a'")
    space, strategy = Space(given), make_strategy(name)
    points, _ = run(strategy, Problem(space), lambda p: p.sum(axis=1), 60, batch=3)
    assert len(keys(space, points)) == 41 and strategy.done
