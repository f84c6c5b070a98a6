"""Hypothesis strategies: parameters and spaces of every kind, with conditions, sizes, scales, grids and any objects."""

import math

import numpy as np
from hypothesis import strategies as st

from thalweg.core.choices import Boolean, Choice, Fixed, Permutation, Subset
from thalweg.core.errors import SpaceError
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space

OBJECTS = [True, False, None, 1, 1.0, 0, 0.5, "a", "1", "", [1, 2], {"k": 1}, (1, 2), math.sin, len, dict, b"x", 10**30]
"""Options of every sort: equal ones of different types, unhashable ones, functions, classes."""

sizes = st.none() | st.integers(1, 3)


@st.composite
def floats(draw):
    low = draw(st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, -1.0, 0.1, 1e-5]))
    span = draw(st.floats(1e-6, 1e6) | st.sampled_from([0.0, 1.0, 10.0]))
    kind = draw(st.sampled_from(["plain", "log", "step", "precision", "digits", "log digits"]))
    size = draw(sizes)
    if kind == "plain":
        return Float(low, low + span, size=size)
    if kind == "log":
        return Float(abs(low) + 1e-6, abs(low) + 1e-6 + span, log=True, size=size)
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 1 / 3, 1e-3, 7.0]))
        return Float(low, low + step * draw(st.integers(1, 500)), step=step, size=size)
    if kind == "precision":
        return Float(low, low + 0.1 + span, precision=draw(st.integers(1, 6)), size=size)
    low = draw(st.sampled_from([1e-7, 0.004, 1.0, 2.5, 300.0]))
    return Float(low, low * draw(st.floats(2, 1e5)), digits=draw(st.integers(1, 4)), log="log" in kind, size=size)


@st.composite
def integers(draw):
    low = draw(st.integers(-(10**6), 10**6) | st.sampled_from([0, 1, -5]))
    span = draw(st.integers(0, 10**6) | st.integers(0, 5))
    log = draw(st.booleans())
    if log:
        low = abs(low) + 1
    return Integer(low, low + span, log=log, step=draw(st.sampled_from([1, 1, 3, 10])), size=draw(sizes))


@st.composite
def choices(draw):
    options = draw(st.lists(st.sampled_from(range(len(OBJECTS))), min_size=1, max_size=6, unique=True))
    objects = [OBJECTS[i] for i in options]
    labels = [f"option {i}" for i in options] if draw(st.booleans()) or not _named(objects) else None
    return Choice(objects, ordered=draw(st.booleans()), labels=labels)


def _named(objects):
    try:
        Choice(objects).labels(np.arange(len(objects), dtype=float)[:, None])
    except SpaceError:
        return False
    return True


@st.composite
def arrangements(draw):
    items = draw(st.lists(st.integers(0, 9) | st.text("abc", max_size=3), min_size=1, max_size=5, unique=True))
    if draw(st.booleans()):
        return Permutation(items)
    least = draw(st.integers(0, len(items)))
    return Subset(items, min=least, max=draw(st.integers(least, len(items))))


parameters = (
    floats()
    | integers()
    | choices()
    | arrangements()
    | st.builds(Boolean)
    | st.builds(Fixed, st.sampled_from([None, 1, 2.5, "const", False]))
)


def conditions(name, parameter):
    """Conditions on one parameter that hold for some of its values, where it has such."""
    if isinstance(parameter, Boolean):
        return [name, f"not {name}"]
    if isinstance(parameter, Integer) and parameter.size is None:
        return [f"{name} > {(int(parameter.low) + int(parameter.high)) // 2}", f"{name} % 2 == 0"]
    if isinstance(parameter, Float) and parameter.size is None:
        return [f"{name} < {(parameter.low + parameter.high) / 2!r}"]
    if isinstance(parameter, Choice):
        return [f"{name} in [1, 'a', None]", f"{name} == True"]
    if isinstance(parameter, Subset):
        return [f"len({name}) > 1"]
    return []


@st.composite
def spaces(draw, most=6, of=parameters):
    """Spaces of 1 to `most` parameters; any of them may depend on an earlier one, which may depend on another."""
    made = {}
    for i in range(draw(st.integers(1, most))):
        parameter = draw(of)
        texts = [text for name, earlier in made.items() for text in conditions(name, earlier)]
        if texts and draw(st.booleans()):
            parameter.when = draw(st.sampled_from(texts))
        made[f"p{i}"] = parameter
    return Space(made)


def points_of(space, seed, n=24):
    """(n, D) unit points: random ones, with corners and cell borders among them."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, space.dimension))
    points[0], points[1] = 0.0, 1.0
    points[2:6] = np.round(points[2:6] * 4) / 4
    return points
