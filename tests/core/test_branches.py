"""The different points of conditional spaces, counted and walked through branch by branch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core import space as spaces
from thalweg.core.branches import branches_of
from thalweg.core.choices import Boolean, Choice, Fixed, Permutation, Subset
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space

FREE = [
    lambda when: Integer(1, 3, when=when),
    lambda when: Choice(["u", "v"], when=when),
    lambda when: Permutation(["a", "b", "c"], when=when),
    lambda when: Subset(["a", "b"], when=when),
    lambda when: Float(0, 1, step=0.5, when=when),
    lambda when: Fixed(7, when=when),
]


def chain(length, options=("a", "b", "c")):
    given = {"c0": Choice(list(options))}
    for i in range(1, length):
        given[f"c{i}"] = Choice(list(options), when=f"c{i - 1} == 'a'")
    return Space(given)


@st.composite
def conditional(draw):
    """Small spaces: parents, parents of parents, and whatever hangs on them, in any order."""
    given = {"p0": Boolean(), "p1": Choice(["x", "y", "z"], when=draw(st.sampled_from([None, "p0", "not p0"])))}
    given["p2"] = Integer(0, 2, when=draw(st.sampled_from([None, "p1 != 'x'", "p0 and p1 == 'y'"])))
    whens = [None, "p0", "p1 == 'z'", "p2 > 0", "p2 == 1 or p0"]
    for i in range(draw(st.integers(0, 2))):
        given[f"f{i}"] = draw(st.sampled_from(FREE))(draw(st.sampled_from(whens)))
    names = draw(st.permutations(list(given)))
    requirements = st.sampled_from(["p0 or p2 < 2", "p1 != 'y'", "p2 != 1"])
    return {name: given[name] for name in names}, draw(st.lists(requirements, max_size=1))


def different(space):
    """The keys of all feasible points, by trying every combination."""
    reals = space.decode(space.cells(0, space.raw_size))
    return set(np.array(space.keys(reals), dtype=object)[space.feasible(reals)])


@given(conditional())
def test_branches_are_all_points_and_each_once(made):
    space = Space(made[0], require=made[1])
    names = {name for _, item in space.conditions.ordered for name in item.names}
    branches = branches_of(space, names, 1000)
    points = branches.points(np.arange(branches.size))
    assert (space.snap(points) == points).all()
    reals = space.decode(points)
    keys = space.keys(reals)
    assert len(set(keys)) == branches.size
    good = np.array(keys, dtype=object)[space.feasible(reals)]
    assert set(good) == different(space)
    every = set(space.names) if made[1] else names
    assert branches_of(space, every, 10_000).feasible() == len(good) == space.size


def test_a_long_chain_is_counted(monkeypatch):
    space = chain(20)
    assert space.raw_size == 3**20 and space.size == 41
    assert space.branches.size == 41
    assert chain(200).size == 401
    assert Space(space.parameters, require="c0 == 'a'").size == 39
    assert Space(space.parameters, require=lambda params: len(params) == 20).size == 3
    assert chain(5).branches is None  # combinations will do
    monkeypatch.setattr(spaces, "COUNTABLE", 20)
    assert chain(20).size is None and chain(20).branches is None


@pytest.mark.parametrize(
    "given",
    [
        {f"b{i}": Boolean() for i in range(40)} | {f"c{i}": Integer(0, 9, when=f"b{i}") for i in range(40)},
        {"on": Boolean(), "x": Float(0, 1, when="on")},
        {"on": Boolean(), "n": Integer(0, 2**40, when="on"), "m": Integer(0, 2**40, when="on")},
    ],
)
def test_what_cannot_be_laid_out_is_not(given):
    assert Space(given).branches is None


def test_indices_beyond_a_few_millions():
    given = {"on": Boolean(), "n": Integer(0, 2**30 - 1, when="on"), "m": Integer(0, 2**30 - 1, when="on")}
    branches = Space(given).branches
    assert branches.size == 2**60 + 1
    points = branches.points(np.array([0, 1, 2**60]))
    assert Space(given).to_params(Space(given).decode(points)) == [
        {"on": False},
        {"on": True, "n": 0, "m": 0},
        {"on": True, "n": 2**30 - 1, "m": 2**30 - 1},
    ]
