"""The codec between unit points, reals, params, labels and keys, on random spaces; sizes, cells, columns, errors."""

import dataclasses
import enum
import itertools
from typing import Annotated, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import arrangements, choices, floats, integers, points_of, spaces

from thalweg.core.choices import Boolean, Choice, Fixed, Permutation, Subset
from thalweg.core.errors import SpaceError
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space

seeds = st.integers(0, 2**32)


pytestmark = pytest.mark.filterwarnings("ignore:.*none of its options")  # random conditions compare with anything


def through_json(labels):
    return msgspec.json.decode(msgspec.json.encode(labels))


def same(a, b):
    """Bit for bit, NaN included."""
    return a.shape == b.shape and a.tobytes() == b.tobytes()


@settings(max_examples=80, deadline=None)
@given(spaces(), seeds)
def test_snap_is_idempotent_and_stays_in_the_cube(space, seed):
    points = points_of(space, seed)
    given_ = points.copy()
    snapped = space.snap(points)
    assert same(space.snap(snapped), snapped)
    assert (snapped >= 0).all() and (snapped <= 1).all()
    assert same(points, given_)
    assert same(space.decode(snapped), space.decode(points))


@settings(max_examples=80, deadline=None)
@given(spaces(), seeds)
def test_decoding_what_was_encoded_gives_it_back(space, seed):
    reals = space.decode(points_of(space, seed))
    again = space.decode(space.encode(reals))
    discrete = space.kinds > 0
    assert same(np.ascontiguousarray(again[:, discrete]), np.ascontiguousarray(reals[:, discrete]))
    np.testing.assert_allclose(again[:, ~discrete], reals[:, ~discrete], rtol=1e-13, atol=1e-9, equal_nan=True)


@settings(max_examples=80, deadline=None)
@given(spaces(), seeds)
def test_params_labels_and_keys_name_the_same_points(space, seed):
    _, reals, active = space.resolve(points_of(space, seed))
    params, labels = space.to_params(reals, active), space.to_labels(reals, active)
    assert same(space.from_params(params), reals)
    assert same(space.from_labels(through_json(labels)), reals)
    keys = space.keys(reals)
    for (a, key_a), (b, key_b) in itertools.combinations(zip(map(repr, params), keys, strict=True), 2):
        assert (a == b) == (key_a == key_b)


@settings(max_examples=60, deadline=None)
@given(spaces(), seeds)
def test_values_are_inside_typed_and_present_only_where_active(space, seed):
    _, reals, active = space.resolve(points_of(space, seed))
    for row, params in enumerate(space.to_params(reals, active)):
        for i, name in enumerate(space.names):
            assert (name in params) == (active is None or bool(active[row, i]))
            if name in params:
                check_value(space.parameters[name], params[name])


def check_value(parameter, value):
    values = value if isinstance(value, list) else [value]
    if isinstance(parameter, (Integer, Float)):
        kind = int if isinstance(parameter, Integer) else float
        assert all(type(item) is kind and parameter.low <= item <= parameter.high for item in values)
        assert (parameter.size is None) == (not isinstance(value, list))
    elif isinstance(parameter, (Choice, Fixed)):
        options = parameter.options if isinstance(parameter, Choice) else [parameter.value]
        assert any(value is option for option in options)
    elif isinstance(parameter, Permutation):
        assert sorted(map(repr, value)) == sorted(map(repr, parameter.items.objects))
    elif isinstance(parameter, Subset):
        assert parameter.min <= len(value) <= parameter.max


@settings(max_examples=60, deadline=None)
@given(spaces(), seeds)
def test_columns_agree_with_params(space, seed):
    _, reals, active = space.resolve(points_of(space, seed))
    columns = space.to_columns(reals, active)
    for row, params in enumerate(space.to_params(reals, active)):
        for name, value in params.items():
            got = columns[name][row]
            if isinstance(space.parameters[name], Subset):
                items = space.parameters[name].items.objects
                assert [item for item, used in zip(items, got, strict=True) if used] == value
            elif isinstance(value, (list, np.ndarray)) and isinstance(got, np.ndarray):
                assert got.tolist() == list(value)
            else:
                assert got == value


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_a_spec_makes_the_same_space_through_json(space):
    spec = space.spec()
    twin = Space.from_spec(through_json(spec))
    assert twin.spec() == spec
    assert twin.names == space.names and twin.dimension == space.dimension
    points = points_of(space, 1)
    # conditions on objects see labels in the twin; only spaces without conditions must decode alike
    if not space.conditional:
        assert same(twin.decode(points), space.decode(points))


@settings(max_examples=80, deadline=None)
@given(spaces(most=3, of=arrangements() | choices() | st.builds(Integer, st.integers(0, 2), st.integers(2, 4))))
def test_size_and_cells_are_those_of_an_enumeration(space):
    raw = space.raw_size
    if raw > 20_000:
        return
    points = space.cells(0, raw)
    distinct = len(set(space.keys(space.decode(points))))
    assert space.size == distinct
    sampled = space.decode(space.sample(200, np.random.default_rng(0)))
    assert set(space.keys(sampled)) <= set(space.keys(space.decode(points)))


def test_size_with_conditions_and_requirements_counts_what_can_be_evaluated():
    parameters = {
        "kind": Choice(["a", "b", "c"]),
        "n": Integer(1, 5, when="kind == 'a'"),
        "deep": Boolean(when="n > 3"),
        "m": Integer(1, 4),
        "free": Integer(1, 7),
    }
    space = Space(parameters, require="n + m <= 6")
    count = 0
    for kind, m in itertools.product("abc", range(1, 5)):
        ns = [n for n in range(1, 6) if n + m <= 6] if kind == "a" else [None]
        count += sum((2 if n is not None and n > 3 else 1) for n in ns) * 7
    assert space.size == count
    reals = space.decode(space.cells(0, space.raw_size))
    assert len(set(space.keys(reals[space.feasible(reals)]))) == count


def test_size_is_none_where_there_are_too_many_and_exact_where_counting_is_cheap():
    assert Space({"x": Float(0, 1)}).size is None
    assert Space({f"b{i}": Boolean() for i in range(100)}).size == 2**100
    assert Space({f"b{i}": Boolean() for i in range(100)}, require="b0 or b1").size == 3 * 2**98


def test_cells_of_spaces_beyond_64_bits():
    space = Space({"order": Permutation(range(25)), "wide": Integer(0, 9, size=40)})
    points = space.cells(space.raw_size - 3, space.raw_size)
    assert len(set(space.keys(space.decode(points)))) == 3
    first = space.to_params(space.decode(space.cells_at(np.arange(2))))
    assert first[0]["order"] == list(range(25)) and first[0]["wide"] == [0] * 40


def test_inactive_values_are_not_in_the_key():
    space = Space({"kind": Choice(["plain", "deep"]), "order": Permutation([1, 2, 3, 4], when={"kind": "deep"})})
    reals = space.from_params([{"kind": "plain", "order": list(o)} for o in itertools.permutations([1, 2, 3, 4])])
    assert len(set(space.keys(reals))) == 1
    assert space.to_params(reals)[0] == {"kind": "plain"}
    rng = np.random.default_rng(0)
    points = np.column_stack([np.full(12, 0.2), rng.random((12, 4))])
    assert len(set(space.keys(space.decode(points)))) == 1


def test_one_key_for_one_number_however_it_is_written():
    space = Space({"n": Integer(0, 20), "x": Float(-1, 1)})
    points = [{"n": n, "x": x} for n in (12, 12.0, np.int64(12), np.float32(12)) for x in (0.0, -0.0, 0, np.float64(0))]
    assert len(set(space.keys(space.from_params(points)))) == 1
    assert all(type(item["n"]) is int for item in space.to_params(space.from_params(points)))


def test_what_people_type_reaches_the_objective_bit_for_bit():
    space = Space({"rate": Float(1e-5, 1, log=True)})
    typed = np.exp(np.random.default_rng(0).uniform(np.log(1e-5), 0, 500)).tolist()
    back = space.to_params(space.from_params([{"rate": x} for x in typed]))
    assert [item["rate"] for item in back] == typed


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


Rate = Annotated[float, Float(0, 1)]


@dataclasses.dataclass(frozen=True)
class Setup:
    rate: Annotated[float, Float(1e-4, 1, log=True)]
    color: Color
    mode: Literal["fast", "slow", 3]
    layers: Annotated[int | None, Integer(1, 3, when="mode == 'slow'")] = None
    extra: Annotated[str | None, Choice([None, "x"], when="flag")] = None
    flag: bool = True
    momentum: Rate = 0.25
    decay: Rate = 0.5
    version: int = 7


def test_typed_objects_go_round():
    space = Space(Setup)
    _, reals, active = space.resolve(space.sample(60, np.random.default_rng(0)))
    objects = space.to_params(reals, active)
    assert all(isinstance(item, Setup) and isinstance(item.color, Color) for item in objects)
    assert all((item.layers is None) == (item.mode != "slow") for item in objects)
    assert {item.extra for item in objects if item.flag} == {None, "x"}
    assert all(item.version == 7 for item in objects)
    assert same(space.from_params(objects), reals)
    assert same(space.from_labels(through_json(space.to_labels(reals, active))), reals)
    assert space.to_labels(reals)[0]["color"] in ("RED", "BLUE")


def test_fields_that_share_an_annotation_keep_their_own_defaults():
    space = Space(Setup)
    assert (space.parameters["momentum"].default, space.parameters["decay"].default) == (0.25, 0.5)


def test_a_typed_space_and_its_stored_twin_have_one_spec():
    spec = Space(Setup).spec()
    assert Space.from_spec(through_json(spec)).spec() == spec


def test_array_spaces():
    space = Space([(-5, 5)] * 3)
    reals = space.from_params([np.array([0.1, 0.2, -0.3]), [1, 2, 3]])
    assert reals.tolist() == [[0.1, 0.2, -0.3], [1.0, 2.0, 3.0]]
    assert [item.tolist() for item in space.to_params(reals)] == reals.tolist()
    assert same(space.from_labels(through_json(space.to_labels(reals))), reals)
    twin = Space.from_spec(space.spec())
    assert twin.to_params(reals)[0].tolist() == [0.1, 0.2, -0.3]
    with pytest.raises(SpaceError, match="a point is an array of 3 numbers, got"):
        space.from_params([[1, 2]])


@settings(max_examples=60, deadline=None)
@given(floats() | integers(), seeds)
def test_both_ends_are_reached_and_nothing_lies_outside(parameter, seed):
    space = Space({"x": parameter})
    ends = space.decode(np.array([[0.0], [1.0]]).repeat(space.dimension, axis=1))
    inside = space.decode(points_of(space, seed))
    assert (inside >= parameter.low).all() and (inside <= parameter.high).all()
    assert (ends[0] <= inside.min(axis=0)).all() and (ends[1] >= inside.max(axis=0)).all()
    if parameter.kind == 0:
        assert (ends[0] == parameter.low).all() and (ends[1] == parameter.high).all()


def test_the_high_end_is_reached_where_rounding_makes_the_span_short():
    rng = np.random.default_rng(0)
    lows = -(10.0 ** rng.uniform(-20, 20, 2000))
    highs = 10.0 ** rng.uniform(-20, 20, 2000)
    for space in (Space(list(zip(lows, highs, strict=True))), Space({"b": Boolean(), **pairs(lows, highs)})):
        top = space.decode(np.ones((1, space.dimension)))[0][-2000:]
        assert top.tolist() == highs.tolist()


def pairs(lows, highs):
    return {f"x{i}": Float(a, b) for i, (a, b) in enumerate(zip(lows, highs, strict=True))}


def test_conditions_see_values_of_mixed_types_vectors_and_truth_as_python_does():
    space = Space(
        {
            "size": Choice(["auto", 1, 2, 3]),
            "big": Boolean(when="size != 'auto' and size > 1"),
            "parts": Subset(["a", "b", "c"]),
            "weight": Float(0, 1, when="'a' in parts and len(parts) >= 2"),
            "x": Boolean(),
            "y": Boolean(),
            "both": Integer(1, 2, when="x + y == 2"),
        }
    )
    _, reals, active = space.resolve(space.sample(300, np.random.default_rng(1)))
    for params in space.to_params(reals, active):
        assert ("big" in params) == (params["size"] != "auto" and params["size"] > 1)
        assert ("weight" in params) == ("a" in params["parts"] and len(params["parts"]) >= 2)
        assert ("both" in params) == (params["x"] and params["y"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space({"a": Float(0, 1, when="b > 1")}), r"parameter 'a': when: .*'b', which is not known"),
        (lambda: Space({"a": Boolean(when="a")}), r"the conditions of \['a'\] depend on each other in a circle"),
        (
            lambda: Space({"a": Boolean(when="b"), "b": Boolean(when="a")}),
            r"the conditions of \['a', 'b'\] depend on each other",
        ),
        (lambda: Space({"a": Float(0, 1), "b": Boolean(when="a > 'x'")}), r"parameter 'b': when: .*cannot be computed"),
        (lambda: Space({"a": Float(0, 1, default=5)}), r"parameter 'a': default: 5 is outside \[0.0, 1.0\]"),
        (lambda: Space({"a": Choice("ab"), "b": 1}), r"Choice: a list of options is expected, got 'ab'"),
    ],
)
def test_spaces_that_cannot_be(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"n": 3}, r"parameter 'kind' is missing; the point has \['n'\]"),
        ({"n": 3, "kind": "b"}, r"parameter 'w' is missing, and it is active in \{'n': 3, 'kind': 'b'\}"),
        ({"n": 3, "kind": "a", "z": 1}, r"\['z'\] are not parameters of this space; it has \['n', 'kind', 'w'\]"),
        ({"n": 3.5, "kind": "a"}, r"parameter 'n': a whole number is expected, got 3.5"),
        ({"n": 30, "kind": "a"}, r"parameter 'n': 30 is outside \[1, 9\]"),
        ({"n": "3", "kind": "a"}, r"parameter 'n': value: a number is expected, got '3' \(str\)"),
        ({"n": True, "kind": "a"}, r"parameter 'n': value: a number is expected, got True \(bool\)"),
        ({"n": 10**400, "kind": "a"}, r"parameter 'n': value: 10+ is too large"),
        ({"n": 3, "kind": 1}, r"parameter 'kind': 1 \(int\) is not one of \['a', 'b'\]"),
        ({"n": 8, "kind": "b", "w": 0.9}, r"misses the requirement n \* w < 5"),
        (5, r"a point is a dict with \['n', 'kind', 'w'\], got 5"),
    ],
)
def test_points_that_cannot_be(point, message):
    space = Space({"n": Integer(1, 9), "kind": ["a", "b"], "w": Float(0, 1, when="kind == 'b'")}, require="n * w < 5")
    with pytest.raises(SpaceError, match=message):
        space.from_params([point])


def test_labels_of_an_active_parameter_may_not_be_missing():
    space = Space({"kind": Choice(["a", "b"]), "w": Integer(1, 5, when="kind == 'b'")})
    assert np.isnan(space.from_labels([{"kind": "a"}])[0, 1])
    with pytest.raises(SpaceError, match="parameter 'w' is missing, and it is active"):
        space.from_labels([{"kind": "b"}])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"n": 3, "s": 0.3, "kind": "a"}, {"n": 3}], r"parameter 's' is missing; the point has \['n'\]"),
        ([{"n": 3, "s": 0.3, "kind": "c"}], r"parameter 'kind': Choice: stored option 'c' is not one of"),
        ([{"n": 30, "s": 0.3, "kind": "a"}], r"parameter 'n': 30 is outside \[1, 9\]"),
        ([{"n": 3.5, "s": 0.3, "kind": "a"}], r"parameter 'n': a whole number is expected, got 3.5"),
        ([{"n": 3, "s": 0.35, "kind": "a"}], r"parameter 's': 0.35 is not on the grid"),
        ([{"n": True, "s": 0.3, "kind": "a"}], r"parameter 'n': value: a number is expected, got True"),
        ([{"n": 3, "s": 0.3, "kind": "a", "z": 1}], r"\['z'\] are not parameters of this space"),
    ],
)
def test_stored_labels_are_checked(labels, message):
    space = Space({"n": Integer(1, 9), "s": Float(0, 1, step=0.1), "kind": ["a", "b"]})
    with pytest.raises(SpaceError, match=message):
        space.from_labels(labels)
    assert space.from_labels([{"n": 3, "s": 0.1 + 0.2, "kind": "b"}]).tolist() == [[3.0, 0.3, 1.0]]
    assert space.from_labels([]).shape == (0, 3)


def test_defaults_are_a_point_or_nothing():
    space = Space({"a": Float(0, 1, default=0.5), "b": Boolean(default=False), "c": Integer(1, 3, default=2, when="b")})
    assert space.defaults == {"a": 0.5, "b": False, "c": 2}
    assert Space({"a": Float(0, 1)}).defaults is None


def test_a_space_of_constants_only():
    space = Space({"a": 1, "b": "text", "c": None})
    points = space.sample(3, np.random.default_rng(0))
    assert points.shape == (3, 0) and space.size == 1
    reals = space.decode(points)
    assert space.to_params(reals) == [{"a": 1, "b": "text", "c": None}] * 3
    assert len(set(space.keys(reals))) == 1
    assert Space.from_spec(through_json(space.spec())).spec() == space.spec()


def test_space_of_gives_spaces_as_they_are():
    space = Space({"a": (0, 1)})
    assert Space.of(space) is space
    assert Space.of({"a": (0, 1)}).spec() == space.spec()


@pytest.mark.parametrize(
    "given",
    [
        {"a": (0.0, 1.0), "b": Float(1.0, 9.0, log=True)},
        {"a": (0.0, 1.0), "v": Float(0.0, 1.0, size=3), "n": Integer(1, 5)},
        [(0.0, 1.0), (2.0, 3.0)],
    ],
)
def test_objectives_may_work_in_place(given):
    space = Space(given)
    reals = space.decode(space.sample(5, np.random.default_rng(0)))
    before = reals.copy()
    columns = space.to_columns(reals)
    for column in columns.values() if isinstance(columns, dict) else [columns]:
        column[:] = 0
    for params in space.to_params(reals):
        for value in params.values() if isinstance(params, dict) else [params]:
            if isinstance(value, np.ndarray):
                value[:] = 0
    assert np.array_equal(reals, before)
