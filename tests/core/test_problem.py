"""Problems: objectives and constraints as people write them, signs, fingerprints."""

import pytest

from thalweg.core.errors import ExpressionError, ProblemError
from thalweg.core.expression import parse_comparison
from thalweg.core.problem import Objective, Problem, constraints_of, objectives_of
from thalweg.core.space import Space

SPACE = Space({"x": (0.0, 1)})


@pytest.mark.parametrize(
    ("given", "names", "goals"),
    [
        (None, ["value"], "-"),
        (1, ["value"], "-"),
        (3, ["value0", "value1", "value2"], "---"),
        ("loss", ["loss"], "-"),
        (["a", "b"], ["a", "b"], "--"),
        (("a", Objective("b", "maximize")), ["a", "b"], "-+"),
        ({"a": "minimize", "b": "maximize"}, ["a", "b"], "-+"),
    ],
)
def test_objectives(given, names, goals):
    found = objectives_of(given)
    assert [item.name for item in found] == names
    assert [item.goal for item in found] == [{"-": "minimize", "+": "maximize"}[sign] for sign in goals]
    problem = Problem(SPACE, found)
    assert problem.names == tuple(names)
    assert problem.signs.tolist() == [{"-": 1.0, "+": -1.0}[sign] for sign in goals]
    assert not problem.signs.flags.writeable


def test_the_goal_is_for_objectives_without_one():
    assert [item.goal for item in objectives_of(2, "maximize")] == ["maximize"] * 2
    assert objectives_of(["a"], "maximize")[0].goal == "maximize"
    assert objectives_of({"a": "minimize"}, "maximize")[0].goal == "minimize"


@pytest.mark.parametrize("given", [0, -1, True, 2.0, {}, [], [1], b"x", [None]])
def test_what_is_no_objective(given):
    with pytest.raises(
        ProblemError, match=r"objectives: expected a count, names, or \{name: 'minimize' \| 'maximize'\}, got"
    ):
        objectives_of(given)


def test_goals_and_names_are_checked():
    with pytest.raises(ProblemError, match="objective 'a': goal must be 'minimize' or 'maximize', got 'min'"):
        objectives_of({"a": "min"})
    with pytest.raises(ProblemError, match=r"objectives need distinct names, got \['a', 'a'\]"):
        Problem(SPACE, objectives_of(["a", "a"]))


def test_constraints():
    comparison = parse_comparison("b >= 1")
    assert constraints_of(None) == ()
    assert [item.text for item in constraints_of("a <= 1")] == ["a <= 1"]
    assert constraints_of(comparison) == (comparison,)
    assert [item.text for item in constraints_of(["a <= 1", comparison])] == ["a <= 1", "b >= 1"]
    for given in (5, [5], {"a": 1}, {"a <= 1"}):
        with pytest.raises(ProblemError, match="constraints: expected comparisons such as 'latency <= 100', got"):
            constraints_of(given)
    with pytest.raises(ExpressionError):
        constraints_of("a + 1")


def test_fingerprints_differ_by_what_results_depend_on():
    def make(space=SPACE, objectives=None, constraints=None, **more):
        return Problem(space, objectives_of(objectives), constraints_of(constraints), **more).fingerprint()

    assert make() == make(Space({"x": (0.0, 1)}), noisy=True)
    others = [
        make(Space({"x": (0.0, 2)})),
        make(objectives="y"),
        make(objectives={"value": "maximize"}),
        make(version="2"),
    ]
    others.append(make(constraints="t <= 1"))
    assert all(other != make() for other in others)
