"""Choices of any objects, booleans, permutations, subsets and constants."""

import enum
import itertools
import math

import msgspec
import numpy as np
import pytest

from thalweg.core.choices import Boolean, Choice, Fixed, Permutation, Subset
from thalweg.core.errors import SpaceError
from thalweg.core.parameter import KEY, ORDERED, UNORDERED


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(str, enum.Enum):  # noqa: UP042 (the older spelling is what people have)
    A = "a"
    B = "b"


def every(parameter):
    return parameter.values(parameter.cells(np.arange(parameter.count)))


def coded(parameter, value):
    return np.array([parameter.code(value)])


def test_types_and_identity_are_kept():
    options = [True, 1, 1.0, False, 0, None, "1", [1], [2], math.sin, np.array([1, 2]), np.array([1, 2])]
    choice = Choice(options)
    for i, option in enumerate(options):
        assert choice.code(option) == (float(i),)
        assert choice.values(np.array([[float(i)]]))[0] is option
    assert choice.code([1]) == (7.0,)  # equal, though another list


def test_numpy_scalars_become_python_values():
    choice = Choice(np.linspace(0, 1, 3))
    assert choice.options == [0.0, 0.5, 1.0] and all(type(item) is float for item in choice.options)
    assert choice.code(np.float64(0.5)) == choice.code(0.5) == (1.0,)
    assert all(type(item) is int for item in Choice(np.arange(3)).options)
    assert msgspec.json.encode(choice.labels(np.array([[1.0]]))) == b"[0.5]"


@pytest.mark.parametrize(
    "options",
    [
        [Level.LOW, Level.HIGH],
        [Mode.A, Mode.B, "a"],
        [math.sin, math.cos, dict],
        [math.inf, -math.inf, 1.5],
        [10**30, -(10**30), 5],
        [None, True, 1, 1.0, "None"],
        [math.sin, np.array([1, 2])],
    ],
)
def test_labels_name_options_through_json(options):
    choice = Choice(options)
    for i, option in enumerate(options[:1] if isinstance(options[-1], np.ndarray) else options):
        (label,) = msgspec.json.decode(msgspec.json.encode(choice.labels(coded(choice, option))))
        assert choice.from_label(label) == (float(i),)


def test_enum_members_are_options_of_their_own():
    choice = Choice([Mode.A, Mode.B])
    assert choice.values(coded(choice, Mode.B)) == [Mode.B]
    with pytest.raises(SpaceError, match=r"'a' \(str\) is not one of"):
        choice.code("a")


def test_objects_without_a_name_need_labels_for_a_store():
    choice = Choice([[1], [2]])
    with pytest.raises(SpaceError, match=r"option \[1\] is not a scalar and has no unique name.*give labels="):
        choice.labels(np.array([[0.0]]))
    assert Choice([[1], [2]], labels=["one", "two"]).labels(np.array([[1.0]])) == ["two"]
    twins = Choice([lambda: 1, lambda: 2])
    with pytest.raises(SpaceError, match="no unique name"):
        twins.labels(np.array([[0.0]]))


def test_stored_options_that_are_gone():
    with pytest.raises(SpaceError, match=r"Choice: stored option 'c' is not one of \['a', 'b'\]; was it removed\?"):
        Choice(["a", "b"]).from_label("c")
    with pytest.raises(SpaceError, match="was it removed"):
        Choice(["a", "b"]).from_label(["a"])


def test_kinds_and_shares():
    assert Choice(["a", "c"]).kind == ORDERED
    assert Choice([1, 2, 3]).kind == UNORDERED and Choice([1, 2, 3], ordered=True).kind == ORDERED
    choice = Choice([1, 2, 3])
    points = np.array([[0.0], [0.33], [0.34], [0.67], [1.0]])
    assert choice.values(choice.from_unit(points)) == [1, 1, 2, 3, 3]
    one = Choice(["only"])
    assert one.levels == 1 and one.values(one.from_unit(points)) == ["only"] * 5


def test_columns_are_typed_where_nothing_is_lost():
    def kind(*options):
        return Choice(options).column(np.array([[0.0], [1.0]])).dtype.kind

    assert [kind(1, 2), kind(1.5, 2.5), kind("a", "b"), kind(True, False)] == ["i", "f", "U", "b"]
    assert [kind(1, "a"), kind(2**63, -1), kind(10**30, 1), kind("a\0", "b"), kind((1, 2), (3, 4))] == ["O"] * 5
    assert Choice([2**63, -1]).column(np.array([[0.0]]))[0] == 2**63


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice([]), "Choice: at least one option is expected, got none"),
        (lambda: Choice("abc"), r"Choice: a list of options is expected, got 'abc'; did you mean \['abc'\]\?"),
        (lambda: Choice(5), "Choice: a list of options is expected, got 5"),
        (lambda: Choice([1, 2, 1]), "Choice: options must differ, 1 comes twice"),
        (lambda: Choice([[1], [1]]), r"options must differ, \[1\] comes twice"),
        (lambda: Choice([1, 2], labels=["a"]), "labels must be 2 distinct strings"),
        (lambda: Choice([1, 2], labels=["a", "a"]), "labels must be 2 distinct strings"),
        (lambda: Choice([1, 2], labels=[1, 2]), "labels must be 2 distinct strings"),
        (lambda: Choice([1, 2], labels="ab"), "labels must be 2 distinct strings"),
        (lambda: Permutation([1, 1]), "Permutation: options must differ, 1 comes twice"),
        (lambda: Subset([1, 2], min=2, max=1), "Subset: whole 0 <= min <= max <= 2 are expected"),
        (lambda: Subset([1, 2], min=0.5), "Subset: whole 0 <= min <= max <= 2 are expected"),
        (lambda: Subset([1, 2], max=3), "Subset: whole 0 <= min <= max <= 2 are expected"),
    ],
)
def test_what_cannot_be(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_booleans_are_booleans():
    assert every(Boolean()) == [False, True]
    assert all(type(item) is bool for item in every(Boolean()))
    for bad in (1, 0, "True", None, 1.0):
        with pytest.raises(SpaceError, match="is not one of"):
            Boolean().code(bad)
    assert Boolean().code(np.True_) == (1.0,)


@pytest.mark.parametrize("items", [["only"], ["a", "b"], [1, 2.5, None, True]])
def test_permutations(items):
    permutation = Permutation(items)
    assert sorted(map(repr, every(permutation))) == sorted(repr(list(o)) for o in itertools.permutations(items))
    assert (
        permutation.kind == KEY and permutation.width == len(items) and permutation.count == math.factorial(len(items))
    )
    points = np.random.default_rng(0).random((200, len(items)))
    reals = permutation.from_unit(points)
    snapped = permutation.to_unit(reals)
    assert np.array_equal(permutation.from_unit(snapped), reals)
    assert np.array_equal(np.argsort(np.argsort(points)), np.argsort(np.argsort(snapped)))
    for order in itertools.permutations(items):
        assert permutation.values(coded(permutation, order)) == [list(order)]


def test_permutations_refuse_other_things():
    permutation = Permutation(["a", "b", "c"])
    for bad in (["a", "b"], ["a", "b", "b"], "abc", 5):
        with pytest.raises(SpaceError, match="an order of all 3 items is expected"):
            permutation.code(bad)
    with pytest.raises(SpaceError, match=r"'d'.* is not one of"):
        permutation.code(["a", "b", "d"])
    for bad in (["a", "b"], ["a", "a", "b"], "abc"):
        with pytest.raises(SpaceError, match="expected"):
            permutation.from_label(bad)


@pytest.mark.parametrize(("least", "most"), [(0, 4), (2, 2), (1, 3), (0, 0), (4, 4)])
def test_subsets(least, most):
    items = ["a", 1, None, 2.5]
    subset = Subset(items, min=least, max=most)
    expected = [list(c) for k in range(least, most + 1) for c in itertools.combinations(items, k)]
    assert sorted(map(repr, every(subset))) == sorted(map(repr, expected)) and subset.count == len(expected)
    reals = subset.from_unit(np.random.default_rng(0).random((400, 4)))
    assert {repr(item) for item in subset.values(reals)} == set(map(repr, expected))
    assert np.array_equal(subset.from_unit(subset.to_unit(reals)), reals)
    for chosen in expected:
        assert subset.values(coded(subset, chosen[::-1])) == [chosen]


def test_subsets_refuse_other_things():
    subset = Subset(["a", "b", "c"], min=1, max=2)
    for bad in ([], ["a", "b", "c"], ["a", "a"]):
        with pytest.raises(SpaceError, match="1 to 2 different items are expected"):
            subset.code(bad)
        with pytest.raises(SpaceError, match="1 to 2 different items are expected"):
            subset.from_label(bad)
    with pytest.raises(SpaceError, match="a list of items is expected, got 'ab'"):
        subset.code("ab")
    with pytest.raises(SpaceError, match="a stored list of items is expected"):
        subset.from_label("a")


@pytest.mark.parametrize("value", [None, 0, 3.5, "x", True])
def test_constants(value):
    fixed = Fixed(value)
    assert fixed.values(np.empty((2, 0))) == [value, value]
    assert fixed.code(value) == () and fixed.count == 1 and fixed.width == 0
    assert fixed.spec() == {"type": "Fixed", "value": value}
    with pytest.raises(SpaceError, match="is not one of"):
        fixed.code("something else")
