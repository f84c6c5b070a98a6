"""Requirements: every drawn or repaired point satisfies them, feasible points stay, and the impossible is found out."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.choices import Boolean, Choice, Permutation, Subset
from thalweg.core.errors import InfeasibleSpace, SpaceError
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space


def mixed(*require):
    return Space(
        {
            "x": Float(-2, 2), "y": Float(1e-3, 10, log=True), "n": Integer(0, 20), "kind": Choice(["a", "b", "c"]),
            "deep": Integer(1, 9, when="kind == 'b'"), "order": Permutation([1, 2, 3]),
            "parts": Subset(["p", "q", "r"]), "on": Boolean(),
        },
        require=require,
    )  # fmt: skip


REQUIREMENTS = [
    "x ** 2 + (y - 1) ** 2 <= 2",
    "x * y > 0.1",
    "n % 3 == 0",
    "kind != 'a' or n < 5",
    "deep + n <= 12",
    "kind in ['b', 'c']",
    "len(parts) >= 1 and 'q' in parts",
    "10 / n < 3",
    "on + (n > 4) == 1",
    "abs(x) < 0.5 if on else x > 0",
]


def as_python(text, params):
    """What Python says of a requirement; True where a name is inactive."""
    if "deep" in text and "deep" not in params:
        return True
    try:
        return bool(eval(text, {"abs": abs, "len": len}, params))
    except ZeroDivisionError:
        return None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(REQUIREMENTS), min_size=1, max_size=3, unique=True), st.integers(0, 2**32))
def test_repair_gives_feasible_points_and_keeps_those_that_are(texts, seed):
    space = mixed(*texts)
    rng = np.random.default_rng(seed)
    points = rng.random((100, space.dimension))
    before = points.copy()
    good = space.feasible(space.decode(points))
    repaired = space.repair(points, rng)
    assert points.tobytes() == before.tobytes()
    assert repaired[good].tobytes() == points[good].tobytes()
    assert (repaired >= 0).all() and (repaired <= 1).all()
    _, reals, active = space.resolve(space.snap(repaired))
    assert space.feasible(reals, active).all()
    for params in space.to_params(reals, active):
        assert all(as_python(text, params) in (True, None) for text in texts)
    assert space.from_params(space.to_params(reals, active)).tobytes() == reals.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(REQUIREMENTS), st.integers(0, 2**32))
def test_feasibility_is_what_python_says(text, seed):
    space = mixed(text)
    _, reals, active = space.resolve(np.random.default_rng(seed).random((80, space.dimension)))
    for good, params in zip(space.feasible(reals, active), space.to_params(reals, active), strict=True):
        expected = as_python(text, params)
        assert expected is None or good == expected


def test_functions_get_what_the_objective_gets():
    space = mixed().require(lambda p: p["n"] > 3 and p.get("deep", 9) > 4)
    params = space.to_params(space.decode(space.sample(200, np.random.default_rng(0))))
    assert all(p["n"] > 3 and p.get("deep", 9) > 4 for p in params)
    array = Space([(-1, 1)] * 3, require=lambda x: x.sum() > 1)
    assert (array.decode(array.sample(100, np.random.default_rng(0))).sum(axis=1) > 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(-2, 12), st.booleans())
def test_size_is_the_number_of_feasible_points(a, b, bound, conditional):
    when = "kind == 'x'" if conditional else None
    space = Space(
        {"i": Integer(0, a), "j": Integer(0, b, when=when), "kind": ["x", "y"]}, require=f"i + 2 * j <= {bound}"
    )
    expected = set()
    for i, j, kind in itertools.product(range(a + 1), range(b + 1), "xy"):
        active = kind == "x" or not conditional
        if not active or i + 2 * j <= bound:
            expected.add((i, j if active else None, kind))
    assert space.size == len(expected)


def test_rare_regions_are_found_and_sampled():
    space = Space([(0, 1)] * 4, require="x0 + x1 + x2 + x3 < 0.3")
    points = space.sample(300, np.random.default_rng(0))
    assert (space.decode(points).sum(axis=1) < 0.3).all()
    assert len(set(space.keys(space.decode(points)))) > 200


def test_a_single_feasible_cell_of_many_is_found():
    space = Space({f"n{i}": Integer(0, 30) for i in range(4)}, require="n0 == 7 and n1 == 3 and n2 == 30 and n3 == 0")
    assert space.to_params(space.decode(space.sample(2, np.random.default_rng(0))))[1] == {
        "n0": 7,
        "n1": 3,
        "n2": 30,
        "n3": 0,
    }


@pytest.mark.parametrize(
    ("space", "proof"),
    [
        (lambda: Space({"a": (0.0, 1), "b": (0.0, 1)}, require="a + b > 3"), "262144 random points were tried"),
        (lambda: Space({"a": (0, 9), "b": (0, 9)}, require="a + b > 30"), "all 100 combinations were checked"),
        (
            lambda: Space({"a": (0, 999), "b": (0, 999)}, require="a + b > 3000"),
            "all 1000000 combinations were checked",
        ),
        (lambda: Space({"a": (0.0, 1)}, require=lambda p: False), "random points were tried"),
        (
            lambda: Space({"a": (0, 999), "b": (0, 999)}, require=lambda p: False),
            "combinations were checked|points were tried",
        ),
        (lambda: Space({f"x{i}": (0.0, 1) for i in range(30)}, require=lambda p: p["x3"] > 2), "points were tried"),
        (
            lambda: Space([(0, 1)] * 3, require="x0 + x1 == 0.7"),
            "An equality between real numbers is never met by chance",
        ),
    ],
)
def test_what_is_infeasible_is_said_soon(space, proof):
    made = space()
    start = time.process_time()
    with pytest.raises(InfeasibleSpace, match=f"no point satisfies .*({proof})"):
        made.sample(1, np.random.default_rng(0))
    assert time.process_time() - start < 2.5  # CPU seconds


def test_repairs_in_an_infeasible_space_say_so():
    space = Space({"a": (0, 9), "b": (0, 9)}, require="a + b > 30")
    with pytest.raises(InfeasibleSpace, match="no point satisfies a \\+ b > 30"):
        space.repair(np.full((2, 2), 0.5), np.random.default_rng(0))


def test_functions_are_asked_only_where_expressions_hold():
    seen = []
    space = Space({"a": (0, 9), "b": (1, 9)}, require=[lambda p: seen.append(p["a"]) or True, "a > 4"])
    space.sample(50, np.random.default_rng(0))
    assert min(seen) == 5


def test_repairs_do_not_depend_on_when_the_pool_is_made():
    points = np.random.default_rng(1).random((20, 8))
    first, second = (mixed("x * y > 0.1") for _ in range(2))
    points = np.random.default_rng(1).random((20, first.dimension))
    second.repair(points, np.random.default_rng(9))
    assert np.array_equal(
        first.repair(points, np.random.default_rng(3)), second.repair(points, np.random.default_rng(3))
    )


def test_repaired_points_stay_near():
    space = Space([(0, 1)] * 2, require="x0 + x1 <= 1")
    points = np.full((200, 2), 0.55)
    moved = np.linalg.norm(space.repair(points, np.random.default_rng(0)) - points, axis=1)
    assert np.median(moved) < 0.25


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("x <= lim", "the requirement 'x <= lim' uses 'lim', which is not known"),
        ("x <", "is not an expression"),
        (5, "require: expected an expression or a function of the parameters, got 5"),
    ],
)
def test_requirements_that_cannot_be(condition, message):
    with pytest.raises(SpaceError, match=message):
        Space({"x": (0, 5)}).require(condition)


def test_requirements_that_fail_while_they_are_checked():
    space = Space({"x": (0, 5), "kind": ["a", "b"]}, require="x < kind")
    with pytest.raises(SpaceError, match=r"requirement 'x < kind': .*cannot be computed"):
        space.sample(2, np.random.default_rng(0))
    space = Space({"x": (0, 5)}, require=lambda p: p["y"])
    with pytest.raises(SpaceError, match=r"requirement <.*<lambda>> raised KeyError: 'y'"):
        space.sample(2, np.random.default_rng(0))
