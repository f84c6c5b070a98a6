"""The practical problems: the same value however they are reached, published designs, one story for every solver."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from benchmarks.quality.practical import PROBLEMS, names_of, open_problem
from benchmarks.quality.practical.variables import Box, Order, Pick, Real, Some, Whole, thalweg_space

import thalweg as tw

LEARNING = importlib.util.find_spec("sklearn") is not None
NEEDS = {"svm", "elastic_net", "logistic", "neighbours", "tree", "boosting", "gaussian_process", "small_model"}
NEEDS |= {"any_model", "any_trainer", "features"}
SLOW = {"boosting"}  # trains its table first


def made(name, instance=1):
    """The problem, or the message that says what it needs."""
    if name in NEEDS and not LEARNING:
        with pytest.raises(SystemExit, match=r"needs sklearn.*pip install -r"):
            open_problem(name, instance)
        return None
    return open_problem(name, instance)


def value_of(found):
    return found[0] if isinstance(found, tuple) else found


def test_the_suites_are_as_large_as_they_say():
    assert len(names_of("practical")) == 20
    assert (
        len(names_of("conditional")) == 5 and len(names_of("constrained")) == 6 and len(names_of("combinatorial")) == 4
    )
    assert sum(len(names_of(entry)) for entry in {entry.suite for entry in PROBLEMS.values()}) == len(PROBLEMS)


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - SLOW))
def test_deterministic_and_the_same_through_a_box_and_a_space(name):
    problem, again, other = made(name), made(name), made(name, 4)
    if problem is None:
        return
    entry = PROBLEMS[name]
    assert entry.dimension == sum(getattr(variable, "count", 1) for variable in problem.variables)
    space = tw.Space(thalweg_space(problem.variables))
    points = space.sample(6, np.random.default_rng(3))
    _, reals, active = space.resolve(points)
    rng = np.random.default_rng(4)
    box = problem.box
    differs = False
    for params in space.to_params(reals, active):
        found = problem.evaluate(dict(params))
        assert np.isfinite(value_of(found)) and isinstance(value_of(found), float)
        assert again.evaluate(dict(params)) == found
        differs |= other.evaluate(dict(params)) != found
        assert not problem.limits or len(found[1]) == problem.limits
    assert differs  # instances are not one problem under several numbers
    for _ in range(4):
        x = box.lower + rng.random(len(box.lower)) * (box.upper - box.lower)
        params = box.params(np.where(box.integers, np.round(x), x))
        assert (
            space.to_params(space.from_params([params]), space.active(space.from_params([params])))[0].keys()
            == params.keys()
        )
        assert np.isfinite(value_of(problem.evaluate(params)))


def test_a_box_covers_everything_and_hides_what_does_not_exist():
    box = Box(
        [
            Pick(name="kind", options=("a", "b")),
            Whole(name="n", low=1, high=1000, log=True),
            Real(name="rate", low=1e-3, high=10.0, log=True, when=("kind", ("b",))),
            Order(name="order", count=3),
            Some(name="some", count=2),
        ]
    )
    assert box.integers.tolist() == [True, False, False, False, False, False, True, True]
    low, high = box.params(box.lower), box.params(box.upper)
    assert low == {"kind": "a", "n": 1, "order": [0, 1, 2], "some": []}
    assert high == {"kind": "b", "n": 1000, "rate": 10.0, "order": [0, 1, 2], "some": [0, 1]}
    turned = box.params(np.array([1, 1.5, 0.0, 0.9, 0.1, 0.5, 0, 1]))
    assert turned["order"] == [1, 2, 0] and turned["rate"] == 1.0 and turned["n"] == 32 and turned["some"] == [1]


PUBLISHED = {
    # design, value, slack of its violations (published with few digits)
    "vessel": ({"shell": 13, "head": 7, "radius": 42.0984456, "length": 176.6365958}, 6.0597143, 1e-5),
    "welded_beam": (
        {"weld": 0.20572964, "length": 3.47048867, "height": 9.03662391, "thickness": 0.20572964},
        1.724852,
        1e-5,
    ),
    "speed_reducer": (
        {
            "face": 3.5,
            "module": 0.7,
            "teeth": 17,
            "length1": 7.3,
            "length2": 7.71532,
            "shaft1": 3.350215,
            "shaft2": 5.286654,
        },
        2.99447,
        1e-5,
    ),
    "spring": ({"wire": 0.05168906, "coil": 0.35671774, "coils": 11.288966}, 1.2665233, 1e-5),
    "truss": (
        {f"area{i}": a for i, a in enumerate([30.52, 0.1, 23.2, 15.22, 0.1, 0.551, 7.457, 21.04, 21.53, 0.1])},
        5.06085,
        2e-3,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_designs_have_their_published_values(name):
    params, value, slack = PUBLISHED[name]
    problem = open_problem(name, 1)
    found, violations = problem.evaluate(params)
    assert found == pytest.approx(value, rel=1e-4)
    assert -0.05 < max(violations) < slack  # feasible, and the binding constraint binds


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_penalty_is_exact(name):
    """Near the best design no infeasible point has a lower merit than the best feasible one."""
    params, value, slack = PUBLISHED[name]
    problem = open_problem(name, 1)
    rng = np.random.default_rng(0)
    for size in np.repeat([1e-3, 1e-2, 0.1], 300):
        near = dict(params)
        for variable in problem.variables:
            if isinstance(variable, Real):
                moved = params[variable.name] * (1 + size * rng.standard_normal())
                near[variable.name] = min(max(moved, variable.low), variable.high)
        found, violations = problem.evaluate(near)
        if max(violations) > slack:
            assert found + problem.penalty * sum(max(item, 0.0) for item in violations) > value * (1 - 1e-3)


def test_an_unknown_problem_is_named():
    with pytest.raises(SystemExit, match=r"unknown practical problem 'nothing'; known: .*svm"):
        open_problem("nothing", 1)
    with pytest.raises(SystemExit, match="counted from 1"):
        open_problem("coating", 0)
